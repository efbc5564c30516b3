"""How things stand now, for those who monitor: each figure from a bounded look at a partial index."""

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, Min

from durable_app import clock, conf
from durable_app.models import Approval, Schedule, Status, Wait, Worker, Workflow
from durable_app.store import activity, database
from durable_app.store.observing import limited
from durable_app.store.occupancy import COUNTED
from durable_app.store.queues import all_queues

ANSWER_WITHIN = 2.0
"""Seconds that the database has to answer at all."""

LOOK_WITHIN = 5.0
"""Seconds that one figure may take: a monitor waits for ten at most."""


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
    """Workers of one version, alive or not."""

    is_alive: bool
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
    """Return what is ready to be taken, from queues that have a row and from the default one."""
    names = [state.name for state in all_queues() if state.has_ready]
    with limited(LOOK_WITHIN):
        return [line for name in names for line in _line(name)]


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
    approvals = Approval.objects.using(database.alias()).filter(closed_at__isnull=True).values("pk")
    late = clock.now() - conf.options().SCHEDULE_GRACE
    overdue = Schedule.objects.using(database.alias()).filter(next_at__lt=late)
    with limited(LOOK_WITHIN):
        return Standing(
            delayed=delayed[:COUNTED].count(),
            waiting=_waiting(),
            approvals=approvals[:COUNTED].count(),
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
    """Return the workers that have not ended, by version; one whose lease is over is dead."""
    now = clock.now()
    count: Counter[tuple[bool, str]] = Counter()
    slots: Counter[tuple[bool, str]] = Counter()
    for expires_at, version, room in _workers().values_list("expires_at", "app_version", "slots"):
        key = (expires_at > now, version)
        count[key] += 1
        slots[key] += room
    return [Crew(*key, count[key], slots[key]) for key in sorted(count, reverse=True)]


@database.retried
def unserved_queues() -> list[str]:
    """Return the queues, not paused, in which runs are ready and which no live worker serves."""
    found = activity.workers()
    idle = [
        state.name
        for state in all_queues()
        if state.has_ready and not state.is_paused and not any(one.serves(state.name) for one in found)
    ]
    ready = _runs().filter(status=Status.ENQUEUED)
    return [name for name in idle if ready.filter(queue_name=name).exists()]


def _workers() -> Any:
    return Worker.objects.using(database.alias()).filter(kind="worker", stopped_at__isnull=True)


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
