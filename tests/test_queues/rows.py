"""Runs as rows, and claims of them, without any worker."""

from typing import Any
from uuid import uuid4

from durable_app import clock
from durable_app.limits import Limits, RateLimit
from durable_app.models import Status, Workflow
from durable_app.store import claims, limited, queues
from durable_app.store.claims import Claimer

NAME = "rows.run"


def put(count: int = 1, queue: str = "line", **columns: Any) -> list[int]:
    """Insert ready runs; return their rows."""
    now = clock.now()
    values: dict[str, Any] = {
        "name": NAME,
        "queue_name": queue,
        "status": Status.ENQUEUED,
        "inputs": '{"args": [], "kwargs": {}}',
        "created_at": now,
        "enqueued_at": now,
        "updated_at": now,
        **columns,
    }
    rows = [Workflow(workflow_id=str(uuid4()), **values) for _ in range(count)]
    return [row.pk for row in Workflow.objects.bulk_create(rows)]


def queue(name: str = "line", **limits: Any) -> None:
    """Make a queue with these limits."""
    for key in ("limiter", "partition_limiter"):
        if key in limits:
            limits[key] = RateLimit.of(limits[key])
    queues.register(name, Limits(**limits), update=True)


def claimer(worker: str = "one") -> Claimer:
    return Claimer(worker_id=worker)


def take(limit: int = 100, *, name: str = "line", worker: str = "one", last_key: str = "") -> limited.Taken:
    """Claim from a queue with limits."""
    return limited.claim(claimer(worker), name, [limited.Wanted([NAME], limit)], last_key)


def take_free(limit: int, *names: str, worker: str = "one") -> list[int]:
    """Claim from queues without limits; return the rows."""
    return [one.run for one in claims.claim(claimer(worker), [NAME], limit, names or ("line",))]


def taken(limit: int = 100, **where: Any) -> list[int]:
    return [one.run for one in take(limit, **where).runs]


def finish(*rows: int) -> None:
    """End runs, as their executions would."""
    now = clock.now()
    ended = Workflow.objects.filter(pk__in=rows, status=Status.PENDING)
    assert ended.update(status=Status.SUCCESS, output="null", finished_at=now) == len(rows)


def park(*rows: int) -> None:
    """Let runs wait; ``unpark`` wakes them."""
    assert Workflow.objects.filter(pk__in=rows).update(status=Status.WAITING) == len(rows)


def unpark(*rows: int) -> None:
    waiting = Workflow.objects.filter(pk__in=rows, status=Status.WAITING)
    assert waiting.update(status=Status.ENQUEUED) == len(rows)
