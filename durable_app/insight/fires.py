"""When a schedule fires: its next times, in words, and what the next changes of the clocks do to it."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from durable_app.recurrence import Recurrence

LOOK_AHEAD = 370
"""Days in which changes of the clocks are looked for: every zone that has some has one within a year."""

MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What an expression in a zone means from now on."""

    ticks: tuple[datetime, ...]
    """The next ones, as the zone's clocks show them."""
    notes: tuple[str, ...]
    """What the next changes of the clocks do to it; empty if nothing."""
    words: str


def preview(recurrence: Recurrence, now: datetime, count: int = 5) -> Preview:
    """Return the next ``count`` ticks after a time, and what changes of the clocks will do to later ones."""
    ticks = upcoming(recurrence, now, count)
    return Preview(
        ticks=tuple(recurrence.local(tick) for tick in ticks),
        notes=tuple(_notes(recurrence, now)),
        words=in_words(recurrence.cron),
    )


def upcoming(recurrence: Recurrence, after: datetime, count: int) -> list[datetime]:
    """Return the next ``count`` ticks after a time, in UTC; fewer if the calendar ends before."""
    latest = datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
    return list(islice(recurrence.ticks(after, latest), count))


def in_words(cron: str) -> str:
    """Return an expression in words, if cron-descriptor is installed and understands it; else nothing."""
    try:
        found: Any = importlib.import_module("cron_descriptor")
    except ImportError:
        return ""
    options = found.Options()
    options.use_24hour_time_format = True
    try:
        return str(found.get_description(cron, options))
    except Exception:  # noqa: BLE001  (a sentence that is missing breaks nothing)
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockChange:
    """An instant at which a zone's clocks jump."""

    at: datetime
    before: timedelta
    """The offset until then."""
    after: timedelta

    @property
    def is_gap(self) -> bool:
        """Whether times are left out, rather than shown twice."""
        return self.after > self.before

    @property
    def walls(self) -> tuple[datetime, datetime]:
        """The stretch of times that is left out or shown twice, written as if it were UTC."""
        first, second = sorted((self.at + self.before, self.at + self.after))
        return first, second


def clock_changes(zone: ZoneInfo, since: datetime, days: int) -> Iterator[ClockChange]:
    """Yield the changes of a zone's clocks within so many days; two within one day are seen as one."""
    for number in range(days):
        start = since + timedelta(days=number)
        before, after = _offset(zone, start), _offset(zone, start + timedelta(days=1))
        if before != after:
            yield ClockChange(at=_changed_at(zone, start, before), before=before, after=after)


def _changed_at(zone: ZoneInfo, start: datetime, before: timedelta) -> datetime:
    """Return the second, within a day of ``start``, from which on the offset is another one."""
    low, high = 0, 86_400
    start = start.replace(microsecond=0)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, start + timedelta(seconds=middle)) == before:
            low = middle
        else:
            high = middle
    return start + timedelta(seconds=high)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _notes(recurrence: Recurrence, now: datetime) -> Iterator[str]:
    """Tell of each change that some of the schedule's times fall into."""
    times = Recurrence(recurrence.cron)
    for change in clock_changes(ZoneInfo(recurrence.timezone), now.astimezone(UTC), LOOK_AHEAD):
        first, last = change.walls
        if next(times.ticks(first - MOMENT, last - MOMENT), None) is not None:
            yield _note(change, recurrence.repeats)


def _note(change: ClockChange, repeats: bool) -> str:
    first, last = (f"{wall:%H:%M}" for wall in change.walls)
    day = f"{change.at + change.before:%Y-%m-%d}"
    if change.is_gap:
        what = "it does not fire in between" if repeats else f"what falls in between fires once, at {last}"
        return f"On {day} the clocks go from {first} to {last}: {what}."
    what = "it fires in both" if repeats else "it fires the first time only"
    return f"On {day} the clocks show {first} to {last} twice: {what}."
