"""A timeline as shapes: places in pixels and per cent, for a template that only writes them down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from durable_app.insight.timeline import Row, Segment, Timeline, short

ROW = 22
"""Pixels of a row."""

HEAD = 24
"""Pixels of the axis above the rows."""

INDENT = 12
"""Pixels that a level of depth moves a label."""

SLIMMEST = 0.2
"""Per cent of the line that the shortest piece is drawn with, so that it can be seen."""

_SHAPES: Mapping[str, str] = {
    "done": "✓",
    "failed": "✗",
    "running": "▶",
    "waiting": "‖",
    "copied": "=",
    "queued": "▷",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A piece of a row. Places are texts: a template must not put them into a language's figures."""

    kind: str
    x: str
    width: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A row of the drawing, and of the equal table."""

    row: Row
    y: int
    indent: int
    shape: str
    href: str
    took: str
    bars: tuple[Bar, ...]

    @property
    def middle(self) -> int:
        """Where the label's line is."""
        return self.y + 15

    @property
    def top(self) -> int:
        """Where the bars begin."""
        return self.y + 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A mark on the axis."""

    x: str
    label: str
    anchor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """All that the template writes down."""

    lines: tuple[Line, ...]
    height: int
    ticks: tuple[Tick, ...]
    now: str
    squeezed: tuple[str, str] | None
    """Place and width of the stretch that is drawn short."""
    failures: int


def drawn(timeline: Timeline, href: Callable[[Row], str]) -> Drawing:
    """Return a timeline as shapes; ``href`` tells where a row's label leads."""
    lines = tuple(_line(row, HEAD + number * ROW, href(row)) for number, row in enumerate(timeline.rows))
    squeezed = timeline.squeezed
    return Drawing(
        lines=lines,
        height=HEAD + len(lines) * ROW + 6,
        ticks=_ticks(timeline),
        now="" if timeline.now is None else _percent(timeline.now),
        squeezed=None if squeezed is None else (_percent(squeezed[0]), _percent(squeezed[1] - squeezed[0])),
        failures=timeline.failures,
    )


def _line(row: Row, y: int, href: str) -> Line:
    return Line(
        row=row,
        y=y,
        indent=4 + row.depth * INDENT,
        shape=_SHAPES.get(row.state, "?"),
        href=href,
        took="" if row.duration is None else short(row.duration),
        bars=tuple(_bar(segment) for segment in row.segments),
    )


def _bar(segment: Segment) -> Bar:
    width = max(segment.width, SLIMMEST / 100)
    return Bar(
        kind=segment.kind,
        x=_percent(min(segment.start, 1 - width)),
        width=_percent(width),
        title=segment.title,
    )


def _ticks(timeline: Timeline) -> tuple[Tick, ...]:
    return tuple(
        Tick(x=_percent(place), label=label, anchor=_anchor(place)) for place, label in timeline.ticks
    )


def _anchor(place: float) -> str:
    return "start" if place < 0.05 else "end" if place > 0.95 else "middle"


def _percent(share: float) -> str:
    return f"{share * 100:.3f}%"
