"""Creating, finding and finishing runs."""

from typing import Any

from django.db import IntegrityError, transaction

from durable_app import clock
from durable_app.errors import (
    ConflictingWorkflowError,
    NonExistentWorkflowError,
    StepNondeterminismError,
    WorkflowIDInUseError,
)
from durable_app.models import Status, Step, Workflow
from durable_app.models.workflow import TERMINAL
from durable_app.store import database, notify, waits
from durable_app.store.records import Checkpoint, Created, Ended, NewRun, Outcome, Verdict
from durable_app.store.steps import fence, record_within


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
    if record.status == Status.ENQUEUED and created.run is not None:
        notify.work()
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
    if record.status != Status.ENQUEUED or created.run is None:
        return
    if database.connection().in_atomic_block:
        transaction.on_commit(notify.work, using=database.alias())
    else:
        notify.work()


@database.retried
def launch_child(record: NewRun, step: Checkpoint, parent_id: str, *, reject: bool = False) -> int | None:
    """Insert a child run and its parent's step in one transaction.

    Returns the child's row, or None if a run of that id exists. Raises what the fence raises,
    what ``check_same`` raises, and StepNondeterminismError if another child is recorded at the step.
    """
    try:
        with database.transact():
            fence(step.run, step.attempt, parent_id)
            created = create(record)
            if database.is_repeating() and _is_recorded(step):
                return created.run  # an earlier try has committed, and its reply was lost
            if created.run is None:
                check_same(record, reject=reject)
            record_within(step)
    except IntegrityError:
        _is_recorded(step)
        raise
    return created.run


def _is_recorded(step: Checkpoint) -> bool:
    """Return whether the step stands; raises StepNondeterminismError if it is another child's."""
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
        return True
    return False


def check_same(record: NewRun, *, reject: bool = False) -> None:
    """Raise if the run that has the id already is not the one to return.

    ConflictingWorkflowError if it is of something else; WorkflowIDInUseError, if ``reject``, for any
    that this very record has not made (the reply to an insertion may have been lost).
    """
    found = find(record.workflow_id)
    if found is None:
        return
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


@database.retried
def find(workflow_id: str) -> Workflow | None:
    """Return a run's row without its payloads."""
    found: Workflow | None = _rows().without_payloads().filter(workflow_id=workflow_id).first()
    return found


@database.retried
def ended(workflow_id: str) -> Ended | None:
    """Return a run's state, with its outcome; None if there is no such run."""
    with database.connection().cursor() as cursor:  # asked by every look of everybody who waits
        cursor.execute(
            "SELECT status, output, error FROM durable_app_workflow WHERE workflow_id = %s",
            [workflow_id],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    return Ended(workflow_id=workflow_id, status=row[0], output=row[1], error=row[2])


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
def set_attributes(workflow_id: str, attributes: dict[str, Any] | None) -> None:
    """Replace a run's attributes."""
    _rows().filter(workflow_id=workflow_id).update(attributes=attributes, updated_at=clock.now())


def _rows() -> Any:
    return Workflow.objects.using(database.alias())
