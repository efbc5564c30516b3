"""The API's settings: the dict ``DURABLE["API"]``."""

import fnmatch
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from durable_app import conf
from durable_app.registry import registry

OWN = ("durable.", "<")
"""How the names of workflows begin that are the engine's: nobody starts them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiOptions:
    """What a project may choose about the API."""

    STARTABLE: tuple[str, ...] = ()
    """Names of the workflows that can be started, as shell patterns; none is unless it is named here."""
    IMPORT: bool = False
    """Whether runs can be imported: rows with any history, which a worker then goes on with."""
    MAX_BODY: int = 2_097_152
    """Bytes that the body of a request may have; that of an import ten times as many."""
    PAGE_SIZE: int = 50
    """Rows of a page, unless ``page_size`` asks for up to 500."""


@cache
def options() -> ApiOptions:
    """Return the project's choices; raises ImproperlyConfigured for an unknown or senseless one."""
    given: dict[str, Any] = conf.options().API
    defaults = ApiOptions()
    for name, value in given.items():
        if name not in ApiOptions.__dataclass_fields__:
            known = ", ".join(sorted(ApiOptions.__dataclass_fields__))
            raise ImproperlyConfigured(f"DURABLE['API'] has no {name!r}; it has {known}.")
        kind = type(getattr(defaults, name))
        if not _fits(value, kind):
            raise ImproperlyConfigured(f"DURABLE['API'][{name!r}] cannot be {value!r}.")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    return ApiOptions(**values)


def _fits(value: Any, kind: type) -> bool:
    if kind is tuple:
        return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    return type(value) is kind and (not isinstance(value, int) or kind is bool or value >= 1)


def is_startable(name: str) -> bool:
    """Return whether a workflow is registered here and open to the API."""
    if name.startswith(OWN) or name not in registry.workflows:
        return False
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in options().STARTABLE)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "DURABLE":
        options.cache_clear()


setting_changed.connect(_forget, dispatch_uid="durable_app.api.options")
