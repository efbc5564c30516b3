"""What people may see of a value: decoded, redacted, cut. Every display goes through here."""

import fnmatch
import json
import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from durable_app import conf, serialization

HIDDEN = "•••"
MOST = 65_536
"""Characters of a payload that are shown; the rest is there for download."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """A value as it is shown."""

    value: Any
    """Plain JSON, redacted."""
    size: int
    """Bytes as stored."""
    is_hidden: bool = False
    """Whether the viewer may not see it."""

    @property
    def text(self) -> str:
        """Indented JSON, cut to what a page can bear."""
        text = json.dumps(self.value, indent=2, ensure_ascii=False)
        return text if len(text) <= MOST else f"{text[:MOST]}\n… ({self.size} bytes in all)"


def payload(text: str | None, format_name: str, *, may_see: bool, is_inputs: bool = False) -> Payload | None:
    """Return a stored value for display; None where there is none.

    Nothing is unpickled: what the settings do not let a viewer decode is shown as its raw text.
    """
    if text is None:
        return None
    size = len(text.encode())
    if not may_see:
        return Payload(value=HIDDEN, size=size, is_hidden=True)
    look = serialization.shown_inputs if is_inputs else serialization.shown
    return Payload(value=redacted(plain(look(text, format_name))), size=size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A stored error as it is shown."""

    kind: str
    """The exception's class, with its module."""
    message: str = ""
    traceback: str = ""
    is_hidden: bool = False
    """Whether the viewer may see no more than the class."""

    @property
    def own_frames(self) -> str:
        """The traceback without what libraries did; empty if nothing of it is the project's."""
        frames = [frame for frame in _FRAME.findall(self.traceback) if not _LIBRARY.search(frame)]
        return textwrap.dedent("\n".join(frames))


_FRAME = re.compile(r"^  File .*(?:\n    .*)*", re.MULTILINE)
_LIBRARY = re.compile(r'^  File "(?:[^"]*(?:site-packages|lib/python)[^"]*|[^"]*/durable_app/[^"]*|<[^"]*)"')


def failure(text: str | None, *, may_see: bool) -> Failure | None:
    """Return a stored error for display; None where there is none. Nothing is rebuilt: it is only text."""
    if text is None:
        return None
    try:
        found = json.loads(text)
        kind = str(found.get("type") or found["name"])
        message, trace = str(found.get("message") or ""), str(found.get("traceback") or "")
    except (ValueError, KeyError, AttributeError):
        kind, message, trace = "", text, ""
    if not may_see:
        return Failure(kind=kind, is_hidden=True)
    return Failure(kind=kind, message=message[:MOST], traceback=trace[:MOST])


def attributes(given: dict[str, Any] | None) -> dict[str, Any]:
    """Return a run's attributes for display."""
    found: dict[str, Any] = redacted(plain(given or {}))
    return found


def plain(value: Any) -> Any:
    """Return a value as plain JSON: what it is not becomes text."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case set() | frozenset():
            return sorted((plain(one) for one in value), key=repr)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return plain(asdict(value))
        case _:
            return str(value)


def redacted(value: Any) -> Any:
    """Return plain JSON without what stands under a key of ``DURABLE["REDACT"]``."""
    match value:
        case dict():
            return {key: HIDDEN if _is_secret(key) else redacted(one) for key, one in value.items()}
        case list():
            return [redacted(one) for one in value]
        case _:
            return value


def _is_secret(key: str) -> bool:
    name = key.lower()
    return any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in conf.options().REDACT)
