"""The parameters of a workflow as JSON schema (https://json-schema.org/draft/2020-12), by its type hints.

It is a description for programs and forms: what is not known of a type is ``{}``, which is anything.
"""

import collections.abc
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from durable_app.registry import Definition

Schema = dict[str, Any]

DEEPEST = 8
"""Levels of types within types that are described: some hold themselves."""

_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

_PLAIN: Mapping[Any, Schema] = {
    type(None): {"type": "null"},
    None: {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Decimal: {"type": ["number", "string"]},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string", "format": "duration"},
    UUID: {"type": "string", "format": "uuid"},
}

_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def parameters(definition: Definition) -> list[inspect.Parameter]:
    """Return the parameters that a run's arguments are for; none if the function does not tell."""
    try:
        found = list(inspect.signature(definition.func).parameters.values())
    except (TypeError, ValueError):
        return []
    return found if definition.binding in ("function", "static") else found[1:]


def is_required(one: inspect.Parameter) -> bool:
    """Return whether a run must be given an argument for a parameter."""
    return one.default is inspect.Parameter.empty and one.kind not in _OPEN


def schemas(definition: Definition) -> dict[str, Schema]:
    """Return the schema of each parameter; that of ``*args`` and ``**kwargs`` is one argument's."""
    hints = _hints(inspect.unwrap(definition.func))
    return {one.name: _schema(hints.get(one.name, Any)) for one in parameters(definition)}


def schema(definition: Definition) -> Schema:
    """Return the schema of all arguments by name: an object."""
    found, known = parameters(definition), schemas(definition)
    named = [one for one in found if one.kind not in _OPEN]
    others = [known[one.name] for one in found if one.kind is inspect.Parameter.VAR_KEYWORD]
    return {
        "type": "object",
        "properties": {one.name: known[one.name] for one in named},
        "required": [one.name for one in named if is_required(one)],
        "additionalProperties": others[0] if others else False,
    }


def _hints(owner: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(owner)
    except Exception:  # noqa: BLE001  (a hint may name what is only imported for type checkers)
        return {}


def _schema(hint: Any, depth: int = 0) -> Schema:
    if depth > DEEPEST:
        return {}
    if hasattr(hint, "__supertype__"):  # NewType
        return _schema(hint.__supertype__, depth + 1)
    plain = next((found for kind, found in _PLAIN.items() if kind is hint), None)
    if plain is not None:
        return dict(plain)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    return _of_generic(origin, inner, depth) if inner else _of_class(origin or hint, depth)


def _of_generic(origin: Any, inner: tuple[Any, ...], depth: int) -> Schema:
    describe = _describer(depth)
    if origin is typing.Annotated:
        return describe(inner[0])
    if origin in (typing.Union, types.UnionType):
        options = [describe(one) for one in inner]
        return {"anyOf": options} if all(options) else {}
    if origin is typing.Literal:
        return {"enum": list(inner)} if all(isinstance(one, str | int | None) for one in inner) else {}
    if origin is tuple and (len(inner) != 2 or inner[1] is not ...):
        items = [describe(one) for one in inner]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in _LISTS:
        return {"type": "array", "items": describe(inner[0])}
    if origin in _OBJECTS:
        return {"type": "object", "additionalProperties": describe(inner[1])}
    return {}


def _of_class(hint: Any, depth: int) -> Schema:
    if hint in _LISTS:
        return {"type": "array"}
    if hint in _OBJECTS:
        return {"type": "object"}
    if not isinstance(hint, type):
        return {}
    if issubclass(hint, Enum):
        values = [one.value for one in hint]
        return {"enum": values} if all(isinstance(one, str | int) for one in values) else {}
    if typing.is_typeddict(hint):
        return _of_fields(hint, hint.__required_keys__, depth)  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(hint):
        return _of_fields(hint, [one.name for one in dataclasses.fields(hint) if _is_needed(one)], depth)
    return {}


def _is_needed(one: Any) -> bool:
    missing = dataclasses.MISSING
    return bool(one.init and one.default is missing and one.default_factory is missing)


def _of_fields(owner: Any, required: collections.abc.Iterable[str], depth: int) -> Schema:
    describe = _describer(depth)
    properties = {name: describe(hint) for name, hint in _hints(owner).items()}
    return {"type": "object", "properties": properties, "required": sorted(required)}


def _describer(depth: int) -> Callable[[Any], Schema]:
    return lambda hint: _schema(hint, depth + 1)
