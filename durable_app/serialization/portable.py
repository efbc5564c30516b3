"""Portable JSON: what programs in other languages, and plain SQL, write and read.

Plain JSON without tags: a datetime is RFC 3339 in UTC, a Decimal its digits, a set or tuple a list; on the
way back they stay text and lists. Arguments are ``{"positionalArgs": [], "namedArgs": {}}``, an error is
``{"name", "message", "code", "data"}``.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from durable_app import conf
from durable_app.errors import PortableWorkflowError, SerializationError
from durable_app.serialization.exceptions import message_of
from durable_app.serialization.formats import PORTABLE, Format, Inputs, Place
from durable_app.serialization.tagged import MAX_DEPTH, check_size

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


class Portable(Format):
    """Portable JSON."""

    name = PORTABLE

    def write(self, value: Any, what: str, place: Place) -> str:
        """Return a value's text; raises SerializationError with the path of what is not portable."""
        try:
            text = _ENCODER.encode(_plain(value, "$", 0))
        except (SerializationError, ValueError) as error:
            raise SerializationError(f"{what} cannot be stored as portable JSON: {error}") from None
        check_size(text, what)
        return text

    def read(self, text: str, place: Place) -> Any:
        """Return a text's value."""
        try:
            return json.loads(text)
        except Exception as error:
            raise SerializationError(f"stored text is not JSON: {error}") from error

    def write_inputs(self, inputs: Inputs, what: str, place: Place) -> str:
        """Return the text of a run's arguments."""
        return self.write({"positionalArgs": inputs[0], "namedArgs": inputs[1]}, what, place)

    def read_inputs(self, text: str, place: Place) -> Inputs:
        """Return a run's arguments; either kind may be missing or null."""
        found = self.read(text, place)
        positional, named = _parts(found) if isinstance(found, dict) else (None, None)
        if not isinstance(positional, list) or not isinstance(named, dict):
            raise SerializationError(
                'portable arguments are an object {"positionalArgs": [...], "namedArgs": {...}}, '
                f"not {text[:80]}"
            )
        return tuple(positional), named

    def write_error(self, error: BaseException) -> str:
        """Return the text of an exception; what is not portable in it, or too large, is left out."""
        found = {"name": _name(error), "message": message_of(error), "code": None, "data": None}
        text = _ENCODER.encode({**found, "code": _code(error), "data": _data(error)})
        return text if len(text) <= conf.options().MAX_PAYLOAD else _ENCODER.encode(found)

    def read_error(self, text: str) -> Exception:
        """Return the error; one that the engine wrote before it knew of the format is its own."""
        try:
            found = json.loads(text)
            name, words = str(found["name"]), str(found["message"])
        except Exception:  # noqa: BLE001  (whatever the text is)
            return super().read_error(text)
        return PortableWorkflowError(words, name, found.get("code"), found.get("data"))


def _parts(found: dict[str, Any]) -> tuple[Any, Any]:
    positional, named = found.get("positionalArgs"), found.get("namedArgs")
    return [] if positional is None else positional, {} if named is None else named


# Values


def _plain(value: Any, path: str, depth: int) -> Any:
    if isinstance(value, Enum):
        raise SerializationError(f"{type(value).__qualname__} at {path} is not portable")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth > MAX_DEPTH:
        raise SerializationError(f"it is nested deeper than {MAX_DEPTH} levels at {path[:80]}")
    if isinstance(value, Mapping):
        return {_key(key, path): _plain(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    for kind, text in _TEXTS.items():
        if isinstance(value, kind):
            return text(value)
    raise SerializationError(f"{type(value).__module__}.{type(value).__qualname__} at {path} is not portable")


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise SerializationError(f"the key {key!r} at {path} is not a string")
    return key


def _rfc3339(value: datetime) -> str:
    """Return a time in UTC; a naive one is taken for UTC."""
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


_TEXTS: dict[type, Callable[[Any], str]] = {
    datetime: _rfc3339,  # before date, whose subclass it is
    date: date.isoformat,
    time: time.isoformat,
    Decimal: lambda value: format(value, "f"),
    UUID: str,
}


# Errors

_CODES = ("code", "error_code", "errno", "status", "status_code")
_DATA = ("data", "details", "payload", "extra", "meta", "metadata")
"""Attributes under which exceptions carry a code and particulars; the seed system looks for the same."""


def _name(error: BaseException) -> str:
    return error.name if isinstance(error, PortableWorkflowError) else type(error).__name__


def _code(error: BaseException) -> int | str | None:
    for name in _CODES:
        found = _portable_attribute(error, name)
        if isinstance(found, int | str):
            return found
    return None


def _data(error: BaseException) -> Any:
    found = (_portable_attribute(error, name) for name in _DATA)
    return next((one for one in found if one is not None), None)


def _portable_attribute(error: BaseException, name: str) -> Any:
    """Return an attribute as plain values; None where there is none, or none that is portable."""
    try:
        found = _plain(getattr(error, name, None), "$", 0)
        _ENCODER.encode(found)
    except Exception:  # noqa: BLE001  (any class of the project may be behind it)
        return None
    return found
