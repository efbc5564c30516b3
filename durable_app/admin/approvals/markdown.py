"""Descriptions as people see them: a small, safe part of Markdown; everything else is text.

Paragraphs, line breaks, lists, **strong**, *emphasis*, `code`, and links to pages of the same site. No HTML,
no images and no links elsewhere: a description may quote what a stranger has written.
"""

import re

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

LONGEST = 20_000
"""Characters that are shown."""

_SPANS = re.compile(
    r"`(?P<code>[^`\n]{1,500})`"
    r"|\*\*(?P<strong>[^*\n]{1,500})\*\*"
    r"|\*(?P<em>[^*\s][^*\n]{0,500})\*"
    r"|\[(?P<label>[^\[\]\n]{1,200})\]\((?P<path>/(?!/)[^\s()\\]{0,500})\)"
)
_GAP = re.compile(r"\n[ \t]*\n\s*")
_BULLET = re.compile(r"[-*] +")


def rendered(text: str) -> SafeString:
    """Return a description as HTML; whatever it holds, nothing in it is executed or fetched."""
    shown = text[:LONGEST] + ("…" if len(text) > LONGEST else "")
    blocks = _GAP.split(shown.replace("\r\n", "\n").strip())
    return format_html_join("\n", "{}", ((_block(block),) for block in blocks if block))


def _block(text: str) -> SafeString:
    lines = text.split("\n")
    if all(_BULLET.match(line) for line in lines):
        items = ((_line(_BULLET.sub("", line, count=1)),) for line in lines)
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", items))
    return format_html(
        "<p>{}</p>", format_html_join(SafeString("<br>"), "{}", ((_line(line),) for line in lines))
    )


def _line(text: str) -> SafeString:
    parts: list[SafeString | str] = []
    end = 0
    for found in _SPANS.finditer(text):
        parts += [text[end : found.start()], _span(found)]
        end = found.end()
    return format_html_join("", "{}", ((part,) for part in [*parts, text[end:]]))


def _span(found: "re.Match[str]") -> SafeString:
    if found["path"]:
        return format_html('<a href="{}">{}</a>', found["path"], found["label"])
    tag = str(found.lastgroup)
    return format_html("<{}>{}</{}>", tag, found[tag], tag)
