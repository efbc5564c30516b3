"""Runs that wait for their time in a queue: delayed, put off again, and debounced."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from durable_app import clock, serialization
from durable_app.errors import (
    InvalidTransitionError,
    NonExistentWorkflowError,
    QueueDeduplicatedError,
)
from durable_app.models import Status, Workflow
from durable_app.serialization import places
from durable_app.store import database, notify, runs
from durable_app.store.records import NewRun, Started


@database.retried
def release_delayed(limit: int = 1000) -> int:
    """Move delayed runs whose time has come into the queue; return how many.

    A debounced run gives up its key with that: the next call starts another one.
    """
    now = clock.now()
    with database.transact():
        due = list(
            _rows()
            .filter(status=Status.DELAYED, run_after__lte=now)
            .order_by("run_after")
            .select_for_update(skip_locked=True, no_key=True)
            .values_list("pk", flat=True)[:limit]
        )
        moved = _rows().filter(pk__in=due, status=Status.DELAYED)
        count: int = moved.update(
            status=Status.ENQUEUED,
            enqueued_at=now,
            updated_at=now,
            deduplication_id=Case(
                When(debounced_until__isnull=True, then=F("deduplication_id")), default=Value(None)
            ),
        )
    if count:
        notify.work()
    return count


@database.retried
def set_delay(workflow_id: str, until: datetime) -> None:
    """Set when a delayed run is due.

    Raises NonExistentWorkflowError; InvalidTransitionError for a run that is not delayed.
    """
    with database.transact():
        rows = _rows().filter(workflow_id=workflow_id)
        changed = rows.filter(status=Status.DELAYED).update(run_after=until, updated_at=clock.now())
        if changed:
            transaction.on_commit(lambda: notify.announce(notify.DUE), using=database.alias())
            return
        status = rows.values_list("status", flat=True).first()
    if status is None:
        raise NonExistentWorkflowError(workflow_id)
    raise InvalidTransitionError(workflow_id, status, "be given another delay")


@database.retried
def bounce(record: NewRun) -> Started:
    """Insert a debounced run, or put off the one that waits under its key and give it these inputs.

    The time is the new one, but never after the latest that the first call allowed. Raises
    QueueDeduplicatedError if a run that is not debounced holds the key, and what ``check_same`` raises.
    """
    with database.transact():
        while True:
            waiting = _put_off(record)
            if waiting is not None:
                return Started(waiting)
            created = runs.create(record)
            if created.run is not None:
                return Started(record.workflow_id, created.run)
            if runs.check_same(record):
                return Started(record.workflow_id)
            _refuse_other_holder(record)


_IS_DEBOUNCED = Q(status=Status.DELAYED, debounced_until__isnull=False)


def _put_off(record: NewRun) -> str | None:
    now = clock.now()
    locked = _holders(record).filter(_IS_DEBOUNCED).select_for_update(no_key=True)
    found = locked.values_list("pk", "workflow_id", "debounced_until").first()
    if found is None:
        return None
    pk, workflow_id, latest = found
    due = min(record.run_after or now, latest)
    inputs = serialization.moved(
        record.inputs, record.serialization, places.inputs(record.workflow_id), places.inputs(workflow_id)
    )
    _rows().filter(pk=pk).update(
        inputs=inputs, serialization=record.serialization, run_after=due, updated_at=now
    )
    transaction.on_commit(lambda: notify.announce(notify.DUE), using=database.alias())
    return str(workflow_id)


def _refuse_other_holder(record: NewRun) -> None:
    """Raise QueueDeduplicatedError unless the key is free (again), or a debounced run waits under it."""
    holder = _holders(record).exclude(_IS_DEBOUNCED)
    for workflow_id in holder.values_list("workflow_id", flat=True):
        raise QueueDeduplicatedError(workflow_id, record.queue_name or "", record.deduplication_id or "")


def _holders(record: NewRun) -> Any:
    return _rows().filter(queue_name=record.queue_name, deduplication_id=record.deduplication_id)


def _rows() -> Any:
    return Workflow.objects.using(database.alias())
