"""Values ⇄ tagged JSON, the format of all rows unless the project asks for another.

Plain JSON values are stored as they are; other types as ``{"$t": tag, "v": ...}``; a key of the user's
that starts with ``$`` is written with one more. Text names no code: a tag that is not registered is
refused.
"""

import json
import logging
import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from django.db import Error

from durable_app import conf
from durable_app.errors import PayloadTooLargeError, SerializationError
from durable_app.serialization.tags import DECODERS, ENCODERS, FAMILIES, Decoder, Encoder

logger = logging.getLogger("durable_app")

MAX_DEPTH = 100

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)


def encode(value: Any, what: str = "value") -> str:
    """Return the JSON text of a value.

    ``what`` names the value in errors. Raises SerializationError with the path of what cannot be stored,
    PayloadTooLargeError above the project's limit.
    """
    try:
        text = _ENCODER.encode(plain(value, "$", 0))
    except SerializationError as error:
        raise SerializationError(f"{what} cannot be stored: {error}") from None
    except ValueError as error:  # an int beyond the interpreter's digit limit
        raise SerializationError(f"{what} cannot be stored: {error}") from None
    check_size(text, what)
    return text


def check_size(text: str, what: str) -> None:
    """Raise PayloadTooLargeError for text above the project's limit; warn of a large one."""
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
        return rich(json.loads(text))
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


# Encoding


def plain(value: Any, path: str, depth: int) -> Any:
    """Return a value as plain JSON values; raise SerializationError with the path of what is none."""
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is str or (isinstance(value, str) and not isinstance(value, Enum)):
        return _str(str.__str__(value))
    if depth > MAX_DEPTH:
        raise SerializationError(f"it is nested deeper than {MAX_DEPTH} levels at {path[:80]}")
    encoder = ENCODERS.get(kind) or _family(value)
    if encoder is None:
        raise SerializationError(_refusal(value, path))
    return encoder(value, path, depth + 1)


def _family(value: Any) -> Encoder | None:
    return next((encoder for base, encoder in FAMILIES.items() if isinstance(value, base)), None)


def _refusal(value: Any, path: str) -> str:
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Enum) or is_dataclass(value) or hasattr(value, "model_dump"):
        return f"{name} at {path} is not registered: decorate the class with @durable_app.serializable"
    return f"{name} at {path} is not JSON and has no tag of its own"


def _str(value: str) -> Any:
    """Return text as it is; tagged if it has surrogates, two of which JSON would take for one character."""
    if value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value):
        return value
    return {"$t": "surrogates", "v": [ord(letter) for letter in value]}


def _float(value: float, path: str, depth: int) -> Any:
    if not math.isfinite(value):
        raise SerializationError(f"{value} at {path} is not a number JSON knows")
    return value


def plain_dict(value: dict[Any, Any], path: str, depth: int) -> Any:
    """Return a dict as a JSON object."""
    found = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise SerializationError(f"the key {key!r} at {path} is not a string")
        name = "$" + key if key.startswith("$") else key
        found[name] = plain(item, f"{path}.{key}", depth)
    return found


def _list(value: list[Any], path: str, depth: int) -> Any:
    return [plain(item, f"{path}[{index}]", depth) for index, item in enumerate(value)]


def _tagged(tag: str, text: Callable[[Any], Any]) -> Encoder:
    return lambda value, path, depth: {"$t": tag, "v": text(value)}


def _tagged_items(tag: str) -> Encoder:
    return lambda value, path, depth: {"$t": tag, "v": _list(list(value), path, depth)}


ENCODERS |= {
    float: _float,
    dict: plain_dict,
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


# Decoding


def rich(value: Any) -> Any:
    """Return the value that plain JSON values stand for."""
    kind = type(value)
    if kind is list:
        return [rich(item) for item in value]
    if kind is not dict:
        return value
    if "$t" in value:
        tag = value["$t"]
        decoder = DECODERS.get(tag)
        if decoder is None:
            raise _unknown(tag)
        return decoder(value["v"])
    return {key[1:] if key.startswith("$") else key: rich(item) for key, item in value.items()}


def _unknown(tag: str) -> SerializationError:
    return SerializationError(
        f"stored text uses the type {tag!r}, which is not registered here: "
        f"decorate the class with @durable_app.serializable and import its module"
    )


_BUILT_IN: dict[str, Decoder] = {
    "tuple": lambda v: tuple(rich(item) for item in v),
    "set": lambda v: {rich(item) for item in v},
    "frozenset": lambda v: frozenset(rich(item) for item in v),
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda v: timedelta(days=v[0], seconds=v[1], microseconds=v[2]),
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": b64decode,
    "surrogates": lambda v: "".join(map(chr, v)),
}

DECODERS |= _BUILT_IN
