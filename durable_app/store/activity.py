"""What goes on, counted: runs that are active, runs that ended lately, who serves them.

Runs are counted among those that somebody may know of, and found through the partial indexes of their states:
none of this grows with what has ended long ago.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Count, F, Max, Min, Q
from django.db.models.functions import Left

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
    """Active runs of one queue, version and status."""

    queue_name: str | None
    """None: called directly."""
    app_version: str | None
    status: str
    count: int
    oldest_at: datetime | None
    """Since when the run stands in its queue that has stood there longest."""


@database.retried
def active(sight: Sight) -> list[Group]:
    """Return the runs that have not ended, counted by queue, version and status."""
    runs = sight(_runs())
    # A part for each partial index; every parked run has a time to wake at, or a row of ``Wait``.
    waits = Wait.objects.using(database.alias()).values("workflow_id")
    parts = [runs.filter(status=one) for one in (Status.ENQUEUED, Status.PENDING, Status.DELAYED)]
    parts.append(runs.filter(status=Status.WAITING, wake_at__isnull=False))
    parts.append(runs.filter(status=Status.WAITING, wake_at__isnull=True, pk__in=waits))
    first, *others = [_counted(part) for part in parts]
    with limited():
        return [Group(**row) for row in first.union(*others, all=True)]


def _counted(runs: Any) -> Any:
    groups = runs.order_by().values("queue_name", "app_version", "status")
    return groups.annotate(count=Count("pk"), oldest_at=Min("enqueued_at"))


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
        rows = grouping.measured(runs, "finished_at", {"count": Count("pk")})
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
    """The queues it serves; empty: all."""
    slots: int
    asked_to: str
    is_live: bool
    """Whether its lease is valid."""

    def serves(self, queue: str) -> bool:
        """Return whether it takes runs of a queue, or may do so: what it excludes is not known."""
        return self.is_live and not self.asked_to and (not self.queues or queue in self.queues)


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
