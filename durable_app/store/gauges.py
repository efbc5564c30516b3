"""How things stand now, for those who monitor: each figure from a bounded look at a partial index."""

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, Min

from durable_app import clock, conf
from durable_app.models import Schedule, Status, Wait, Worker, Workflow
from durable_app.store import activity, approvals, database
from durable_app.store.observing import limited
from durable_app.store.occupancy import COUNTED
from durable_app.store.queues import all_queues

ANSWER_WITHIN = 2.0
"""Seconds that the database has to answer at all."""

LOOK_WITHIN = 5.0
"""Seconds that one figure may take: a monitor waits for ten at most."""

MOST_QUEUES = 1_000
"""Queues with ready runs that are looked at."""


class Line(NamedTuple):
    """Runs of one workflow that are ready in one queue; the next ones are counted up to a limit."""

    queue_name: str
    name: str
    runs: int
    oldest_at: datetime
    """Since when the one has been ready that has waited longest."""


class Running(NamedTuple):
    """Runs of one workflow that are executed."""

    name: str
    runs: int
    oldest_at: datetime
    """When the oldest was created."""


class Crew(NamedTuple):
    """Workers of one version, live or silent."""

    is_live: bool
    app_version: str
    workers: int
    slots: int


class Standing(NamedTuple):
    """What is counted without a name."""

    delayed: int
    waiting: int
    approvals: int
    overdue_schedules: int


def ask() -> None:
    """Ask the database for anything, once; raises QueryTimeoutError, or its own error."""
    with limited(ANSWER_WITHIN):
        _workers().exists()


@database.retried
def lines() -> list[Line]:
    """Return what is ready to be taken, also from queues that do not exist."""
    with limited(LOOK_WITHIN):
        return [line for name in _ready_names() for line in _line(name)]


def _ready_names() -> list[str]:
    """Return the queues that ready runs name, whether they exist or not: a look at the index for each."""
    ready = _runs().filter(status=Status.ENQUEUED, queue_name__isnull=False)
    names = ready.order_by("queue_name").values_list("queue_name", flat=True)
    found: list[str] = []
    while len(found) < MOST_QUEUES:
        after = names.filter(queue_name__gt=found[-1]) if found else names
        name = after.first()
        if name is None:
            break
        found.append(name)
    return found


def _line(queue_name: str) -> list[Line]:
    ready = _runs().filter(status=Status.ENQUEUED, queue_name=queue_name).order_by("priority", "pk")
    rows = _runs().filter(pk__in=ready.values("pk")[:COUNTED]).order_by("name").values_list("name")
    return [Line(queue_name, *row) for row in rows.annotate(count=Count("pk"), at=Min("enqueued_at"))]


@database.retried
def running() -> list[Running]:
    """Return what workers and callers execute: never more than they have room for."""
    rows = _runs().filter(status=Status.PENDING).order_by("name").values_list("name")
    with limited(LOOK_WITHIN):
        return [Running(*row) for row in rows.annotate(count=Count("pk"), at=Min("created_at"))]


@database.retried
def standing() -> Standing:
    """Return the other counts, each up to a limit."""
    delayed = _runs().filter(status=Status.DELAYED).order_by("run_after").values("pk")
    asked = approvals.waiting().values("pk")
    late = clock.now() - conf.options().SCHEDULE_GRACE
    overdue = Schedule.objects.using(database.alias()).filter(next_at__lt=late)
    with limited(LOOK_WITHIN):
        return Standing(
            delayed=delayed[:COUNTED].count(),
            waiting=_waiting(),
            approvals=asked[:COUNTED].count(),
            overdue_schedules=overdue.count(),
        )


def _waiting() -> int:
    """Return how many runs are parked: each has a time to wake at, or a row of ``Wait``, or both."""
    timed = _runs().filter(status=Status.WAITING, wake_at__isnull=False).order_by("wake_at")
    waits = Wait.objects.using(database.alias()).values_list("workflow_id", flat=True)
    found = {*timed.values_list("pk", flat=True)[:COUNTED], *waits[:COUNTED]}
    return min(len(found), COUNTED)


@database.retried
def crews() -> list[Crew]:
    """Return the workers that have not ended, by version; one whose lease is over is silent."""
    now = clock.now()
    count: Counter[tuple[bool, str]] = Counter()
    slots: Counter[tuple[bool, str]] = Counter()
    for expires_at, version, room in _workers().values_list("expires_at", "app_version", "slots"):
        key = (expires_at > now, version)
        count[key] += 1
        slots[key] += room
    return [Crew(*key, count[key], slots[key]) for key in sorted(count, reverse=True)]


class Unserved(NamedTuple):
    """Queues in which runs are ready, and nobody takes them."""

    missing: list[str]
    """Those that do not exist."""
    idle: list[str]
    """Those, not paused, that no live worker serves."""


@database.retried
def unserved_queues() -> Unserved:
    """Return the queues in which runs are ready that no live worker will take."""
    states, workers = {state.name: state for state in all_queues()}, activity.workers()
    ready = _ready_names()
    return Unserved(
        missing=[name for name in ready if name not in states],
        idle=[
            name
            for name in ready
            if name in states
            and not states[name].is_paused
            and not any(worker.serves(name) for worker in workers)
        ],
    )


def _workers() -> Any:
    return Worker.objects.using(database.alias()).filter(kind="worker", stopped_at__isnull=True)


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
