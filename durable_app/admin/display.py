"""Pieces of HTML that lists and pages share; every value in them is escaped."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from durable_app import clock
from durable_app.insight.timeline import short
from durable_app.models import Status

NOTHING = SafeString('<span class="durable-quiet">–</span>')

_BADGES: Mapping[str, tuple[str, str]] = {
    Status.ENQUEUED: ("is-idle", "▷"),
    Status.DELAYED: ("is-wait", "◷"),
    Status.PENDING: ("is-run", "▶"),
    Status.WAITING: ("is-wait", "‖"),
    Status.SUCCESS: ("is-ok", "✓"),
    Status.ERROR: ("is-bad", "✗"),
    Status.CANCELLED: ("is-idle", "⊘"),
    Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED: ("is-bad", "✖"),
}


def badge(status: str) -> SafeString:
    """Return a run's status: a colour, a shape and a word."""
    kind, shape = _BADGES.get(status, ("is-idle", "?"))
    label = Status(status).label if status in Status.values else status
    return mark(kind, shape, label, status)


def dot(status: str, url: str, title: str) -> SafeString:
    """Return a run's status as a small sign, one of a row: a colour and a shape; the word is the title."""
    kind, shape = _BADGES.get(status, ("is-idle", "?"))
    word = Status(status).label if status in Status.values else status
    if not url:
        return format_html('<span class="durable-dot {}" title="{}, {}">{}</span>', kind, word, title, shape)
    tag = '<a class="durable-dot {}" href="{}" title="{}, {}" aria-label="{}, {}">{}</a>'
    return format_html(tag, kind, url, word, title, word, title, shape)


def mark(kind: str, shape: str, label: Any, title: str = "") -> SafeString:
    """Return a badge; ``kind`` is "is-ok", "is-bad", "is-run", "is-wait" or "is-idle"."""
    return format_html(
        '<span class="durable-badge {}" title="{}"><span aria-hidden="true">{}</span>{}</span>',
        kind,
        title,
        shape,
        label,
    )


def identifier(text: str | None, url: str = "", *, is_copied: bool = True, is_cut: bool = True) -> SafeString:
    """Return an id on one line: the middle of a long one left out, all of it in the title."""
    if not text:
        return NOTHING
    cut = text if len(text) <= 18 or not is_cut else f"{text[:8]}…{text[-9:]}"
    tag = '<a class="durable-id" href="{}" title="{}">{}</a>'
    shown = (
        format_html(tag, url, text, cut)
        if url
        else format_html('<span class="durable-id" title="{}">{}</span>', text, cut)
    )
    if not is_copied:
        return shown
    button = '{}<button type="button" class="durable-copy" aria-label="{}" data-durable-copy="{}"></button>'
    return format_html(button, shown, _("Copy"), text)


def folded(text: str, longest: int) -> SafeString:
    """Return a text; of a long one the beginning, which opens to all of it."""
    if len(text) <= longest:
        return format_html("{}", text)
    tag = '<details class="durable-fold"><summary><span>{}…</span> <em>{}</em></summary>{}</details>'
    return format_html(tag, text[: longest - 1], _("show all"), text)


def short_name(name: str, longest: int = 200) -> SafeString:
    """Return a workflow's name without its module, and the middle if it is long; the title has all."""
    return format_html(
        '<span title="{}">{}</span>', name, shortened(name.rpartition(".")[2] or name, longest)
    )


def shortened(text: str, longest: int) -> str:
    """Return a text without the middle of a long one: names differ at their ends."""
    kept = longest // 2
    return text if len(text) <= longest else f"{text[:kept]}…{text[kept - longest + 1 :]}"


def ago(time: datetime | None) -> SafeString:
    """Return a time as people say it: "3 m ago", "in 2 h"; exactly in the title."""
    if time is None:
        return NOTHING
    span = clock.now() - time
    words = f"{roughly(span)} ago" if span >= timedelta(0) else f"in {roughly(-span)}"
    return stamped(time, words)


def roughly(span: timedelta) -> str:
    """Return a span in its largest unit: "3 m", "2 h", "4 d"."""
    if timedelta(seconds=1) <= span < timedelta(minutes=1):
        return f"{int(span.total_seconds())} s"
    return " ".join(short(span).split()[:2])


def stamped(time: datetime, words: str) -> SafeString:
    """Return words that stand for a time."""
    return format_html(
        '<time class="durable-nowrap" datetime="{}" title="{}">{}</time>',
        time.isoformat(),
        exactly(time),
        words,
    )


def exactly(time: datetime | None) -> str:
    """Return a time in the project's time zone, to the second."""
    if time is None:
        return "–"
    local = localtime(time)
    return f"{date_format(local, 'Y-m-d H:i:s')} {local.tzname() or ''}".strip()


def duration(start: datetime | None, end: datetime | None) -> SafeString:
    """Return how long something took; counted on by the browser while it goes on."""
    if start is None:
        return NOTHING
    if end is not None:
        return format_html('<span class="durable-nowrap">{}</span>', short(end - start))
    return format_html(
        '<span class="durable-nowrap" data-durable-since="{}">{}</span>',
        start.isoformat(),
        short(clock.now() - start),
    )
