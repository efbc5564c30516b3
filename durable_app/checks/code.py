"""Checks of the project's workflows: that each is known, once, and that its arguments can be stored."""

import ast
import inspect
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Warning, register

from durable_app import serialization
from durable_app.checks.settings import readable
from durable_app.registry import TEMPORARY, UNDO, Definition, registry
from durable_app.serialization.tags import ENCODERS, FAMILIES

DECORATORS = ("workflow", "scheduled")

OWN = (TEMPORARY, UNDO, "durable.")
"""Beginnings of names that are the engine's."""


@register("durable_app")
def check_names(**kwargs: Any) -> list[CheckMessage]:
    """E003: of two functions of one name in a module, only the last is ever run.

    Two modules with one name do not get so far: the second one's import fails with the same sentence.
    """
    return [
        Error(
            f"Two workflows are named {name!r}: {first} and {second}. Only the second one is run.",
            hint=f'@workflow(name="{name}_2")  # at one of them; runs keep the name they were started with',
            obj=second,
            id="durable.E003",
        )
        for name, first, second in registry.duplicates
    ]


# E004


@register("durable_app")
def check_parameters(**kwargs: Any) -> list[CheckMessage]:
    """E004: what a run is given is stored; of some classes it is known that no value can be."""
    options = readable()
    if options is None or options.SERIALIZER != serialization.JSON:
        return []
    return [
        message
        for name, definition in sorted(registry.workflows.items())
        if not name.startswith(OWN) and definition.serialization is None and definition.validate_args is None
        for message in _refused_parameters(definition)
    ]


def _refused_parameters(definition: Definition) -> Iterator[CheckMessage]:
    try:
        hints = typing.get_type_hints(definition.func)
    except Exception:  # noqa: BLE001  (names that exist for type checkers alone: nothing is known then)
        return
    names = list(inspect.signature(definition.func).parameters)
    if definition.binding in ("class", "instance"):
        names = names[1:]
    for name in names:
        refused = _refused(hints.get(name, Any))
        if refused is None:
            continue
        yield Error(
            f"The parameter {name!r} of the workflow {definition.name!r} is a {refused.__name__}, which "
            f"cannot be stored ({definition.location}).",
            hint=_way_out(name, refused),
            id="durable.E004",
        )


def _refused(hint: Any) -> Any:
    """Return the class within an annotation of which no value can be stored; None if none is known to be."""
    if hint is Any:
        return None
    if hasattr(hint, "__supertype__"):
        return _refused(hint.__supertype__)
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _refused(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        found = [_refused(one) for one in typing.get_args(hint) if one is not type(None)]
        return found[0] if found and all(one is not None for one in found) else None
    if origin is None:
        return hint if isinstance(hint, type) and not _is_storable(hint) else None
    if not isinstance(origin, type):
        return None
    if not _is_storable(origin):
        return origin
    return next((one for one in map(_refused, typing.get_args(hint)) if one is not None), None)


def _is_storable(cls: type) -> bool:
    """Return whether a value that is a ``cls`` may be one that can be stored."""
    if typing.is_typeddict(cls) or getattr(cls, "_is_protocol", False):
        return True
    if issubclass(cls, (str, *FAMILIES)):
        return not issubclass(cls, Enum) or cls in ENCODERS
    known = (type(None), bool, int, str, *ENCODERS, *FAMILIES)
    return any(issubclass(one, cls) for one in known)


def _way_out(name: str, refused: Any) -> str:
    is_plain = issubclass(refused, Enum) or hasattr(refused, "__dataclass_fields__")
    if is_plain or hasattr(refused, "model_validate"):
        return f"@durable_app.serializable  # above class {refused.__name__}"
    return f"{name}_id: int  # pass what it can be found by, and fetch it in a step"


# W022


@register("durable_app")
def check_imports(**kwargs: Any) -> list[CheckMessage]:
    """W022: a worker knows the workflows of the modules that are imported when Django starts, no others."""
    known = {definition.func.__module__ for definition in registry.loaded}
    return [
        Warning(
            f"{path}:{line} declares a workflow, and nothing imports {module} when Django starts: a worker "
            f"does not know it.",
            hint=f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]}  # noqa: F401  (in "
            f"{app.name}/workflows.py)",
            id="durable.W022",
        )
        for app in apps.get_app_configs()
        if app.name != "durable_app" and "site-packages" not in app.path
        for module, path in _modules(app)
        if module not in known and (line := _declares_workflow(path))
    ]


def _modules(app: AppConfig) -> Iterator[tuple[str, Path]]:
    """Yield the modules in which an app could have workflows: beside ``workflows.py``, or below it."""
    folder = Path(app.path)
    for path in [*sorted(folder.glob("*.py")), *sorted(folder.glob("workflows/**/*.py"))]:
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if not parts or not parts[-1].startswith(("test", "conftest")):
            yield ".".join((app.name, *parts)), path


def _declares_workflow(path: Path) -> int:
    """Return the line of the first workflow in a file, 0 if there is none."""
    try:
        text = path.read_text()
        if "durable_app" not in text or not any(name in text for name in DECORATORS):
            return 0
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return 0
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            map(_is_workflow, node.decorator_list)
        ):
            return node.lineno
    return 0


def _is_workflow(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in DECORATORS
