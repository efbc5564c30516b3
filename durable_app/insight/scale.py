"""From times to places on a line, with long idle stretches drawn short."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

IDLE_SHARE = 0.6
"""An idle stretch that takes more than this share of the line is drawn short."""

SQUEEZED = 0.12
"""The share of the line that such a stretch is drawn with."""

LETTER = 0.013
"""The share of the line that a letter of a label takes, on a narrow page."""

Stretch = tuple[datetime, datetime]

Mark = tuple[float, str]
"""A place on the line, and its label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Maps the time between ``start`` and ``end`` on 0 to 1, but for one idle stretch evenly."""

    start: datetime
    end: datetime
    idle: Stretch | None = None

    @classmethod
    def over(cls, start: datetime, end: datetime, busy: Iterable[Stretch] = ()) -> "Scale":
        """Return the scale of a stretch; ``busy`` is what must not be drawn short."""
        end = max(end, start + timedelta(milliseconds=1))
        gap = max(_gaps(start, end, sorted(busy)), key=_length, default=None)
        if gap is None or gap == (start, end) or _length(gap) < IDLE_SHARE * (end - start):
            return cls(start=start, end=end)
        return cls(start=start, end=end, idle=gap)

    def at(self, time: datetime) -> float:
        """Return where a time is drawn; what lies outside is drawn at the edge."""
        time = min(max(time, self.start), self.end)
        if self.idle is None:
            return (time - self.start) / (self.end - self.start)
        began, ended = self.idle
        busy = (self.end - self.start) - (ended - began)
        share = (1 - SQUEEZED) / (busy / timedelta(seconds=1) or 1.0)
        before = (min(time, began) - self.start) / timedelta(seconds=1) * share
        if time <= began:
            return before
        inside = (min(time, ended) - began) / (ended - began) * SQUEEZED
        after = max(time - ended, timedelta(0)) / timedelta(seconds=1) * share
        return before + inside + after


def apart(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Return the first and the last mark, and those between them whose labels have room beside the others."""
    if len(marks) < 2:
        return tuple(marks)
    first, *between, last = marks
    found = [first]
    for mark in between:
        if _edges(found[-1])[1] < _edges(mark)[0] and _edges(mark)[1] < _edges(last)[0]:
            found.append(mark)
    return (*found, last)


def _edges(mark: Mark) -> tuple[float, float]:
    """Return where a label begins and ends; it stands about its place, but does not leave the line."""
    place, label = mark
    width = (len(label) + 1) * LETTER
    left = min(max(0.0, place - width / 2), 1 - width)
    return left, left + width


def _gaps(start: datetime, end: datetime, busy: Sequence[Stretch]) -> list[Stretch]:
    """Return the stretches in which nothing is busy."""
    gaps: list[Stretch] = []
    free_from = start
    for began, ended in busy:
        if began > free_from:
            gaps.append((free_from, began))
        free_from = max(free_from, ended)
    if free_from < end:
        gaps.append((free_from, end))
    return gaps


def _length(stretch: Stretch) -> timedelta:
    return stretch[1] - stretch[0]
