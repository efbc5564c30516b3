"""Creating, finding and finishing runs."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction

from durable_app import clock
from durable_app.errors import (
    ConflictingWorkflowError,
    NonExistentWorkflowError,
    QueueDeduplicatedError,
    StepNondeterminismError,
    WorkflowIDInUseError,
)
from durable_app.models import Status, Step, Workflow
from durable_app.models.workflow import TERMINAL
from durable_app.store import database, notify, waits
from durable_app.store.records import (
    Checkpoint,
    Created,
    Ended,
    NewRun,
    Outcome,
    Recorded,
    Reuse,
    Started,
    Verdict,
)
from durable_app.store.steps import fence, landed, record_within

ANEW = Reuse()

SOME = 1_000
"""Ids that one statement names."""

logger = logging.getLogger("durable_app")

_ANNOUNCED: dict[str, str] = {Status.ENQUEUED: notify.WORK, Status.DELAYED: notify.DUE}


def create(record: NewRun) -> Created:
    """Insert a run, in the caller's transaction if there is one; wake a worker at its commit."""
    created: Created = database.commit(record)
    if created.run is None and record.worker_id is not None:
        return Created(run=_own(record))
    _after_create(record, created)
    return created


async def acreate(record: NewRun) -> Created:
    """Insert a run from a coroutine."""
    created: Created = await database.acommit(record)
    if created.run is None and record.worker_id is not None:
        return Created(run=await database.acall(_own, record))
    if created.run is not None and record.status in _ANNOUNCED:
        notify.announce(_ANNOUNCED[record.status])
    return created


@database.retried
def _own(record: NewRun) -> int | None:
    """Return the row that this very record made before, if the reply to that was lost.

    A row of our own incarnation, in its first attempt and made at the same microsecond, is no other's.
    """
    rows = _rows().filter(
        workflow_id=record.workflow_id,
        worker_id=record.worker_id,
        attempt=record.attempt,
        status=Status.PENDING,
        created_at=record.created_at,
    )
    run: int | None = rows.values_list("pk", flat=True).first()
    return run


def _after_create(record: NewRun, created: Created) -> None:
    if created.run is None or record.status not in _ANNOUNCED:
        return
    tell = partial(notify.announce, _ANNOUNCED[record.status])
    if database.connection().in_atomic_block:
        transaction.on_commit(tell, using=database.alias())
    else:
        tell()


def start(record: NewRun, reuse: Reuse = ANEW) -> Started:
    """Insert a run, or find the one that stands for it; raises what ``existing`` raises."""
    while True:
        created = create(record)
        if created.run is not None:
            return Started(record.workflow_id, created.run)
        found = existing(record, reuse)
        if found is not None:
            return Started(found)


@database.retried
def existing(record: NewRun, reuse: Reuse = ANEW) -> str | None:
    """Return the id of the run because of which a record was not inserted; None if it has gone since.

    Raises what ``check_same`` raises; QueueDeduplicatedError if another run holds the deduplication id.
    """
    if check_same(record, reject=reuse.rejects_id):
        return record.workflow_id
    if record.deduplication_id is None:
        return None
    rows = _rows().filter(queue_name=record.queue_name, deduplication_id=record.deduplication_id)
    holder: str | None = rows.values_list("workflow_id", flat=True).first()
    if holder is None or reuse.joins_holder:
        return holder
    raise QueueDeduplicatedError(holder, record.queue_name or "", record.deduplication_id)


@database.retried
def launch_child(
    record: NewRun, step: Checkpoint, parent_id: str, begin: Callable[[NewRun], Started]
) -> Started:
    """Begin a child run and record its parent's step in one transaction.

    Raises what the fence raises, what ``begin`` raises, and StepNondeterminismError if another child is
    recorded at the step.
    """
    try:
        with database.transact():
            fence(step.run, step.attempt, parent_id)
            earlier = landed(step)
            if earlier is not None:  # an earlier try has committed, and its reply was lost
                return _started_before(record, step, earlier)
            started = begin(record)
            record_within(step._replace(child_workflow_id=started.workflow_id))
    except IntegrityError:
        _raise_if_other_child(step)
        raise
    return started


def _started_before(record: NewRun, step: Checkpoint, earlier: Recorded) -> Started:
    child_id = earlier.child_workflow_id or ""
    if child_id != record.workflow_id:
        if record.deduplication_id is None:
            _raise_if_other_child(step)
        return Started(child_id)
    found = _own(record) if record.worker_id is not None else None
    return Started(child_id, found)


def _raise_if_other_child(step: Checkpoint) -> None:
    """Raise StepNondeterminismError if another child is recorded at the step."""
    rows = Step.objects.using(database.alias()).filter(
        workflow_id=step.run, position=step.position.number, branch=step.position.branch
    )
    for child in rows.values_list("child_workflow_id", flat=True):
        if child != step.child_workflow_id:
            raise StepNondeterminismError(
                step.child_workflow_id or "",
                step.position.step_id,
                f"the child {child!r} is recorded",
            )


def check_same(record: NewRun, *, reject: bool = False) -> bool:
    """Return whether a run has the id already; raise if it is not the one to return.

    ConflictingWorkflowError if it is of something else; WorkflowIDInUseError, if ``reject``, for any
    that this very record has not made (the reply to an insertion may have been lost).
    """
    found = find(record.workflow_id)
    if found is None:
        return False
    if reject and found.created_at != record.created_at:
        raise WorkflowIDInUseError(found.workflow_id, found.status, found.name)
    for column, what in (
        ("name", "function name"),
        ("class_name", "class name"),
        ("config_name", "config name"),
    ):
        recorded, given = getattr(found, column), getattr(record, column)
        if recorded != given:
            raise ConflictingWorkflowError(record.workflow_id, what, recorded, given)
    if record.queue_name and found.queue_name and found.queue_name != record.queue_name:
        logger.warning(
            "Workflow exists on another queue, where it stays workflow_id=%s queue=%s given=%s",
            found.workflow_id,
            found.queue_name,
            record.queue_name,
        )
    return True


@database.retried
def find(workflow_id: str, among: Callable[[Any], Any] = lambda rows: rows) -> Workflow | None:
    """Return a run's row without its payloads; ``among`` leaves out what the asker may not know of."""
    found: Workflow | None = among(_rows().without_payloads().filter(workflow_id=workflow_id)).first()
    return found


@database.retried
def among(workflow_ids: list[str], sight: Callable[[Any], Any]) -> list[Workflow]:
    """Return the rows of those of these runs that ``sight`` leaves, without their payloads, oldest first."""
    found: list[Workflow] = []
    for first in range(0, len(workflow_ids), SOME):
        some = _rows().without_payloads().filter(workflow_id__in=workflow_ids[first : first + SOME])
        found += sight(some).order_by("pk")
    return found


@database.retried
def hidden(workflow_ids: list[str], sight: Callable[[Any], Any]) -> set[str]:
    """Return those of these ids that are a run's which ``sight`` leaves out."""
    rows = _rows().filter(workflow_id__in=workflow_ids)
    seen = sight(rows)
    if seen is rows:  # whoever asks may know of all
        return set()
    return set(rows.values_list("workflow_id", flat=True)) - set(seen.values_list("workflow_id", flat=True))


@database.retried
def ended(workflow_id: str) -> Ended | None:
    """Return a run's state, with its outcome; None if there is no such run."""
    with database.connection().cursor() as cursor:  # asked by every look of everybody who waits
        cursor.execute(
            "SELECT status, output, error, serialization FROM durable_app_workflow WHERE workflow_id = %s",
            [workflow_id],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    return Ended(workflow_id=workflow_id, status=row[0], output=row[1], error=row[2], serialization=row[3])


@database.retried
def first_ended(workflow_ids: list[str]) -> str | None:
    """Return the id, earliest in the list, of a run that has ended.

    Raises NonExistentWorkflowError if none has, and one of them does not exist.
    """
    rows = _rows().filter(workflow_id__in=workflow_ids)
    found = dict(rows.values_list("workflow_id", "status"))
    for one in workflow_ids:
        if found.get(one) in TERMINAL:
            return one
    for one in workflow_ids:
        if one not in found:
            raise NonExistentWorkflowError(one)
    return None


@database.retried
def statuses(runs: list[int]) -> dict[int, tuple[str, int]]:
    """Return status and attempt of each run."""
    rows = _rows().filter(pk__in=runs).values_list("pk", "status", "attempt")
    return {pk: (status, attempt) for pk, status, attempt in rows}


@database.retried
def finish_awaited(outcome: Outcome, workflow_id: str) -> Verdict:
    """Write an outcome together with the wake-up of the runs that wait for it."""
    with database.transact():
        fence(outcome.run, outcome.attempt, workflow_id)
        _rows().filter(pk=outcome.run).update(
            status=outcome.status,
            output=outcome.output,
            error=outcome.error,
            finished_at=outcome.at,
            updated_at=outcome.at,
            deduplication_id=None,
            waiting_for="",
        )
        waits.wake_waiting_for(waits.News("result", workflow_id).key)
    return Verdict.WRITTEN


def row_id(workflow_id: str, purpose: str = "") -> int:
    """Return a run's row number, or raise NonExistentWorkflowError."""
    found = _rows().filter(workflow_id=workflow_id).values_list("pk", flat=True).first()
    if found is None:
        raise NonExistentWorkflowError(workflow_id, purpose)
    return int(found)


@database.retried
def set_attributes(workflow_id: str, attributes: dict[str, Any] | None, *, merge: bool = False) -> None:
    """Replace a run's attributes, or merge these into them; raises NonExistentWorkflowError."""
    with database.transact():
        row = _rows().filter(workflow_id=workflow_id).select_for_update(no_key=True)
        found = row.values_list("pk", "attributes").first()
        if found is None:
            raise NonExistentWorkflowError(workflow_id)
        run, before = found
        changed = {**(before or {}), **(attributes or {})} if merge else attributes
        _rows().filter(pk=run).update(attributes=changed, updated_at=clock.now())


def _rows() -> Any:
    return Workflow.objects.using(database.alias())
