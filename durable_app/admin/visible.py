"""Characters that nobody sees, or that turn round what stands beside them, written out on every page of ours.

A name may hold a U+202E: the rest of the sentence would read backwards. Here it reads ``\\u202e``, as at the
terminal. What forms carry and links lead to stays as it is: values, addresses, what is copied.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpResponseBase
from django.urls import URLPattern

_STEERING = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0001-\U000e007f"
)
_BEYOND_LATIN = "[^\x00-\u02ff\u2000-\u206f]"
"""Between such letters, and within emoji, joiners and marks of direction do their work."""

_HIDDEN = re.compile(f"[{_STEERING}]|(?<!{_BEYOND_LATIN})[\u200c-\u200f](?!{_BEYOND_LATIN})")

_PIECES = re.compile(
    r"(?P<kept><(?P<raw>textarea|script)\b.*?</(?P=raw)>)|(?P<tag><[^>]*>)|[^<]+", re.DOTALL | re.IGNORECASE
)

_READ = re.compile(r'\s(?:title|aria-label|placeholder)="[^"]*"')
"""Attributes that are read by people."""


def visible(text: str) -> str:
    """Return a text in which what would steer or hide is an escape."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def page(html: str) -> str:
    """Return HTML whose texts, and attributes that are read, are visible."""
    return _PIECES.sub(_piece, html) if _HIDDEN.search(html) else html


def _piece(found: re.Match[str]) -> str:
    if found["kept"] is not None:
        return found[0]
    if found["tag"] is not None:
        return _READ.sub(lambda attribute: visible(attribute[0]), found[0])
    return visible(found[0])


def shown(pattern: Any) -> Any:
    """Return a URL's pattern whose view answers with visible pages."""
    if not isinstance(pattern, URLPattern):
        return pattern
    return URLPattern(pattern.pattern, _shown(pattern.callback), pattern.default_args, pattern.name)


def _shown(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def show(*args: Any, **kwargs: Any) -> Any:
        response = view(*args, **kwargs)
        if hasattr(response, "add_post_render_callback"):
            response.add_post_render_callback(_write_out)
        else:
            _write_out(response)
        return response

    return show


def _write_out(response: HttpResponseBase) -> None:
    sent: Any = response
    if not sent.streaming and sent.get("Content-Type", "").startswith("text/html"):
        sent.content = page(sent.content.decode(sent.charset))
