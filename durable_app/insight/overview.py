"""The overview: what runs, what waits, what failed lately, who works. One value for every surface.

``overview(timedelta(days=1))`` has all of it; ``health()`` only what is not well.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from durable_app import clock
from durable_app.errors import InvalidOptionError
from durable_app.insight.health import Banner, Look, Onlooker, banners, health, look, sight_of
from durable_app.limits import RateLimit
from durable_app.store import activity
from durable_app.store.activity import Ended, Failed, Group, Pace
from durable_app.store.queues import QueueState

__all__ = ["Banner", "Overview", "Pace", "health", "overview", "paces"]

LONGEST_WINDOW = timedelta(days=366)

MOST_BINS = 60

BINS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 180, 360, 720, 1440, 10080))
"""Spans of time that a throughput is counted by."""

SAMPLE = 5_000
"""The newest failures, which are sorted by what they have in common."""

MOST_FAILURES = 10
"""Kinds of failure that are told of."""

MOST_PACES = 10
"""Workflows whose durations are told of."""

OUTCOMES = {"SUCCESS": "succeeded", "CANCELLED": "cancelled"}
"""What an ended run's status counts as; all else has failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Runs in each state now, and what became of those that ended within the window."""

    running: int
    waiting: int
    """Ready in a queue: ENQUEUED."""
    oldest_at: datetime | None
    """Since when the one waits that has waited longest."""
    delayed: int
    parked: int
    """Waiting for a message, a time or a result: WAITING."""
    succeeded: int
    failed: int
    cancelled: int
    approvals: int
    """Questions that nobody has answered yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """How many runs ended within a span of time; the spans of an overview follow one another."""

    since: datetime
    succeeded: int
    failed: int
    cancelled: int

    @property
    def total(self) -> int:
        """How many ended."""
        return self.succeeded + self.failed + self.cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueLine:
    """A queue as it is now, and what left it within the window."""

    name: str
    waiting: int
    oldest_at: datetime | None
    running: int
    delayed: int
    parked: int
    concurrency: int | None
    """How many may run at once; None: any number."""
    limiter: RateLimit | None
    starts: int
    """Starts within the limiter's present window."""
    is_paused: bool
    paused_until: datetime | None
    exists: bool
    """Whether there is such a queue, or only runs that name it."""
    has_worker: bool
    """Whether a live worker serves it."""
    ended: tuple[int, ...]
    """Runs that ended, by the overview's spans of time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Runs of one workflow that failed in the same way."""

    workflow: str
    status: str
    error: str
    """The exception's class, with its module; empty where none is recorded: their workers died too often."""
    count: int
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedules:
    """Names of schedules."""

    due: tuple[tuple[str, datetime], ...]
    """Those that fire within the next hour, and when, the soonest first."""
    missed: tuple[str, ...]
    """Those that nobody fired in time."""
    paused: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """How many workers there are, and of which versions."""

    live: int
    quiet: int
    """Live ones that were asked to take nothing more."""
    silent: int
    """Those whose lease has run out without a word."""
    slots: int
    """How many runs the live ones execute at once."""
    versions: tuple[tuple[str, int], ...]
    """Versions of the live ones, and how many have each."""
    latest: str | None
    """The latest version, if the project has any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """All that there is to see at a glance."""

    at: datetime
    window: timedelta
    """What lies this far back counts."""
    bin: timedelta
    """How long each span of the throughput is."""
    banners: tuple[Banner, ...]
    counts: Counts
    throughput: tuple[Bin, ...]
    """The oldest span first; it and the last one may be partly outside of the window."""
    queues: tuple[QueueLine, ...]
    failures: tuple[Failure, ...]
    """The most frequent first."""
    is_sampled: bool
    """Whether there are more failures than were looked at: then ``failures`` are those of the newest."""
    schedules: Schedules
    workers: Workers


def overview(window: timedelta, actor: Onlooker | None = None) -> Overview:
    """Return what is to be seen at a glance, with a dozen statements.

    With an ``actor``, runs are counted that the policy shows to them; without one, all. Raises
    InvalidOptionError for a window that is not positive or above a year, QueryTimeoutError.
    """
    _check(window)
    seen, sight = look(actor), sight_of(actor)
    since, width = seen.at - window, bin_of(window)
    ends = activity.ended(since, width, sight)
    failed = activity.failed(since, sight, SAMPLE)
    spans = _spans(since, seen.at, width)
    return Overview(
        at=seen.at,
        window=window,
        bin=width,
        banners=banners(seen),
        counts=_counts(seen, ends, activity.open_approvals(sight)),
        throughput=_throughput(ends, spans),
        queues=_queues(seen, ends, spans),
        failures=top_failures(failed),
        is_sampled=len(failed) == SAMPLE,
        schedules=_schedules(seen),
        workers=_workers(seen),
    )


def throughput(window: timedelta, actor: Onlooker | None = None) -> tuple[timedelta, tuple[Bin, ...]]:
    """Return how many runs ended over time, with one statement: how long each span is, and the spans.

    Raises what ``overview`` raises.
    """
    _check(window)
    at, width = clock.now(), bin_of(window)
    ends = activity.ended(at - window, width, sight_of(actor))
    return width, _throughput(ends, _spans(at - window, at, width))


def paces(window: timedelta, actor: Onlooker | None = None) -> list[Pace]:
    """Return how long the runs took that succeeded within a window, by workflow, the slowest first.

    One statement that looks at each of them: not for a page that is to be there at once. Raises what
    ``overview`` raises.
    """
    _check(window)
    return activity.paces(clock.now() - window, sight_of(actor), MOST_PACES)


def _check(window: timedelta) -> None:
    if not timedelta(0) < window <= LONGEST_WINDOW:
        raise InvalidOptionError(f"an overview's window is longer than zero and at most a year, not {window}")


def bin_of(window: timedelta) -> timedelta:
    """Return the shortest span of which a window has no more than ``MOST_BINS``."""
    return next(one for one in BINS if window <= one * MOST_BINS)


def _spans(since: datetime, until: datetime, width: timedelta) -> list[datetime]:
    """Return when the spans begin that a window touches; they are counted from the epoch on."""
    epoch = datetime.fromtimestamp(0, UTC)
    first, last = (since - epoch) // width, (until - epoch) // width
    return [epoch + width * number for number in range(first, last + 1)]


def _counts(seen: Look, ends: list[Ended], approvals: int) -> Counts:
    now = _by_status(seen.groups)
    outcomes = _by_outcome(ends)
    return Counts(
        running=now["PENDING"],
        waiting=now["ENQUEUED"],
        oldest_at=_oldest(seen.groups),
        delayed=now["DELAYED"],
        parked=now["WAITING"],
        succeeded=outcomes["succeeded"],
        failed=outcomes["failed"],
        cancelled=outcomes["cancelled"],
        approvals=approvals,
    )


def _by_status(groups: Iterable[Group]) -> Counter[str]:
    found: Counter[str] = Counter()
    for group in groups:
        found[group.status] += group.count
    return found


def _by_outcome(ends: Iterable[Ended]) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in ends:
        found[OUTCOMES.get(one.status, "failed")] += one.count
    return found


def _oldest(groups: Iterable[Group]) -> datetime | None:
    times = [one.oldest_at for one in groups if one.status == "ENQUEUED" and one.oldest_at is not None]
    return min(times, default=None)


def _throughput(ends: Iterable[Ended], spans: list[datetime]) -> tuple[Bin, ...]:
    by_span: dict[datetime, list[Ended]] = {span: [] for span in spans}
    for one in ends:
        by_span.setdefault(one.since, []).append(one)
    return tuple(_bin(span, _by_outcome(by_span[span])) for span in spans)


def _bin(span: datetime, found: Counter[str]) -> Bin:
    return Bin(since=span, succeeded=found["succeeded"], failed=found["failed"], cancelled=found["cancelled"])


def _queues(seen: Look, ends: list[Ended], spans: list[datetime]) -> tuple[QueueLine, ...]:
    states = {state.name: state for state in seen.queues}
    names = states.keys() | {group.queue_name for group in seen.groups if group.queue_name is not None}
    starts = activity.starts(seen.queues)
    left: Counter[tuple[str | None, datetime]] = Counter()
    for one in ends:
        left[one.queue_name, one.since] += one.count
    lines = []
    for name in sorted(names):
        groups = [group for group in seen.groups if group.queue_name == name]
        now = _by_status(groups)
        state = states.get(name) or QueueState(name=name)
        lines.append(
            QueueLine(
                name=name,
                waiting=now["ENQUEUED"],
                oldest_at=_oldest(groups),
                running=now["PENDING"],
                delayed=now["DELAYED"],
                parked=now["WAITING"],
                concurrency=state.limits.concurrency,
                limiter=state.limits.limiter,
                starts=starts.get(name, 0),
                is_paused=state.is_paused,
                paused_until=state.paused_until if state.is_paused else None,
                exists=name in states,
                has_worker=seen.serves(name),
                ended=tuple(left[name, span] for span in spans),
            )
        )
    return tuple(lines)


def top_failures(failed: Iterable[Failed]) -> tuple[Failure, ...]:
    """Return which workflows failed how, the most frequent first; given are failures, the newest first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    last: dict[tuple[str, str, str], datetime] = {}
    for one in failed:
        key = one.name, one.status, class_of(one.error)
        counts[key] += 1
        last.setdefault(key, one.finished_at)
    return tuple(
        Failure(workflow=name, status=status, error=error, count=count, last_at=last[name, status, error])
        for (name, status, error), count in counts.most_common(MOST_FAILURES)
    )


_CLASS = re.compile(r'\{"(?:type|name)":("(?:[^"\\]|\\.)*")')


def class_of(error: str | None) -> str:
    """Return the class that a stored error names at its beginning; empty where it names none."""
    found = _CLASS.match(error or "")
    return "" if found is None else str(json.loads(found[1]))


def _schedules(seen: Look) -> Schedules:
    missed = set(seen.missed)
    due = [(tick.name, tick.next_at) for tick in seen.ticks if tick.next_at and tick.name not in missed]
    return Schedules(
        due=tuple(due),
        missed=seen.missed,
        paused=tuple(tick.name for tick in seen.ticks if tick.next_at is None),
    )


def _workers(seen: Look) -> Workers:
    live = [worker for worker in seen.workers if worker.is_live]
    versions = Counter(worker.app_version for worker in live)
    return Workers(
        live=len(live),
        quiet=sum(bool(worker.asked_to) for worker in live),
        silent=len(seen.workers) - len(live),
        slots=sum(worker.slots for worker in live),
        versions=tuple(sorted(versions.items())),
        latest=seen.latest,
    )
