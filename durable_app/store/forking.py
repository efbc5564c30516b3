"""Running a history again: under a new id (fork) or under its own (rewind)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from durable_app import clock, serialization
from durable_app.errors import InvalidTransitionError, NonExistentWorkflowError
from durable_app.models import (
    Event,
    EventHistory,
    Message,
    Status,
    Step,
    StreamEntry,
    Wait,
    Workflow,
)
from durable_app.models.workflow import TERMINAL
from durable_app.serialization import Place, places
from durable_app.store import approvals, compensation, continuing, database, notify


@dataclass(frozen=True, kw_only=True, slots=True)
class Fork:
    """How a run is to be continued under a new id."""

    workflow_id: str
    new_workflow_id: str
    start_step: int
    app_version: str | None = None
    queue_name: str | None = None
    partition_key: str | None = None
    timeout: timedelta | None = None
    replacement_children: dict[str, str] = field(default_factory=dict)
    inputs: str | None = None
    """The text of its own arguments, in the original's format; None: the original's arguments."""


_COPIED = (
    "name", "class_name", "config_name", "user", "roles", "assumed_role", "inputs",
    "serialization", "attributes", "max_recovery_attempts",
)  # fmt: skip


@database.retried
def fork(plan: Fork) -> bool:
    """Copy a run and its steps below ``start_step``; False if the new id is another run's.

    Raises NonExistentWorkflowError if the original does not exist, InvalidTransitionError if what its copied
    steps have done is undone.
    """
    now = clock.now()
    with database.transact():
        original = _rows().filter(workflow_id=plan.workflow_id).first()
        if original is None:
            raise NonExistentWorkflowError(plan.workflow_id)
        taken = _rows().filter(workflow_id=plan.new_workflow_id)
        for forked_from in taken.values_list("forked_from", flat=True):
            return bool(forked_from == plan.workflow_id)
        plan = replace(plan, start_step=_checked_start(original, plan.start_step))
        copy = Workflow(
            workflow_id=plan.new_workflow_id,
            forked_from=original.workflow_id,
            status=Status.ENQUEUED,
            # A claim makes it 2, and thereby reads the copied history.
            attempt=1,
            app_version=plan.app_version,
            queue_name=plan.queue_name,
            partition_key=plan.partition_key,
            timeout=plan.timeout,
            created_at=now,
            enqueued_at=now,
            updated_at=now,
            **{name: getattr(original, name) for name in _COPIED},
        )
        copy.inputs = plan.inputs or _moved(plan, copy.inputs, copy.serialization, places.inputs) or ""
        copy.save(using=database.alias(), force_insert=True)
        _rows().filter(pk=original.pk).update(was_forked_from=True)
        _copy_history(original.pk, copy.pk, plan)
        transaction.on_commit(notify.work, using=database.alias())
    return True


@database.retried
def failed_step(workflow_id: str) -> int:
    """Return the position from which a run is to be tried again: its last step if that failed, else the next.

    Raises NonExistentWorkflowError.
    """
    run = _rows().filter(workflow_id=workflow_id).values_list("pk", flat=True).first()
    if run is None:
        raise NonExistentWorkflowError(workflow_id)
    last = _all(Step).filter(workflow_id=run).order_by("-position").values_list("position", "error").first()
    if last is None:
        return 1
    position, error = last
    return int(position) if error is not None else int(position) + 1


@database.retried
def last_step(workflow_id: str) -> int:
    """Return the highest position at which a run has recorded a step; 0 if there is none."""
    steps = _all(Step).filter(workflow__workflow_id=workflow_id).order_by("-position")
    return int(steps.values_list("position", flat=True).first() or 0)


def _copy_history(original: int, copy: int, plan: Fork) -> None:
    below = {"workflow_id": original, "position__lt": plan.start_step}
    steps = list(_all(Step).filter(**below))
    for step in steps:
        step.workflow_id, step.attempt = copy, 1
        step.output = _moved(plan, step.output, step.serialization, places.step, step.position, step.branch)
        child = step.child_workflow_id
        step.child_workflow_id = plan.replacement_children.get(child or "", child)
    _insert(Step, steps)
    history = list(_all(EventHistory).filter(**below))
    for entry in history:
        entry.workflow_id = copy
        entry.value = _moved(plan, entry.value, entry.serialization, places.event, entry.key) or ""
    _insert(EventHistory, history)
    _insert(Event, _latest_events(copy, history))
    _copy_streams(copy, list(_all(StreamEntry).filter(**below).order_by("key", "offset")), plan)
    approvals.copy(original, copy, plan.start_step)


def _checked_start(row: Workflow, start_step: int) -> int:
    """Return where to begin: after what is left of a history that a run went on from, if not later.

    Raises InvalidTransitionError if what was done before is undone.
    """
    first = continuing.base(row.pk) + 1
    start = max(start_step, first)
    if start > first:
        compensation.check_not_undone(row, start)
    return start


def _copy_streams(copy: int, entries: list[StreamEntry], plan: Fork) -> None:
    """Copy entries at the same offsets; what tasks wrote out of order, without the gaps of a cut."""
    offsets: Counter[str] = Counter()
    for entry in entries:
        entry.workflow_id = copy
        entry.value = _moved(plan, entry.value, entry.serialization, places.stream, entry.key)
        entry.offset = offsets[entry.key]
        offsets[entry.key] += 1
    _insert(StreamEntry, entries)


def _moved(plan: Fork, text: str | None, name: str, place: Callable[..., Place], *at: Any) -> str | None:
    """Return a text of the original as it is to stand in the fork."""
    if text is None or name == serialization.FORMAT:
        return text
    return serialization.moved(text, name, place(plan.workflow_id, *at), place(plan.new_workflow_id, *at))


def _latest_events(run: int, history: list[EventHistory]) -> list[Event]:
    """Return the events as the last entry of each key's history has them."""
    latest: dict[str, EventHistory] = {}
    for entry in sorted(history, key=lambda entry: (entry.position, entry.set_at)):
        latest[entry.key] = entry
    return [
        Event(
            workflow_id=run,
            key=entry.key,
            value=entry.value,
            serialization=entry.serialization,
            updated_at=entry.set_at,
        )
        for entry in latest.values()
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewind:
    """How a finished run is to be run again under its own id."""

    workflow_id: str
    start_step: int
    app_version: str | None = None
    queue_name: str | None = None
    partition_key: str | None = None


@database.retried
def rewind(plan: Rewind) -> None:
    """Drop a finished run's history from ``start_step`` on, and enqueue it again.

    Raises NonExistentWorkflowError; InvalidTransitionError for a run that has not ended, or that is undone.
    """
    now = clock.now()
    with database.transact():
        found = _rows().filter(workflow_id=plan.workflow_id)
        row = found.select_for_update(no_key=True).defer("inputs", "output", "error").first()
        if row is None:
            raise NonExistentWorkflowError(plan.workflow_id)
        if row.status not in TERMINAL:
            raise InvalidTransitionError(plan.workflow_id, row.status, "be rewound before it has ended")
        compensation.check_ended(row)
        run, start = row.pk, _checked_start(row, plan.start_step)
        _drop_history(run, start)
        changes = {"app_version": plan.app_version} if plan.app_version else {}
        _rows().filter(pk=run).update(
            status=Status.ENQUEUED,
            worker=None,
            attempt=F("attempt") + 1,
            recovery_attempts=0,
            queue_name=plan.queue_name,
            partition_key=plan.partition_key,
            output=None,
            error=None,
            awaited=False,
            deadline_at=None,
            started_at=None,
            finished_at=None,
            enqueued_at=now,
            updated_at=now,
            **changes,
        )
        transaction.on_commit(notify.work, using=database.alias())


def _drop_history(run: int, start: int) -> None:
    _all(Step).filter(workflow_id=run, position__gte=start).delete()
    _all(Wait).filter(workflow_id=run).delete()
    _all(EventHistory).filter(workflow_id=run, position__gte=start).delete()
    _all(Event).filter(workflow_id=run).delete()
    _insert(Event, _latest_events(run, list(_all(EventHistory).filter(workflow_id=run))))
    _all(StreamEntry).filter(workflow_id=run, value__isnull=True).delete()
    approvals.drop(run, start)
    inbox = _all(Message).filter(destination_id=run)
    inbox.filter(consumed_at__isnull=True).delete()
    inbox.filter(consumed_by_position__gte=start).delete()


def _all(model: Any) -> Any:
    return model._base_manager.using(database.alias())


def _insert(model: Any, rows: list[Any]) -> None:
    _all(model).bulk_create(rows, batch_size=500)


def _rows() -> Any:
    return Workflow.objects.using(database.alias())
