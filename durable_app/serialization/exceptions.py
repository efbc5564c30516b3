"""Exceptions ⇄ JSON: type, message, arguments, attributes and traceback.

An exception's class is only used if this process has loaded it already, and no ``__init__`` of a project
runs while it is rebuilt; what cannot be rebuilt is a WorkflowError that tells what it was.
"""

import json
import logging
import sys
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, cast

from durable_app import conf
from durable_app.errors import WorkflowError
from durable_app.serialization.tagged import plain, rich
from durable_app.serialization.tags import DECODERS, FAMILIES

logger = logging.getLogger("durable_app")

TRACEBACK_CHARACTERS = 20_000

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


def _error(error: BaseException, path: str, depth: int) -> Any:
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
            "message": message_of(error),
            "args": _storable(lambda: list(_arguments(error)), depth),
            "state": _storable_state(error, depth),
            **_notes(error),
        }
    finally:
        _within.reset(token)


def _notes(error: BaseException) -> dict[str, list[str]]:
    found = [_ascii(note) for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    return {"notes": found} if found else {}


def _arguments(error: BaseException) -> tuple[Any, ...]:
    """Return what makes the exception again: OSError keeps its file names apart."""
    found = OSError.__reduce__(error)[1] if isinstance(error, OSError) else error.args
    return cast(tuple[Any, ...], found)


def _storable(read: Callable[[], Any], depth: int) -> Any:
    """Return a part of an exception as plain values; None where it cannot be stored, or even read."""
    try:
        found = plain(read(), "$", depth)
        json.dumps(found)  # an int may be beyond the interpreter's digit limit
    except Exception:  # noqa: BLE001  (any class of the project may be behind it)
        return None
    return found


def message_of(error: BaseException) -> str:
    """Return what an exception says of itself; a broken ``__str__`` does not raise."""
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
        found = _storable(lambda value=value: value, depth + 1)  # type: ignore[misc]
        if not key.startswith("__") and (found is not None or value is None):
            state[key] = found
    return state


def decode_error(text: str) -> Exception:
    """Return the exception of a JSON text; a WorkflowError where its class is unknown. Never raises."""
    try:
        return _remade(json.loads(text))
    except Exception:  # noqa: BLE001  (whatever the text is)
        return WorkflowError("unknown", text)


def _remade(record: dict[str, Any]) -> Exception:
    error = _remade_bare(record)
    for note in record.get("notes", ()):
        error.add_note(str(note))
    return error


def _remade_bare(record: dict[str, Any]) -> Exception:
    type_name, message = str(record["type"]), str(record["message"])
    try:
        error = _rebuild(record)
        if error is not None and message_of(error) == message:
            return error
    except Exception as failure:  # noqa: BLE001  (any class of the project may be behind it)
        logger.debug("Exception not rebuilt type=%s error=%s", type_name, failure)
    return WorkflowError(type_name, message, str(record.get("traceback", "")))


def _rebuild(record: dict[str, Any]) -> Exception | None:
    """Make the exception from its arguments and attributes, without running an ``__init__`` of a project."""
    cls = _loaded_class(record["type"])
    if cls is None or record.get("args") is None:
        return None
    args = tuple(rich(record["args"]))
    error = cls(*args) if cls.__module__ == "builtins" else cls.__new__(cls, *args)
    error.args = error.args or args
    token = _within.set((*_within.get(), error))
    try:
        state = {key: rich(value) for key, value in record.get("state", {}).items()}
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


FAMILIES[BaseException] = _error
DECODERS["error"] = _remade
DECODERS["same error"] = lambda level: _within.get()[level]
