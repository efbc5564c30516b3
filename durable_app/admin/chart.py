"""Throughput as shapes: columns made of what succeeded, failed and was cancelled; small ones for a queue."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from durable_app.insight.overview import Bin

HEIGHT = 120
"""Pixels from the lowest to the highest value."""

TICKS = 6
"""Times that the axis names, at most."""

FILLED = 0.8
"""How much of its place a column fills."""

SPARK = 20
"""Pixels of a small chart's height."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a column. Places are texts: a template must not put them into a language's figures."""

    kind: str
    """"is-ok", "is-bad" or "is-idle"."""
    y: str
    height: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What ended within a span of time, and the equal row of the table."""

    bin: Bin
    when: str
    x: str
    width: str
    title: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """All that the template writes down."""

    columns: tuple[Column, ...]
    ticks: tuple[tuple[str, str], ...]
    """Places and words of the times below."""
    lines: tuple[tuple[str, str], ...]
    """Places and values of the lines across."""
    height: int = HEIGHT

    @property
    def rows(self) -> list[Column]:
        """The columns that hold anything, the newest first."""
        return [column for column in reversed(self.columns) if column.bin.total]


def throughput(bins: Sequence[Bin], width: timedelta) -> Chart:
    """Return how many runs ended as a chart; ``width`` is the bins' length."""
    top = round_above(max((one.total for one in bins), default=0))
    has_days = width * len(bins) > timedelta(days=2)
    share = 100 / max(1, len(bins))
    return Chart(
        columns=tuple(_column(at * share, share, one, top, has_days) for at, one in enumerate(bins)),
        ticks=tuple(_ticks(bins, share, has_days)),
        lines=tuple((_pixels(HEIGHT - HEIGHT * value / top), f"{value:,}") for value in _values(top)),
    )


def _column(x: float, share: float, one: Bin, top: int, has_days: bool) -> Column:
    when = _time(one.since, has_days)
    counts = (one.succeeded, one.failed, one.cancelled)
    told = _("%(when)s: %(ok)d succeeded, %(bad)d failed, %(cancelled)d cancelled")
    return Column(
        bin=one,
        when=when,
        x=f"{x + share * (1 - FILLED) / 2:.3f}%",
        width=f"{share * FILLED:.3f}%",
        title=told % {"when": when, "ok": counts[0], "bad": counts[1], "cancelled": counts[2]},
        pieces=tuple(_stacked(counts, top)),
    )


def _stacked(counts: Sequence[int], top: int) -> Iterator[Piece]:
    below = 0
    for kind, count in zip(("is-ok", "is-bad", "is-idle"), counts, strict=True):
        if count:
            height = max(HEIGHT * count / top, 1.0)  # one failure among a thousand is to be seen
            y = max(0.0, HEIGHT - HEIGHT * below / top - height)
            yield Piece(kind=kind, y=_pixels(y), height=_pixels(height))
        below += count


def _ticks(bins: Sequence[Bin], share: float, has_days: bool) -> Iterator[tuple[str, str]]:
    step = max(1, -(-len(bins) // TICKS))
    for at in range(0, len(bins), step):
        yield f"{at * share:.3f}%", _time(bins[at].since, has_days)


def _time(moment: datetime, has_days: bool) -> str:
    return str(date_format(localtime(moment), "D j, H:i" if has_days else "H:i"))


def _values(top: int) -> tuple[int, ...]:
    return (top,) if top < 2 else (top // 2, top)


def round_above(count: int) -> int:
    """Return the next of 2, 4, 10, 20, 40, 100 … that is not below a count."""
    power = 1
    while True:
        for digit in (2, 4, 10):
            if count <= digit * power:
                return digit * power
        power *= 10


def spark(counts: Sequence[int]) -> list[tuple[str, str, str, str]]:
    """Return the columns of a small chart: x, y, width and height of each that is not empty."""
    top, share = max(counts, default=0) or 1, 100 / max(1, len(counts))
    return [
        (
            f"{at * share:.3f}%",
            _pixels(SPARK - max(SPARK * count / top, 1.0)),
            f"{share * FILLED:.3f}%",
            _pixels(max(SPARK * count / top, 1.0)),
        )
        for at, count in enumerate(counts)
        if count
    ]


def gauge(used: int, limit: int | None) -> str:
    """Return how much of a limit is used, as a width; empty without a limit."""
    return "" if not limit else f"{min(1.0, used / limit) * 100:.1f}%"


def _pixels(value: float) -> str:
    return f"{value:.1f}"
