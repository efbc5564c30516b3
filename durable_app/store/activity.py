"""What goes on, counted: runs that are active, runs that ended lately, who serves them.

Runs are counted among those that somebody may know of, and found through the partial indexes of their states:
none of this grows with what has ended long ago.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import groupby
from operator import itemgetter, or_
from typing import Any

from django.db.migrations.recorder import MigrationRecorder
from django.db.models import BooleanField, Count, DurationField, ExpressionWrapper, F, Max, Min, Q, Window
from django.db.models.functions import Left, RowNumber

from durable_app import clock
from durable_app.models import QueueStart, Schedule, ScheduleStatus, Status, Wait, Worker, Workflow
from durable_app.store import approvals, database, retention
from durable_app.store.observing import limited
from durable_app.store.queues import QueueState
from durable_app.store.statistics import Grouping

Sight = Callable[[Any], Any]
"""Leaves those of a queryset of runs that somebody may know of."""

HEAD = 300
"""Characters of an error that tell its class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Active runs of one queue, version and status, with a partition key or without."""

    queue_name: str | None
    """None: called directly."""
    app_version: str | None
    status: str
    has_key: bool
    count: int
    oldest_at: datetime | None
    """Since when the run stands in its queue that has stood there longest."""


@database.retried
def active(sight: Sight) -> list[Group]:
    """Return the runs that have not ended, counted by queue, version, status and whether they have a key."""
    runs = sight(_runs())
    # A part for each partial index; every parked run has a time to wake at, or a row of ``Wait``.
    waits = Wait.objects.using(database.alias()).values("workflow_id")
    parts = [runs.filter(status=one) for one in (Status.ENQUEUED, Status.PENDING, Status.DELAYED)]
    parts.append(runs.filter(status=Status.WAITING, wake_at__isnull=False))
    parts.append(runs.filter(status=Status.WAITING, wake_at__isnull=True, pk__in=waits))
    first, *others = [_counted(part) for part in parts]
    with limited():
        rows = list(first.union(*others, all=True))
    return [Group(**{**row, "has_key": bool(row["has_key"])}) for row in rows]


def _counted(runs: Any) -> Any:
    has_key = ExpressionWrapper(Q(partition_key__isnull=False), BooleanField())
    groups = runs.order_by().values("queue_name", "app_version", "status", has_key=has_key)
    return groups.annotate(count=Count("*"), oldest_at=Min("enqueued_at"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """Runs of one queue that came to the same end within a span of time."""

    since: datetime
    """When the span begins."""
    queue_name: str | None
    status: str
    count: int


@database.retried
def ended(since: datetime, bucket: timedelta, sight: Sight) -> list[Ended]:
    """Return the runs that ended since a time, counted by queue, end and span of time from the epoch on."""
    grouping = Grouping(columns={"queue_name": "queue_name", "status": "status"}, bucket=bucket)
    runs = sight(_runs()).filter(finished_at__gte=since).order_by()
    with limited():
        rows = grouping.measured(runs, "finished_at", {"count": Count("*")})
    keys = [(grouping.key(row), row["count"]) for row in rows]
    return [Ended(since=key.pop("bucket"), count=count, **key) for key, count in keys]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A run that failed."""

    name: str
    status: str
    error: str | None
    """The beginning of its error, as it is stored."""
    finished_at: datetime


@database.retried
def failed(since: datetime, sight: Sight, most: int) -> list[Failed]:
    """Return the newest runs that failed since a time, at most so many."""
    runs = sight(_runs()).filter(finished_at__gte=since, status__in=retention.FAILED)
    rows = runs.order_by("-finished_at").values("name", "status", "finished_at", head=Left("error", HEAD))
    with limited():
        return [Failed(error=row.pop("head"), **row) for row in rows[:most]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long a workflow's runs took that succeeded within a window, their waits included."""

    name: str
    count: int
    median: timedelta
    p95: timedelta
    """Of twenty runs nineteen took no longer."""


@database.retried
def paces(since: datetime, sight: Sight, most: int) -> list[Pace]:
    """Return how long the runs took that succeeded since a time, by workflow: the slowest, at most so many.

    Percentiles are by nearest rank, in one statement that every database understands.
    """
    runs = sight(_runs()).filter(finished_at__gte=since, status=Status.SUCCESS, started_at__isnull=False)
    took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
    ranked = runs.annotate(
        took=took,
        place=Window(RowNumber(), partition_by=[F("name")], order_by=[took.asc()]),
        total=Window(Count("pk"), partition_by=[F("name")]),
    )
    found = ranked.filter(_is_at(50) | _is_at(95)).order_by().values_list("name", "total", "place", "took")
    with limited():
        rows = sorted(found)
    paces = [_pace(name, list(group)) for name, group in groupby(rows, key=itemgetter(0))]
    return sorted(paces, key=lambda one: (-one.p95, one.name))[:most]


def _is_at(percent: int) -> Q:
    """Return the condition of the nearest rank: the least place that so many of a hundred are not beyond."""
    return Q(place__gte=F("total") * percent / 100.0, place__lt=F("total") * percent / 100.0 + 1)


def _pace(name: str, rows: list[Any]) -> Pace:
    """Return what two rows, or one that is both, say; the lower place comes first."""
    (_name, count, _place, median), (*_last, p95) = rows[0], rows[-1]
    return Pace(name=name, count=count, median=median, p95=p95)


@database.retried
def open_approvals(sight: Sight) -> int:
    """Return how many questions wait for an answer."""
    seen = approvals.waiting().filter(workflow_id__in=sight(_runs()).order_by().values("pk"))
    with limited():
        return int(seen.count())


@database.retried
def starts(queues: Iterable[QueueState]) -> dict[str, int]:
    """Return how many starts the present windows of queues' rate limits hold; none are left out."""
    now = clock.now()
    windows = [
        Q(queue=state.name, started_at__gt=now - state.limits.limiter.period)
        for state in queues
        if state.limits.limiter is not None
    ]
    if not windows:
        return {}
    rows = QueueStart.objects.using(database.alias()).filter(reduce(or_, windows)).order_by()
    return dict(rows.values_list("queue").annotate(count=Count("pk")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """When a schedule fires next; None if it is paused."""

    name: str
    next_at: datetime | None


@database.retried
def ticks(until: datetime, most: int) -> list[Tick]:
    """Return the schedules that are due until a time, the soonest first, and those that are paused."""
    rows = Schedule.objects.using(database.alias())
    due = rows.filter(status=ScheduleStatus.ACTIVE, next_at__lte=until)
    paused = rows.filter(status=ScheduleStatus.PAUSED)
    found = (due | paused).order_by(F("next_at").asc(nulls_last=True), "name")
    return [Tick(name=name, next_at=at) for name, at in found.values_list("name", "next_at")[:most]]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerState:
    """A worker that has not ended."""

    name: str
    app_version: str
    queues: tuple[str, ...]
    """The queues it serves; empty: all but those excluded."""
    excluded: tuple[str, ...]
    slots: int
    asked_to: str
    is_live: bool
    """Whether its lease is valid."""

    def serves(self, queue: str) -> bool:
        """Return whether it takes runs of a queue."""
        return self.is_live and not self.asked_to and takes(self, queue)


def takes(worker: Any, queue: str) -> bool:
    """Return whether a queue is one of those that a worker serves."""
    return queue not in worker.excluded and (not worker.queues or queue in worker.queues)


@database.retried
def workers() -> list[WorkerState]:
    """Return the workers that have not said that they end, by name."""
    now = clock.now()
    rows = Worker.objects.using(database.alias()).filter(kind="worker", stopped_at__isnull=True)
    return [
        WorkerState(
            name=row.name,
            app_version=row.app_version,
            queues=tuple(row.queues),
            excluded=tuple(row.excluded),
            slots=row.slots,
            asked_to=row.asked_to,
            is_live=row.expires_at > now,
        )
        for row in rows.order_by("name", "pk")
    ]


@database.retried
def applied_migrations() -> set[str]:
    """Return the names of this app's migrations that the database has."""
    rows = MigrationRecorder(database.connection()).migration_qs.filter(app=Workflow._meta.app_label)
    return set(rows.values_list("name", flat=True))


@database.retried
def extent() -> int:
    """Return about how many runs there are: their numbers from the first to the last."""
    found = _runs().aggregate(first=Min("pk"), last=Max("pk"))
    return 0 if found["last"] is None else int(found["last"] - found["first"] + 1)


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
