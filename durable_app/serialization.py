"""Values and exceptions ⇄ JSON text: the one place that knows how anything is stored.

Plain JSON values are stored as they are; other types as ``{"$t": tag, "v": ...}``; a key of the user's
that starts with ``$`` is written with one more. Text names no code: a tag that is not registered is
refused, and an exception's class is only used if this process has loaded it already.
"""

import json
import logging
import math
import sys
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar, cast
from uuid import UUID

from django.apps import apps
from django.db import Error
from django.db.models import Model

from durable_app import conf
from durable_app.errors import PayloadTooLargeError, SerializationError, WorkflowError

logger = logging.getLogger("durable_app")

FORMAT = "json"
"""What the column ``serialization`` says of rows written here."""

MAX_DEPTH = 100
TRACEBACK_CHARACTERS = 20_000

T = TypeVar("T")
Encoder = Callable[[Any, str, int], Any]


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


def encode(value: Any, what: str = "value") -> str:
    """Return the JSON text of a value.

    ``what`` names the value in errors. Raises SerializationError with the path of what cannot be stored,
    PayloadTooLargeError above the project's limit.
    """
    try:
        text = _ENCODER.encode(_plain(value, "$", 0))
    except SerializationError as error:
        raise SerializationError(f"{what} cannot be stored: {error}") from None
    except ValueError as error:  # an int beyond the interpreter's digit limit
        raise SerializationError(f"{what} cannot be stored: {error}") from None
    _check_size(text, what)
    return text


def _check_size(text: str, what: str) -> None:
    limits = conf.options()
    if len(text) > limits.MAX_PAYLOAD:
        raise PayloadTooLargeError(
            f"{what} is too large to be stored: {len(text)} bytes, and DURABLE['MAX_PAYLOAD'] is "
            f"{limits.MAX_PAYLOAD}. Store it elsewhere and pass its key."
        )
    if len(text) > limits.WARN_PAYLOAD:
        logger.warning("Large payload what=%s bytes=%d", what, len(text))


def decode(text: str) -> Any:
    """Return the value of a JSON text, or raise SerializationError."""
    try:
        return _rich(json.loads(text))
    except (SerializationError, Error):  # a database's trouble is not the text's
        raise
    except Exception as error:
        raise SerializationError(f"stored text cannot be read: {error}") from error


def decode_or_text(text: str | None) -> Any:
    """Return the value, or the raw text where it cannot be read: for listings, which never fail."""
    if text is None:
        return None
    try:
        return decode(text)
    except Exception:  # noqa: BLE001  (a listing shows what it can)
        return text


def reads_database(text: str | None) -> bool:
    """Return whether decoding may run a query (it holds a model instance)."""
    return text is not None and '"$t":"model"' in text


# Encoding


def _plain(value: Any, path: str, depth: int) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is str or (isinstance(value, str) and not isinstance(value, Enum)):
        return _str(str.__str__(value))
    if depth > MAX_DEPTH:
        raise SerializationError(f"it is nested deeper than {MAX_DEPTH} levels at {path[:80]}")
    if encoder := _ENCODERS.get(kind):
        return encoder(value, path, depth + 1)
    if kind in _REGISTERED:
        return _registered(value, path, depth + 1)
    if isinstance(value, Model):
        return _model(value, path)
    if isinstance(value, BaseException):
        return _error(value, depth + 1)
    raise SerializationError(_refusal(value, path))


def _str(value: str) -> Any:
    """Return text as it is; tagged if it has surrogates, two of which JSON would take for one character."""
    if value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value):
        return value
    return {"$t": "surrogates", "v": [ord(letter) for letter in value]}


def _float(value: float, path: str, depth: int) -> Any:
    if not math.isfinite(value):
        raise SerializationError(f"{value} at {path} is not a number JSON knows")
    return value


def _dict(value: dict[Any, Any], path: str, depth: int) -> Any:
    found = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise SerializationError(f"the key {key!r} at {path} is not a string")
        name = "$" + key if key.startswith("$") else key
        found[name] = _plain(item, f"{path}.{key}", depth)
    return found


def _list(value: list[Any], path: str, depth: int) -> Any:
    return [_plain(item, f"{path}[{index}]", depth) for index, item in enumerate(value)]


def _tagged(tag: str, text: Callable[[Any], Any]) -> Encoder:
    return lambda value, path, depth: {"$t": tag, "v": text(value)}


def _tagged_items(tag: str) -> Encoder:
    return lambda value, path, depth: {"$t": tag, "v": _list(list(value), path, depth)}


_ENCODERS: dict[type, Encoder] = {
    float: _float,
    dict: _dict,
    list: _list,
    tuple: _tagged_items("tuple"),
    set: _tagged_items("set"),
    frozenset: _tagged_items("frozenset"),
    datetime: _tagged("datetime", datetime.isoformat),
    date: _tagged("date", date.isoformat),
    time: _tagged("time", time.isoformat),
    timedelta: _tagged("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: _tagged("decimal", str),
    UUID: _tagged("uuid", str),
    bytes: _tagged("bytes", lambda v: b64encode(v).decode()),
}


def _model(value: Model, path: str) -> Any:
    if value.pk is None:
        raise SerializationError(f"the unsaved {type(value).__name__} at {path} has no key to be found by")
    using = value._state.db or "default"
    key = _plain(value.pk, path, 0)
    return {"$t": "model", "v": [value._meta.label_lower, using, key]}


def _refusal(value: Any, path: str) -> str:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Enum) or is_dataclass(value) or hasattr(value, "model_dump"):
        return f"{name} at {path} is not registered: decorate the class with @durable_app.serializable"
    return f"{name} at {path} is not JSON and has no tag of its own"


# Types of the project's own

_REGISTERED: dict[type, str] = {}
_BY_NAME: dict[str, type] = {}


def serializable(cls: type[T]) -> type[T]:
    """Class decorator: let an enum, a dataclass or a pydantic model be stored, under its dotted name.

    Raises TypeError for any other class.
    """
    if not (issubclass(cls, Enum) or is_dataclass(cls) or hasattr(cls, "model_validate")):
        raise TypeError(f"{cls.__name__} is no enum, dataclass or pydantic model")
    name = f"{cls.__module__}.{cls.__qualname__}"
    _REGISTERED[cls] = name
    _BY_NAME[name] = cls
    return cls


def _registered(value: Any, path: str, depth: int) -> Any:
    name = _REGISTERED[type(value)]
    if isinstance(value, Enum):
        return {"$t": name, "v": value.name}
    if is_dataclass(value):
        data = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        return {"$t": name, "v": _dict(data, path, depth)}
    return {"$t": name, "v": value.model_dump(mode="json")}


def _build(name: str, value: Any) -> Any:
    cls: Any = _BY_NAME.get(name)
    if cls is None:
        raise SerializationError(
            f"stored text uses the type {name!r}, which is not registered here: "
            f"decorate the class with @durable_app.serializable and import its module"
        )
    if issubclass(cls, Enum):
        return cls[value]
    if hasattr(cls, "model_validate"):
        return cls.model_validate(value)
    return cls(**_rich(value))


# Decoding


def _rich(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return [_rich(item) for item in value]
    if kind is not dict:
        return value
    if "$t" in value:
        tag = value["$t"]
        decoder = _DECODERS.get(tag)
        return decoder(value["v"]) if decoder else _build(tag, value["v"])
    return {key[1:] if key.startswith("$") else key: _rich(item) for key, item in value.items()}


def _find_model(value: list[Any]) -> Any:
    label, using, key = value
    model = apps.get_model(label)
    return model._base_manager.using(using).get(pk=_rich(key))


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda v: tuple(_rich(item) for item in v),
    "set": lambda v: {_rich(item) for item in v},
    "frozenset": lambda v: frozenset(_rich(item) for item in v),
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda v: timedelta(days=v[0], seconds=v[1], microseconds=v[2]),
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": b64decode,
    "model": _find_model,
    "surrogates": lambda v: "".join(map(chr, v)),
    "error": lambda v: _remade(v),
    "same error": lambda v: _within.get()[v],
}


# Exceptions

_within: ContextVar[tuple[BaseException, ...]] = ContextVar("durable_errors", default=())
"""The exceptions that are being written or read, outermost first: one may refer to another (Django's
ValidationError lists itself)."""


def encode_error(error: BaseException) -> str:
    """Return the JSON text of an exception; whatever it is, this does not raise."""
    cls = type(error)
    lines = traceback.format_exception(cls, error, error.__traceback__)
    record = _record(error, 0)
    record["traceback"] = _ascii("".join(lines))[-TRACEBACK_CHARACTERS:]
    text = json.dumps(record, separators=(",", ":"))
    if len(text) > conf.options().MAX_PAYLOAD:  # it comes back as a WorkflowError with its message
        text = json.dumps({**record, "args": None, "state": {}}, separators=(",", ":"))
    return text


def _error(error: BaseException, depth: int) -> Any:
    for level, outer in enumerate(_within.get()):
        if outer is error:
            return {"$t": "same error", "v": level}
    return {"$t": "error", "v": _record(error, depth)}


def _record(error: BaseException, depth: int) -> dict[str, Any]:
    cls = type(error)
    token = _within.set((*_within.get(), error))
    try:
        return {
            "type": f"{cls.__module__}.{cls.__qualname__}",
            "message": _message(error),
            "args": _storable(lambda: list(_arguments(error)), depth),
            "state": _storable_state(error, depth),
        }
    finally:
        _within.reset(token)


def _arguments(error: BaseException) -> tuple[Any, ...]:
    """Return what makes the exception again: OSError keeps its file names apart."""
    found = OSError.__reduce__(error)[1] if isinstance(error, OSError) else error.args
    return cast(tuple[Any, ...], found)


def _storable(read: Callable[[], Any], depth: int) -> Any:
    """Return a part of an exception as plain values; None where it cannot be stored, or even read."""
    try:
        plain = _plain(read(), "$", depth)
        json.dumps(plain)  # an int may be beyond the interpreter's digit limit
    except Exception:  # noqa: BLE001  (any class of the project may be behind it)
        return None
    return plain


def _message(error: BaseException) -> str:
    try:
        return _ascii(str(error))[:TRACEBACK_CHARACTERS]
    except Exception:  # noqa: BLE001  (a broken __str__ is the user's, and must not end the run twice)
        return f"<{type(error).__name__} without a readable message>"


def _ascii(text: str) -> str:
    """Keep text as it is but for lone surrogates, which no database stores."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _storable_state(error: BaseException, depth: int) -> dict[str, Any]:
    state = {}
    for key, value in getattr(error, "__dict__", {}).items():
        plain = _storable(lambda value=value: value, depth + 1)  # type: ignore[misc]
        if not key.startswith("__") and (plain is not None or value is None):
            state[key] = plain
    return state


def decode_error(text: str) -> Exception:
    """Return the exception of a JSON text; a WorkflowError where its class is unknown. Never raises."""
    try:
        return _remade(json.loads(text))
    except Exception:  # noqa: BLE001  (whatever the text is)
        return WorkflowError("unknown", text)


def _remade(record: dict[str, Any]) -> Exception:
    type_name, message = str(record["type"]), str(record["message"])
    try:
        error = _rebuild(record)
        if error is not None and _message(error) == message:
            return error
    except Exception as failure:  # noqa: BLE001  (any class of the project may be behind it)
        logger.debug("Exception not rebuilt type=%s error=%s", type_name, failure)
    return WorkflowError(type_name, message, str(record.get("traceback", "")))


def _rebuild(record: dict[str, Any]) -> Exception | None:
    """Make the exception from its arguments and attributes, without running an ``__init__`` of a project."""
    cls = _loaded_class(record["type"])
    if cls is None or record.get("args") is None:
        return None
    args = tuple(_rich(record["args"]))
    error = cls(*args) if cls.__module__ == "builtins" else cls.__new__(cls, *args)
    error.args = error.args or args
    token = _within.set((*_within.get(), error))
    try:
        state = {key: _rich(value) for key, value in record.get("state", {}).items()}
    finally:
        _within.reset(token)
    if state:
        vars(error).update(state)
    return error


def _loaded_class(name: str) -> type[Exception] | None:
    """Find an Exception class in the modules this process has imported; never import one."""
    module_name, _, qualname = name.rpartition(".")
    while module_name:
        if found := sys.modules.get(module_name):
            for part in qualname.split("."):
                found = vars(found).get(part)
                if found is None:
                    return None
            return found if isinstance(found, type) and issubclass(found, Exception) else None
        module_name, _, head = module_name.rpartition(".")
        qualname = f"{head}.{qualname}"
    return None
