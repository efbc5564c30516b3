"""Cron expressions in a time zone, turned into instants that are right at both clock changes.

croniter reads the fields and finds the days; the clock is ours. Ticks are computed as wall-clock times and
mapped to instants here: a time that does not exist fires once, at the first instant after the gap; a time
that occurs twice fires once, the first time. An expression with ``*`` or ``*/n`` in its minutes or hours
means "every so often": it fires at each instant that shows such a time, through the change as before it.
"""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from datetime import timezone as fixed
from functools import lru_cache
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from durable_app.errors import InvalidOptionError

LONGEST = 255
"""Characters of an expression, and of a zone's name."""

_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_FIELDS = (
    ("second", 0, 59),
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)

_WIDEST_OVERLAP = timedelta(hours=26)
"""More than any zone has ever set its clocks back."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A cron expression of 5 fields, or of 6 with the seconds first, in a time zone.

    Raises InvalidOptionError, naming the field, for an expression that is malformed or never fires, and for
    an unknown zone.
    """

    cron: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check_text("a cron expression", self.cron)
        _check_text("a time zone's name", self.timezone)
        _parsed(self.cron)
        _zone(self.timezone)

    @property
    def repeats(self) -> bool:
        """Whether it means "every so often" rather than times of the day."""
        return _parsed(self.cron).repeats

    def next_after(self, instant: datetime) -> datetime:
        """Return the first tick after an instant, in UTC."""
        return next(self._after(instant))

    def ticks(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the ticks after one instant until another (inclusive), in UTC."""
        for tick in self._after(after):
            if tick > until:
                return
            yield tick

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the ticks between two instants, both exclusive, in UTC."""
        return (tick for tick in self.ticks(start, end) if tick < end)

    def latest(self, count: int, after: datetime, until: datetime) -> list[datetime]:
        """Return the last ``count`` of ``ticks``, in order, without a look at all that came before them."""
        span = timedelta(minutes=1)
        while True:
            start = max(after, until - min(span, until - after))
            found = list(self.ticks(start, until))
            if len(found) >= count or start <= after:
                return found[-count:]
            span *= 4

    def local(self, instant: datetime) -> datetime:
        """Return an instant as the zone's clocks show it; it has their offset, as when stored and read."""
        shown = instant.astimezone(_zone(self.timezone))
        return shown.astimezone(fixed(_offset(shown)))

    def _after(self, instant: datetime) -> Iterator[datetime]:
        fields, zone = _parsed(self.cron), _zone(self.timezone)
        last = instant.astimezone(UTC)
        walls = fields.walls(_earliest_wall(last, zone))
        for tick in _each_time(walls, zone) if fields.repeats else _once_each(walls, zone):
            if tick > last:
                yield tick
                last = tick


def _check_text(what: str, given: object) -> None:
    if not isinstance(given, str) or len(given) > LONGEST:
        raise InvalidOptionError(f"{what} is a text of at most {LONGEST} characters, not {given!r:.60}")


def _earliest_wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return a wall-clock time before which no clock will be any more, once the instant has passed."""
    now = instant.astimezone(zone)
    soon = (instant + _WIDEST_OVERLAP).astimezone(zone)
    back = max(timedelta(0), _offset(now) - _offset(soon))
    return now.replace(tzinfo=None, fold=0, microsecond=0) - back


def _once_each(walls: Iterator[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """Yield one instant a wall-clock time, in order; those of one gap fall together."""
    for wall in walls:
        found = _instants(wall, zone)
        yield found[0] if found else _end_of_gap(wall, zone)


def _each_time(walls: Iterator[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """Yield every instant at which a clock shows one of the times, in order."""
    again: deque[datetime] = deque()
    for wall in walls:
        found = _instants(wall, zone)
        while found and again and again[0] < found[0]:
            yield again.popleft()
        yield from found[:1]
        again.extend(found[1:])


def _instants(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return when clocks of the zone show a time: once, twice, or (in a gap) never. See PEP 495."""
    first = _offset(wall.replace(tzinfo=zone, fold=0))
    second = _offset(wall.replace(tzinfo=zone, fold=1))
    if first < second:
        return []
    offsets = (first,) if first == second else (first, second)
    return [(wall - offset).replace(tzinfo=UTC) for offset in offsets]


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the clocks jumped over a wall-clock time."""
    before, after = (_offset(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    start = (wall - after).replace(tzinfo=UTC)

    def has_jumped(seconds: int) -> bool:
        return _offset((start + timedelta(seconds=seconds)).astimezone(zone)) != before

    width = int((after - before).total_seconds())
    return start + timedelta(seconds=bisect_left(range(width), True, key=has_jumped))


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta(0)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found; no plain name; a folder of zones
        raise InvalidOptionError(f"there is no time zone {name!r}", "timezone") from None


# Reading an expression


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fields:
    """An expression, read: which days, and which times on them."""

    days: str
    """The same expression for midnight: croniter finds its days."""
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]
    repeats: bool
    """Whether it means "every so often" rather than times of the day."""

    def walls(self, since: datetime) -> Iterator[datetime]:
        """Yield the wall-clock times from a moment on, in order, for ever."""
        midnight = datetime.combine(since, time.min)
        just_before = midnight - timedelta(seconds=1)
        for day in croniter(self.days, just_before, ret_type=datetime):
            for clock in self._times(since.time() if day == midnight else time.min):
                yield datetime.combine(day, clock)

    def _times(self, since: time) -> Iterator[time]:
        for hour in self.hours[bisect_left(self.hours, since.hour) :]:
            earliest = since.minute if hour == since.hour else 0
            for minute in self.minutes[bisect_left(self.minutes, earliest) :]:
                is_first = (hour, minute) == (since.hour, since.minute)
                for second in self.seconds[bisect_left(self.seconds, since.second) if is_first else 0 :]:
                    yield time(hour, minute, second)


@lru_cache(maxsize=1024)
def _parsed(cron: str) -> _Fields:
    texts = _split(cron)
    expanded = [_expanded(cron, position, text) for position, text in enumerate(texts)]
    seconds, minutes, hours = (
        tuple(range(high + 1)) if "*" in values else tuple(one for one in values if isinstance(one, int))
        for values, (_, _, high) in zip(expanded[:3], _FIELDS[:3], strict=True)
    )
    fields = _Fields(
        days=" ".join(["0", "0", *texts[3:]]),
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        repeats="*" in texts[1] or "*" in texts[2],
    )
    try:
        next(fields.walls(datetime(2000, 1, 1)))  # noqa: DTZ001  (a wall-clock time has no zone)
    except CroniterError as error:
        raise InvalidOptionError(f"the cron expression {cron!r} never fires: {error}", "cron") from None
    return fields


def _split(cron: str) -> list[str]:
    """Return six fields, the seconds first."""
    texts = _ALIASES.get(cron.strip().lower(), cron).split()
    if len(texts) not in (5, 6):
        raise InvalidOptionError(
            f"a cron expression has 5 fields, or 6 with the seconds first; {cron!r} has {len(texts)}",
            "cron",
        )
    return texts if len(texts) == 6 else ["0", *texts]


def _expanded(cron: str, position: int, text: str) -> Sequence[int | str]:
    """Return the values of one field, read by itself, so that an error can name it."""
    name, low, high = _FIELDS[position]
    alone = ["*"] * len(_FIELDS)
    alone[position] = text
    try:
        if not _is_within(text, high, high - low + 1):
            raise CroniterError("out of range")
        expanded, _ = croniter.expand(" ".join(alone), second_at_beginning=True)
    except CroniterError:
        raise InvalidOptionError(
            f"the cron expression {cron!r} is invalid: {text!r} is no {name} ({low} to {high})",
            "cron",
        ) from None
    return expanded[_CRONITERS_ORDER[position]]


_CRONITERS_ORDER = (5, 0, 1, 2, 3, 4)
"""Where croniter puts seconds, minutes, hours, ..."""


def _is_within(text: str, highest: int, most: int) -> bool:
    """Return whether a field's numbers are small enough to be expanded, and it means the same every time.

    croniter would also draw a random value for ``R``, and take a step beyond the field's end for none.
    """
    if text[0] in "hHrR":
        return False
    steps, numbers = re.findall(r"/(\d+)", text), re.findall(r"(?<![/\d])\d+", text)
    bounds = [*((one, most) for one in steps), *((one, highest) for one in numbers)]
    return all(len(number) <= 4 and int(number) <= bound for number, bound in bounds)
