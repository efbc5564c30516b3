"""Cron expressions against clocks: what is expected is found by looking at a clock minute by minute."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from durable_app.errors import InvalidOptionError
from durable_app.recurrence import Recurrence

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FROM, TO = datetime(2006, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)

ZONES = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",  # winter time is the exception there
    "America/New_York",
    "America/St_Johns",  # half an hour off, and changed at a minute past midnight until 2011
    "America/Sao_Paulo",  # changed at midnight: some days began at one
    "America/Caracas",  # half an hour back in 2007, and forth in 2016
    "Africa/Casablanca",  # paused summer time each Ramadan
    "Asia/Tehran",  # changed at midnight, and has stopped to
    "Asia/Kathmandu",  # +05:45, never changed
    "Australia/Lord_Howe",  # half an hour of summer time
    "Pacific/Apia",  # left out a whole day
    "Antarctica/Troll",  # two hours of summer time
    "Asia/Pyongyang",  # half an hour back in 2015, and forth in 2018
]


@cache
def changes(name: str) -> list[datetime]:
    """Find the instants at which a zone's clocks jump, to the minute."""
    zone = ZoneInfo(name)
    found, moment, before = [], FROM, FROM.astimezone(zone).utcoffset()
    while moment < TO:
        moment += HOUR
        after = moment.astimezone(zone).utcoffset()
        if after != before:
            minute = moment - HOUR
            while minute.astimezone(zone).utcoffset() == before:
                minute += MINUTE
            found.append(minute)
            before = after
    return found


class Clock:
    """What a zone's clocks show around a change, minute by minute."""

    def __init__(self, name: str, change: datetime) -> None:
        zone = ZoneInfo(name)
        self.start = change - 4 * HOUR
        instants = [self.start + minute * MINUTE for minute in range(32 * 60)]
        self.shown = [(one, one.astimezone(zone).replace(tzinfo=None, fold=0)) for one in instants]
        self.end = instants[-1]
        self.first: dict[datetime, datetime] = {}
        for instant, shown in self.shown:
            self.first.setdefault(shown, instant)

    def once(self, hour: int, minute: int) -> list[datetime]:
        """Return when a daily time is first shown, or passed over."""
        at = self.shown[0][1].replace(hour=hour, minute=minute)
        ticks = (self._first_at_or_past(at + n * DAY) for n in range(4))
        return sorted({tick for tick in ticks if tick is not None and tick > self.start})

    def _first_at_or_past(self, wall: datetime) -> datetime | None:
        if self.shown[0][1] >= wall:
            return None
        if wall in self.first:
            return self.first[wall]
        return next((instant for instant, shown in self.shown if shown > wall), None)

    def each(self, matches: Callable[[datetime], bool]) -> list[datetime]:
        """Return every minute, but for the first, that shows a matching time."""
        return [instant for instant, shown in self.shown[1:] if matches(shown)]

    def times_at(self, change: datetime) -> Iterator[tuple[int, int]]:
        """Yield times of the day around what is skipped or repeated."""
        at = self.shown.index(next(one for one in self.shown if one[0] == change))
        walls = {self.shown[at][1], self.shown[at - 1][1] + MINUTE}
        low, high = min(walls), max(walls)
        wall = low - 45 * MINUTE
        while wall <= min(high, low + 3 * HOUR) + 45 * MINUTE:
            yield wall.hour, wall.minute
            wall += 15 * MINUTE


@pytest.mark.parametrize("zone", ZONES)
def test_a_daily_time_fires_once_a_day_at_every_change_of_20_years(zone: str) -> None:
    """229. Skipped, it fires at the end of the gap; repeated, it fires the first time."""
    for change in changes(zone):
        clock = Clock(zone, change)
        for hour, minute in sorted(set(clock.times_at(change))):
            fired = list(Recurrence(f"{minute} {hour} * * *", zone).ticks(clock.start, clock.end))
            assert fired == clock.once(hour, minute), (zone, change, hour, minute)


REPEATING: dict[str, Callable[[datetime], bool]] = {
    "* * * * *": lambda shown: True,
    "0 * * * *": lambda shown: shown.minute == 0,
    "*/15 * * * *": lambda shown: shown.minute % 15 == 0,
    "30 */2 * * *": lambda shown: shown.minute == 30 and shown.hour % 2 == 0,
    "*/20 1-3 * * *": lambda shown: shown.minute % 20 == 0 and 1 <= shown.hour <= 3,
    "5,35 * * * 0": lambda shown: shown.minute in (5, 35) and shown.isoweekday() == 7,
}


@pytest.mark.parametrize("zone", ZONES)
def test_every_so_often_means_each_instant_at_every_change_of_20_years(zone: str) -> None:
    """229. With `*` or `*/n` in minutes or hours no instant is left out, and none that no clock shows."""
    for change in changes(zone):
        clock = Clock(zone, change)
        for cron, matches in REPEATING.items():
            fired = list(Recurrence(cron, zone).ticks(clock.start, clock.end))
            assert fired == clock.each(matches), (zone, change, cron)


def test_the_zones_change_as_often_as_they_should() -> None:
    """The tables above are not empty."""
    counts = {zone: len(changes(zone)) for zone in ZONES}
    assert counts["UTC"] == counts["Asia/Kathmandu"] == 0
    assert counts["Europe/Berlin"] == counts["America/New_York"] == 40
    assert counts["Africa/Casablanca"] > 40
    assert sum(counts.values()) > 350


@pytest.mark.parametrize("zone", ZONES)
def test_a_daily_schedule_has_as_many_ticks_as_days(zone: str) -> None:
    """227. Over 20 years, in order, whatever the clocks did: one for each date of the calendar."""
    fired = list(Recurrence("30 2 * * *", zone).ticks(FROM, TO))
    assert fired == sorted(set(fired))
    assert len(fired) == pytest.approx((TO - FROM).days, abs=1)
    assert max(later - earlier for earlier, later in pairwise(fired)) <= 27 * HOUR


@pytest.mark.parametrize("zone", ZONES)
def test_a_rhythm_is_not_broken_by_the_clocks(zone: str) -> None:
    """227. Every half hour is every half hour, where clocks jump by whole or half hours."""
    fired = list(Recurrence("*/30 * * * *", zone).ticks(datetime(2024, 1, 1, tzinfo=UTC), TO))
    assert {later - earlier for earlier, later in pairwise(fired)} == {30 * MINUTE}


# By hand

BY_HAND = """
Europe/Berlin       | 30 2 * * *      | 2025-03-30T00:00Z | 2025-03-30T03:00+02:00 | 2025-03-31T02:30+02:00
Europe/Berlin       | 30 2 * * *      | 2025-10-25T12:00Z | 2025-10-26T02:30+02:00 | 2025-10-27T02:30+01:00
Europe/Berlin       | 0,30 2 * * *    | 2025-03-30T00:00Z | 2025-03-30T03:00+02:00 | 2025-03-31T02:00+02:00
Europe/Berlin       | 0 2,3 * * *     | 2025-03-30T00:00Z | 2025-03-30T03:00+02:00 | 2025-03-31T02:00+02:00
Europe/Berlin       | 0 * * * *       | 2025-10-25T23:30Z | 2025-10-26T02:00+02:00 | 2025-10-26T02:00+01:00
Europe/Berlin       | 0 * * * *       | 2025-03-30T00:30Z | 2025-03-30T03:00+02:00 | 2025-03-30T04:00+02:00
Europe/Berlin       | 0 0-23 * * *    | 2025-10-26T00:00Z | 2025-10-26T03:00+01:00 | 2025-10-26T04:00+01:00
Europe/Berlin       | */10 30 2 * * * | 2025-03-30T00:00Z | 2025-03-30T03:00+02:00 | 2025-03-31T02:30+02:00
Europe/Dublin       | 15 1 * * *      | 2025-03-30T00:00Z | 2025-03-30T02:00+01:00 | 2025-03-31T01:15+01:00
America/New_York    | 30 1 * * *      | 2025-11-02T00:00Z | 2025-11-02T01:30-04:00 | 2025-11-03T01:30-05:00
Australia/Lord_Howe | 15 2 * * *      | 2025-10-04T15:00Z | 2025-10-05T02:30+11:00 | 2025-10-06T02:15+11:00
Australia/Lord_Howe | 45 1 * * *      | 2025-04-05T12:00Z | 2025-04-06T01:45+11:00 | 2025-04-07T01:45+10:30
America/Sao_Paulo   | 0 0 * * *       | 2018-11-03T12:00Z | 2018-11-04T01:00-02:00 | 2018-11-05T00:00-02:00
America/St_Johns    | 5 0 * * *       | 2011-03-13T00:00Z | 2011-03-13T01:01-02:30 | 2011-03-14T00:05-02:30
Antarctica/Troll    | 30 1 * * *      | 2025-03-29T12:00Z | 2025-03-30T03:00+02:00 | 2025-03-31T01:30+02:00
Antarctica/Troll    | 30 1 * * *      | 2025-10-25T12:00Z | 2025-10-26T01:30+02:00 | 2025-10-27T01:30+00:00
Pacific/Apia        | 0 12 * * *      | 2011-12-30T00:00Z | 2011-12-31T00:00+14:00 | 2011-12-31T12:00+14:00
Asia/Tehran         | 0 0 * * *       | 2022-03-21T12:00Z | 2022-03-22T01:00+04:30 | 2022-03-23T00:00+04:30
Asia/Kathmandu      | 0 0 * * *       | 2025-01-01T00:00Z | 2025-01-02T00:00+05:45 | 2025-01-03T00:00+05:45
Africa/Casablanca   | 30 2 * * *      | 2025-04-06T00:00Z | 2025-04-06T03:00+01:00 | 2025-04-07T02:30+01:00
"""


@pytest.mark.parametrize("row", BY_HAND.strip().splitlines())
def test_known_days(row: str) -> None:
    """229. What the calendar on the wall says."""
    zone, cron, after, *expected = (cell.strip() for cell in row.split("|"))
    recurrence = Recurrence(cron, zone)
    moment, fired = datetime.fromisoformat(after), []
    for _ in expected:
        moment = recurrence.next_after(moment)
        fired.append(recurrence.local(moment).isoformat(timespec="minutes"))
    assert fired == expected


# Days, found by asking each of four years

DAYS: dict[str, Callable[[date], bool]] = {
    "* * *": lambda day: True,
    "1 * *": lambda day: day.day == 1,
    "*/10 * *": lambda day: day.day in (1, 11, 21, 31),
    "31 * *": lambda day: day.day == 31,
    "29 2 *": lambda day: (day.month, day.day) == (2, 29),
    "* jan,JUL mon-fri": lambda day: day.month in (1, 7) and day.isoweekday() <= 5,
    "13 * 5": lambda day: day.day == 13 or day.isoweekday() == 5,
    "* * 0": lambda day: day.isoweekday() == 7,
    "* * 7": lambda day: day.isoweekday() == 7,
    "L * *": lambda day: (day + DAY).day == 1,
    "* * mon#2": lambda day: day.isoweekday() == 1 and 8 <= day.day <= 14,
    "* * L5": lambda day: day.isoweekday() == 5 and (day + 7 * DAY).month != day.month,
    "? 2-4/2 ?": lambda day: day.month in (2, 4),
}


@pytest.mark.parametrize("fields", DAYS)
def test_the_days_are_those_the_fields_name(fields: str) -> None:
    """226. Five fields, names and ranges; a day matches by month and by either kind of day."""
    days = [date(2023, 1, 1) + n * DAY for n in range(4 * 366)]
    fired = Recurrence(f"59 23 {fields}").ticks(
        datetime(2023, 1, 1, tzinfo=UTC), datetime.combine(days[-1], datetime.max.time(), UTC)
    )
    assert [tick.date() for tick in fired] == [day for day in days if DAYS[fields](day)]


def test_six_fields_have_the_seconds_first() -> None:
    """226. As the seed has it, unlike some."""
    start = datetime(2025, 5, 5, 10, tzinfo=UTC)
    fired = Recurrence("*/20 1,2 * * * *").ticks(start, start + 5 * MINUTE)
    assert [(tick.minute, tick.second) for tick in fired] == [
        (1, 0),
        (1, 20),
        (1, 40),
        (2, 0),
        (2, 20),
        (2, 40),
    ]


@pytest.mark.parametrize(
    ("alias", "cron"), [("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@Monthly", "0 0 1 * *")]
)
def test_aliases_are_what_they_stand_for(alias: str, cron: str) -> None:
    assert Recurrence(alias).next_after(FROM) == Recurrence(cron).next_after(FROM)


# Asking


@pytest.mark.parametrize(
    "cron", ["*/7 * * * *", "30 2 * * *", "0 */2 * * *", "15 1,2 * * 0", "*/25 30 2 * * *"]
)
def test_all_ways_to_ask_give_the_same_ticks(cron: str) -> None:
    """235. One after another, between, and the latest, from any instant, also in the midst of a change."""
    recurrence = Recurrence(cron, "Europe/Berlin")
    start, end = datetime(2025, 10, 18, tzinfo=UTC), datetime(2025, 11, 3, tzinfo=UTC)
    all_ticks = list(recurrence.ticks(start, end))
    chance = random.Random(1)
    for _ in range(60):
        moment = start + (end - start) * chance.random()
        later = [tick for tick in all_ticks if tick > moment]
        earlier = [tick for tick in all_ticks if tick <= moment]
        assert recurrence.next_after(moment) == (later or [recurrence.next_after(end)])[0]
        assert recurrence.latest(3, start, moment) == earlier[-3:]
        assert list(recurrence.ticks(moment, end)) == later


def test_between_leaves_both_ends_out() -> None:
    """235. A tick at the very start or end is not between them."""
    start = datetime(2025, 5, 5, 10, tzinfo=UTC)
    found = list(Recurrence("* * * * *").between(start, start + 3 * MINUTE))
    assert found == [start + MINUTE, start + 2 * MINUTE]
    assert list(Recurrence("* * * * *").between(start, start - HOUR)) == []


def test_the_latest_of_a_long_time_is_found_without_looking_at_all_of_it() -> None:
    """237. A tick a second for forty years, of which three are wanted."""
    end = datetime(2026, 1, 1, tzinfo=UTC)
    found = Recurrence("* * * * * *").latest(3, datetime(1986, 1, 1, tzinfo=UTC), end)
    assert found == [end - timedelta(seconds=n) for n in (2, 1, 0)]


def test_ticks_are_told_in_utc_and_shown_in_the_zone() -> None:
    """229. Instants are compared in UTC: two times of one zone would be compared by their hands."""
    recurrence = Recurrence("30 2 * * *", "Europe/Berlin")
    tick = recurrence.next_after(datetime(2025, 7, 1, tzinfo=UTC))
    assert tick.tzinfo is UTC
    assert recurrence.local(tick).isoformat() == "2025-07-01T02:30:00+02:00"


# Refusals

INVALID = {
    "60 * * * *": "'60' is no minute",
    "* 24 * * *": "'24' is no hour",
    "* * 0 * *": "'0' is no day of the month",
    "* * 32 * *": "'32' is no day of the month",
    "* * * 13 *": "'13' is no month",
    "* * * * 8": "'8' is no day of the week",
    "60 * * * * *": "'60' is no second",
    "*/0 * * * *": "'\\*/0' is no minute",
    "*/90 * * * *": "'\\*/90' is no minute",
    "0-99999999999999999999 * * * *": "is no minute",
    "1/99999999999999999999 * * * *": "is no minute",
    "-1 * * * *": "is no minute",
    "1,,2 * * * *": "is no minute",
    "١ * * * *": "is no minute",
    "R * * * *": "'R' is no minute",
    "H H * * *": "'H' is no minute",
    "* * * foo *": "'foo' is no month",
    "0 0 30 2 *": "never fires",
    "0 0 31 2,4,6,9,11 *": "never fires",
    "* * * *": "has 4",
    "* * * * * * *": "has 7",
    "": "has 0",
    "@reboot": "has 1",
    "* " * 200: "at most 255 characters",
}


@pytest.mark.parametrize("cron", INVALID)
def test_a_bad_expression_is_refused_with_the_fields_name(cron: str) -> None:
    """226, 242. A ValueError, before anything is expanded."""
    with pytest.raises(InvalidOptionError, match=INVALID[cron]) as caught:
        Recurrence(cron)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("cron", [None, 5, ["* * * * *"]])
def test_an_expression_is_text(cron: object) -> None:
    """226. What is no text is refused as such."""
    with pytest.raises(InvalidOptionError, match="cron expression is a text"):
        Recurrence(cron)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "zone", ["Nowhere/City", "America", "../../etc/passwd", "/etc/localtime", "a\0b", "", 7]
)
def test_an_unknown_zone_is_refused(zone: object) -> None:
    """226. Also what names a folder of zones, or a file elsewhere."""
    with pytest.raises(InvalidOptionError, match="time zone"):
        Recurrence("* * * * *", zone)  # type: ignore[arg-type]
