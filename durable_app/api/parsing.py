"""Reading bodies: JSON alone, no larger than the project allows, and nothing that breaks the reader."""

import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer

from durable_app.api.options import options
from durable_app.api.problems import Problem

DEEPEST = 100
"""Levels of lists and objects in a body."""


class BoundedJSON(BaseParser):
    """JSON as RFC 8259 has it, read from the connection as far as it is allowed.

    For a ``JSONParser`` the framework would load the whole body first, up to Django's own limit.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Return what the body says; raises ParseError, Problem for one that is too large."""
        most = options().MAX_BODY * (getattr((parser_context or {}).get("view"), "body_factor", 1))
        raw = stream.read(most + 1)
        if len(raw) > most:
            raise Problem("payload-too-large", f"The body has more than {most} bytes.")
        try:
            found = json.loads(raw.decode(), parse_constant=_refused)
        except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
            raise ParseError(f"The body is not JSON: {error}.") from error
        if _is_deep(found):
            raise ParseError(f"The body is nested more than {DEEPEST} levels.")
        return found


def _is_deep(found: Any) -> bool:
    """Return whether a value is so deep that those who walk through it might not come back."""
    level = [found]
    for _level in range(DEEPEST + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


class PlainJSON(JSONRenderer):
    """JSON whatever the project's renderers are; in ASCII, as a payload may have half a surrogate pair."""

    ensure_ascii = True


class JSONAlone(DefaultContentNegotiation):
    """Answers in JSON to whoever asks: there is nothing to negotiate."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the one renderer."""
        return renderers[0], renderers[0].media_type
