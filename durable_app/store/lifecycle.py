"""Ending, resuming and deleting runs from outside: one guarded transaction each."""

import time
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import F

from durable_app import clock
from durable_app.errors import NonExistentWorkflowError
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import (
    Approval,
    Event,
    EventHistory,
    Message,
    Status,
    Step,
    StreamEntry,
    Wait,
    Workflow,
)
from durable_app.models.workflow import ACTIVE
from durable_app.registry import UNDO
from durable_app.store import compensation, database, notify, waits

BATCH = 1000


PATIENCE = (0.005, 0.02, 0.1, 0.4)
"""Seconds between tries to lock a row; a checkpoint holds it for a moment, a transaction for long."""


def cancel(workflow_ids: Iterable[str]) -> list[str]:
    """Cancel the active ones among these runs; return their ids.

    The attempt stays: an execution learns of it when its next record is refused. So does the queue: who
    cancelled too much finds the runs by it, and they go on where they were. A run whose row stays
    locked (by its own transactional step) is cancelled as soon as that has ended, by a worker.
    """
    left = list(workflow_ids)
    cancelled: list[str] = []
    for pause in (*PATIENCE, None):
        found, left = _cancel_unlocked(left)
        cancelled += found
        if not left or pause is None:
            break
        time.sleep(pause)
    if left:
        _request(left)
    return cancelled + left


@database.retried
def cancel_soon(workflow_ids: list[str]) -> None:
    """Cancel runs in the caller's transaction; those whose row is locked, as soon as it is free."""
    with database.transact():
        _, left = _cancel_unlocked(workflow_ids)
        if left:
            _request(left)


@database.retried
def _cancel_unlocked(workflow_ids: list[str]) -> tuple[list[str], list[str]]:
    """Cancel what is not locked; return the ids cancelled, and those that are locked."""
    with database.transact():
        rows = _rows().filter(workflow_id__in=workflow_ids, status__in=ACTIVE)
        active = set(rows.values_list("workflow_id", flat=True))
        done = _cancel(rows.order_by("pk").select_for_update(skip_locked=True, no_key=True))
        still = rows.filter(workflow_id__in=active - set(done)).values_list("workflow_id", flat=True)
        return done, list(still)


@database.retried
def _request(workflow_ids: list[str]) -> None:
    runs = _rows().filter(workflow_id__in=workflow_ids, status__in=ACTIVE)
    wanted = [Wait(key=waits.CANCEL, workflow_id=run) for run in runs.values_list("pk", flat=True)]
    _waits().bulk_create(wanted, ignore_conflicts=True)


@database.retried
def cancel_requested() -> list[str]:
    """Cancel the runs whose cancellation was asked for while they were locked; return their ids."""
    requested = list(_waits().filter(key=waits.CANCEL).values_list("workflow_id", flat=True))
    if not requested:
        return []
    with database.transact():
        ended = _rows().filter(pk__in=requested).exclude(status__in=ACTIVE)
        _waits().filter(key=waits.CANCEL, workflow_id__in=ended.values("pk")).delete()
        rows = _rows().filter(pk__in=requested, status__in=ACTIVE).order_by("pk")
        return _cancel(rows.select_for_update(skip_locked=True, no_key=True))


@database.retried
def cancel_overdue(limit: int = BATCH) -> list[str]:
    """Cancel runs past their deadline, whoever executes them; return their ids."""
    with database.transact():
        overdue = _rows().filter(deadline_at__lte=clock.now(), finished_at__isnull=True, status__in=ACTIVE)
        locked = overdue.order_by("pk").select_for_update(skip_locked=True, no_key=True)
        return _cancel(locked[:limit])


def _cancel(rows: Any) -> list[str]:
    found = list(rows.values_list("pk", "workflow_id", "status", "worker_id"))
    if not found:
        return []
    now = clock.now()
    executed_by = {pk: worker if status == Status.PENDING else None for pk, _, status, worker in found}
    pks = list(executed_by)
    _rows().filter(pk__in=pks).update(
        status=Status.CANCELLED,
        finished_at=now,
        updated_at=now,
        deduplication_id=None,
        started_at=None,
        worker_id=None,
        wake_at=None,
        waiting_for="",
    )
    _waits().filter(workflow_id__in=pks).delete()
    compensation.enqueue(executed_by, now)
    ids = [workflow_id for _, workflow_id, *_ in found]
    keys = [waits.News("result", one).key for one in ids]
    waits.wake_waiting_for(*keys)
    transaction.on_commit(lambda: notify.announce(*keys), using=database.alias())
    return ids


@database.retried
def resume(workflow_ids: list[str], queue_name: str | None) -> list[str]:
    """Enqueue the unfinished ones among these runs; return their ids.

    Raises NonExistentWorkflowError, having changed nothing, if one of them does not exist, and
    InvalidTransitionError if what one has done is being, or has been, undone.
    """
    with database.transact():
        rows = list(
            _rows()
            .filter(workflow_id__in=workflow_ids)
            .order_by("pk")
            .select_for_update(no_key=True)
            .values_list("pk", "workflow_id", "status", "finished_at")
        )
        missing = set(workflow_ids) - {workflow_id for _, workflow_id, *_ in rows}
        if missing:
            raise NonExistentWorkflowError(min(missing))
        cancelled = {one: at for _, one, status, at in rows if status == Status.CANCELLED}
        compensation.withdraw(cancelled)
        done = (Status.SUCCESS, Status.ERROR)
        chosen = [(pk, one) for pk, one, status, _ in rows if status not in done]
        _enqueue_again([pk for pk, _ in chosen], queue_name)
        return [one for _, one in chosen]


@database.retried
def run_now(workflow_id: str) -> bool:
    """Let a delayed or queued run start: first in the default queue; False if it is neither (any more)."""
    now = clock.now()
    with database.transact():
        waiting = _rows().filter(workflow_id=workflow_id, status__in=(Status.ENQUEUED, Status.DELAYED))
        moved = waiting.update(
            status=Status.ENQUEUED,
            queue_name=DEFAULT_QUEUE,
            priority=0,
            run_after=None,
            deduplication_id=None,
            enqueued_at=now,
            updated_at=now,
        )
        if moved:
            transaction.on_commit(notify.work, using=database.alias())
    return bool(moved)


@database.retried
def set_priority(workflow_id: str, priority: int) -> bool:
    """Let a run be taken sooner (0) or later, whenever it stands in a queue; False if a worker has it."""
    unclaimed = (Status.ENQUEUED, Status.DELAYED, Status.WAITING)
    rows = _rows().filter(workflow_id=workflow_id, status__in=unclaimed)
    return bool(rows.update(priority=priority, updated_at=clock.now()))


def _enqueue_again(pks: list[int], queue_name: str | None) -> None:
    now = clock.now()
    _rows().filter(pk__in=pks).update(
        status=Status.ENQUEUED,
        worker=None,
        attempt=F("attempt") + 1,
        recovery_attempts=0,
        queue_name=queue_name,
        deduplication_id=None,
        timeout=None,
        deadline_at=None,
        started_at=None,
        finished_at=None,
        run_after=None,
        wake_at=None,
        waiting_for="",
        output=None,
        error=None,
        enqueued_at=now,
        updated_at=now,
    )
    _waits().filter(workflow_id__in=pks).delete()
    if pks:
        transaction.on_commit(notify.work, using=database.alias())


@database.retried
def children(workflow_ids: list[str], *, compensations: bool = True) -> list[str]:
    """Return the ids of all descendants of these runs, level by level, with or without ``compensations``."""
    found: list[str] = []
    seen = set(workflow_ids)
    level = workflow_ids
    while level:
        rows = _rows().filter(parent_workflow_id__in=level)
        if not compensations:
            rows = rows.exclude(name__startswith=UNDO)
        level = [one for one in rows.values_list("workflow_id", flat=True) if one not in seen]
        seen.update(level)
        found.extend(level)
    return found


@database.retried
def delete(workflow_ids: list[str], *, among: Iterable[str] = tuple(Status)) -> int:
    """Delete runs in some states, with all that belongs to them; return how many there were."""
    with database.transact():
        rows = _rows().filter(workflow_id__in=workflow_ids, status__in=tuple(among)).order_by("pk")
        found = dict(rows.select_for_update().values_list("pk", "workflow_id"))
        waits.wake_waiting_for(*[waits.News("result", one).key for one in found.values()])
        return delete_rows(list(found))


def delete_rows(pks: list[int]) -> int:
    """Delete runs, which the caller's transaction has locked, with all that belongs to them."""
    if not pks:
        return 0
    for model in (Approval, Step, Event, EventHistory, StreamEntry, Wait):
        # Not delete(): its collector would look for children, which are gone.
        rows = model._base_manager.using(database.alias()).filter(workflow_id__in=pks)
        rows._raw_delete(database.alias())  # noqa: SLF001
    Message.objects.using(database.alias()).filter(destination_id__in=pks)._raw_delete(database.alias())  # noqa: SLF001
    _rows().filter(pk__in=pks)._raw_delete(database.alias())  # noqa: SLF001
    return len(pks)


def _rows() -> Any:
    return Workflow.objects.using(database.alias())


def _waits() -> Any:
    return Wait.objects.using(database.alias())
