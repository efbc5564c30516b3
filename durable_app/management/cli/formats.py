"""Values as text: for people, whose terminal must obey nobody's data, and for programs."""

import json
import unicodedata
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from durable_app.insight.payloads import plain
from durable_app.insight.timeline import short

BLANK = "\\x20"
"""A blank where nobody would see it."""


def visible(text: str) -> str:
    """Return a text on one line, in which what would steer a terminal or hide itself is an escape."""
    if text.isprintable():
        return text
    return "".join(_visible(char) for char in text)


def _escaped(text: str) -> str:
    """Return a text so that no two look the same: with escapes, also for blanks at its ends."""
    inner = text.strip(" ").replace("\\", "\\\\")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in inner)
    before, after = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" "))
    return BLANK * before + shown + BLANK * after if inner else BLANK * len(text)


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else char.encode("unicode_escape").decode()


def cell(value: Any, widest: int | None = None) -> str:
    """Return a value for a table, cut to ``widest`` columns; times are in the project's zone."""
    match value:
        case None:
            text = "-"
        case datetime():
            text = f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
        case timedelta():
            text = short(value)
        case str():
            text = _escaped(value)
        case _:
            text = visible(json.dumps(plain(value), ensure_ascii=False))
    return _cut(text, widest)


def _cut(text: str, widest: int | None) -> str:
    if widest is None or columns(text) <= widest:
        return text
    kept, room = "", widest - 1
    for char in text:
        room -= columns(char)
        if room < 0:
            break
        kept += char
    return f"{kept}…"


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, width: int) -> str:
    """Return a text with so many spaces after it that it takes ``width`` columns."""
    return text + " " * (width - columns(text))


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON: times in ISO 8601, spans in seconds, errors as type and message."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=_other)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def _other(found: Any) -> Any:
    match found:
        case datetime():
            return found.isoformat()
        case timedelta():
            return found.total_seconds()
        case BaseException():
            return {"type": type(found).__name__, "message": str(found)}
        case _:
            return plain(found)


# Ids, a line each


def id_line(text: str) -> str:
    """Return an id for a line of its own: as JSON if it could not be read back otherwise."""
    is_plain = text.isprintable() and text == text.strip() and text[:1] not in ('"', "")
    return text if is_plain else json.dumps(text)


def read_id(line: str) -> str:
    """Return the id of such a line."""
    text = line.strip()
    if not text.startswith('"'):
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, str) else text
