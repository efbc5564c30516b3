"""Durable workflows for Django: plain functions that survive crashes, with their state in the database.

The names are those of ``public``, loaded on first use (PEP 562): this package is imported while Django
loads its apps, before models may be, and perhaps from a ``models.py``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durable_app.public import *


def __getattr__(name: str) -> Any:
    public = import_module("durable_app.public")
    if name == "__all__" or name in public.__all__:
        return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module("durable_app.public").__all__})
