"""How full queues are: what waits, what runs, what a rate limit has left."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import CharField, Count, F, Min, Q, Value

from durable_app import clock
from durable_app.models import QueueStart, Status, Workflow
from durable_app.store import database
from durable_app.store.observing import limited
from durable_app.store.queues import QueueState, get, known_queues

COUNTED = 10_000
"""Places in a line are counted up to here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Occupancy:
    """A queue as it is now."""

    queue: QueueState
    waiting: int
    delayed: int
    running: int
    oldest_at: datetime | None
    """Since when the run waits that has waited longest."""
    starts: int
    """Starts in the present window of its rate limit."""
    next_start_at: datetime | None
    """When the rate limit lets another run start; None if it does now."""
    is_served: bool = True
    """Whether there is such a queue: runs that name one without a row wait until there is."""

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.queue.name


@dataclass(kw_only=True, slots=True)
class _Counts:
    """What is counted of a queue."""

    waiting: int = 0
    delayed: int = 0
    running: int = 0
    oldest_at: datetime | None = None
    starts: int = 0
    first_start_at: datetime | None = None


_Found = dict[str, _Counts]
"""By the queue's name."""

_STARTED = "started"
"""Stands where a run's status would, for the starts that a rate limit counts."""


@database.retried
def occupancies() -> list[Occupancy]:
    """Return all queues as they are now; also those that only have runs."""
    states = {state.name: state for state in known_queues()}
    found = _counted(Q(queue_name__isnull=False), states.values())
    return [_occupancy(name, states.get(name), found) for name in sorted(states.keys() | found.keys())]


@database.retried
def occupancy(name: str) -> Occupancy | None:
    """Return a queue as it is now; None if there is no such queue, whatever runs may name it."""
    state = get(name)
    return None if state is None else _occupancy(name, state, _counted(Q(queue_name=name), [state]))


@database.retried
def named(name: str) -> Occupancy | None:
    """Return a queue as it is now; None if there is no such queue, and no run that names it."""
    state = get(name)
    found = _counted(Q(queue_name=name), [] if state is None else [state])
    return None if state is None and not found else _occupancy(name, state, found)


def _counted(which: Q, states: Iterable[QueueState]) -> _Found:
    """Count the runs of queues by their states, and the starts of the present windows: one statement.

    Each part has an index of its own: the partial one of a state, that of the log of starts.
    """
    parts = [
        _runs().filter(which, status=status).order_by().values("queue_name", "status")
        for status in (Status.ENQUEUED, Status.DELAYED, Status.PENDING)
    ]
    parts = [part.annotate(count=Count("pk"), first_at=Min("enqueued_at")) for part in parts]
    starts = _starts_in_windows(states)
    if starts is not None:
        rows = starts.values(queue_name=F("queue"), status=Value(_STARTED, CharField()))
        parts.append(rows.annotate(count=Count("pk"), first_at=Min("started_at")))
    found: _Found = defaultdict(_Counts)
    for row in parts[0].union(*parts[1:], all=True):
        _note(found[row["queue_name"]], row["status"], row["count"], row["first_at"])
    return found


def _note(counts: _Counts, status: str, count: int, first_at: datetime | None) -> None:
    match status:
        case Status.ENQUEUED:
            counts.waiting, counts.oldest_at = count, first_at
        case Status.DELAYED:
            counts.delayed = count
        case Status.PENDING:
            counts.running = count
        case _:
            counts.starts, counts.first_start_at = count, first_at


def _starts_in_windows(states: Iterable[QueueState]) -> Any:
    """Return the starts that rate limits count now; None if no queue has one."""
    now = clock.now()
    names: dict[timedelta, list[str]] = defaultdict(list)
    for state in states:
        if state.limits.limiter is not None:
            names[state.limits.limiter.period].append(state.name)
    windows = [Q(queue__in=names[period], started_at__gt=now - period) for period in names]
    return _starts().filter(reduce(or_, windows)).order_by() if windows else None


def _occupancy(name: str, state: QueueState | None, found: _Found) -> Occupancy:
    counts = found.get(name, _Counts())
    starts, next_start_at = _window(state, counts)
    return Occupancy(
        queue=state or QueueState(name=name),
        waiting=counts.waiting,
        delayed=counts.delayed,
        running=counts.running,
        oldest_at=counts.oldest_at,
        starts=starts,
        next_start_at=next_start_at,
        is_served=state is not None,
    )


def _window(state: QueueState | None, counts: _Counts) -> tuple[int, datetime | None]:
    """Return how many starts a rate limit's window holds, and when it lets another run start."""
    limiter = None if state is None else state.limits.limiter
    if state is None or limiter is None or counts.first_start_at is None or counts.starts < limiter.limit:
        return counts.starts, None
    first = counts.first_start_at
    if counts.starts > limiter.limit:  # it was lowered: as many as it allows are still to leave the window
        newest = _starts().filter(queue=state.name).order_by("-started_at")
        first = newest.values_list("started_at", flat=True)[limiter.limit - 1]
    return limiter.limit, first + limiter.period


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """The runs of a partition key, as they are now."""

    key: str
    waiting: int
    running: int
    oldest_at: datetime


@database.retried
def longest_partitions(queue: str, most: int) -> list[Partition]:
    """Return the partitions of a queue in which the most runs are ready, the longest line first."""
    ready = _runs().filter(status=Status.ENQUEUED, queue_name=queue, partition_key__isnull=False)
    lines = ready.order_by().values("partition_key").annotate(count=Count("pk"), oldest=Min("enqueued_at"))
    with limited():
        found = list(lines.order_by("-count", "partition_key")[:most])
    keys = [row["partition_key"] for row in found]
    running = _running(queue).filter(partition_key__in=keys).values_list("partition_key")
    counts = dict(running.annotate(count=Count("pk"))) if keys else {}
    return [
        Partition(
            key=row["partition_key"],
            waiting=row["count"],
            running=counts.get(row["partition_key"], 0),
            oldest_at=row["oldest"],
        )
        for row in found
    ]


@database.retried
def running_by_worker(queue: str) -> dict[str | None, int]:
    """Return how many runs of a queue each worker executes, by the workers' ids."""
    return dict(_running(queue).values_list("worker_id").annotate(count=Count("pk")))


def _starts() -> Any:
    return QueueStart.objects.using(database.alias())


def _running(queue: str) -> Any:
    return _runs().filter(status=Status.PENDING, queue_name=queue).order_by()


@database.retried
def place_in_line(run: Workflow) -> int:
    """Return how many runs of the same queue come before a waiting one; counted up to a limit."""
    before = Q(priority__lt=run.priority) | Q(priority=run.priority, pk__lt=run.pk)
    line = _runs().filter(status=Status.ENQUEUED, queue_name=run.queue_name).filter(before)
    return len(line.order_by().values_list("pk")[:COUNTED])


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
