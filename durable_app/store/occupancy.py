"""How full queues are: what waits, what runs, what a rate limit has left."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q

from durable_app import clock
from durable_app.models import QueueStart, Status, Workflow
from durable_app.models.workflow import ACTIVE
from durable_app.store import database
from durable_app.store.queues import QueueState, all_queues, get

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


_NOTHING: dict[str, Any] = {"waiting": 0, "delayed": 0, "running": 0, "oldest_at": None}


@database.retried
def occupancies() -> list[Occupancy]:
    """Return all queues as they are now; also those that only have runs."""
    found = _counted(Q(queue_name__isnull=False))
    states = {state.name: state for state in all_queues()}
    return [
        _occupancy(states.get(name) or QueueState(name=name), found.get(name, _NOTHING))
        for name in sorted(states.keys() | found.keys())
    ]


@database.retried
def occupancy(name: str) -> Occupancy | None:
    """Return a queue as it is now; None if there is no such queue, whatever runs may name it."""
    state = get(name)
    return None if state is None else _occupancy(state, _counted(Q(queue_name=name)).get(name, _NOTHING))


def _counted(which: Q) -> dict[str, dict[str, Any]]:
    counted = (
        _runs()
        .filter(which, status__in=ACTIVE)
        .order_by()
        .values("queue_name")
        .annotate(
            waiting=Count("pk", filter=Q(status=Status.ENQUEUED)),
            delayed=Count("pk", filter=Q(status=Status.DELAYED)),
            running=Count("pk", filter=Q(status=Status.PENDING)),
            oldest_at=Min("enqueued_at", filter=Q(status=Status.ENQUEUED)),
        )
    )
    return {row.pop("queue_name"): row for row in counted}


def _occupancy(state: QueueState, counted: dict[str, Any]) -> Occupancy:
    starts, next_start_at = _window(state)
    return Occupancy(queue=state, starts=starts, next_start_at=next_start_at, **counted)


def _window(state: QueueState) -> tuple[int, datetime | None]:
    limiter = state.limits.limiter
    if limiter is None:
        return 0, None
    log = QueueStart.objects.using(database.alias()).filter(queue=state.name)
    recent = list(
        log.filter(started_at__gt=clock.now() - limiter.period)
        .order_by("-started_at")
        .values_list("started_at", flat=True)[: limiter.limit]
    )
    is_full = len(recent) >= limiter.limit
    return len(recent), recent[-1] + limiter.period if is_full else None


@database.retried
def place_in_line(run: Workflow) -> int:
    """Return how many runs of the same queue come before a waiting one; counted up to a limit."""
    before = Q(priority__lt=run.priority) | Q(priority=run.priority, pk__lt=run.pk)
    line = _runs().filter(status=Status.ENQUEUED, queue_name=run.queue_name).filter(before)
    return len(line.order_by().values_list("pk")[:COUNTED])


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
