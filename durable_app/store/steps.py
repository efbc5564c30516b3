"""Recorded steps: read a run's history, record beside the caller's own writes, fence a run."""

from collections import defaultdict
from collections.abc import Iterable

from django.db import connections
from django.db.models import F

from durable_app import clock
from durable_app.errors import OwnershipLost, WorkflowCancelled
from durable_app.models import Receipt, Status, Step, Workflow
from durable_app.store import database
from durable_app.store.records import Checkpoint, History, Position, Recorded, Verdict


@database.retried
def histories(runs: Iterable[int]) -> dict[int, History]:
    """Return the recorded steps of each run, in one query."""
    found: dict[int, History] = defaultdict(dict)
    rows = Step.objects.using(database.alias()).filter(workflow_id__in=list(runs))
    columns = (
        "workflow_id",
        "position",
        "branch",
        "name",
        "output",
        "error",
        "child_workflow_id",
        "finished_at",
        "serialization",
    )
    for run, number, branch, *outcome in rows.values_list(*columns):
        name, output, error, child, finished_at, serialization = outcome
        found[run][(number, branch)] = Recorded(
            name=name,
            output=output,
            error=error,
            child_workflow_id=child,
            finished_at=finished_at,
            serialization=serialization,
        )
    return found


def fence(run: int, attempt: int, workflow_id: str) -> None:
    """Lock the run's row for the rest of the transaction, and prove that it is this attempt's.

    Raises WorkflowCancelled or OwnershipLost. On SQLite the lock is the transaction's own, which
    therefore must begin with a write.
    """
    rows = Workflow.objects.using(database.alias()).filter(pk=run)
    if database.is_postgres():
        state = rows.select_for_update(no_key=True).values_list("status", "attempt").first()
    else:
        rows.update(updated_at=F("updated_at"))
        state = rows.values_list("status", "attempt").first()
    _check(state, attempt, workflow_id)


@database.retried
def check_held(run: int, attempt: int, workflow_id: str) -> None:
    """Prove, without a lock, that the run is this attempt's; raises what ``fence`` raises."""
    rows = Workflow.objects.using(database.alias()).filter(pk=run)
    _check(rows.values_list("status", "attempt").first(), attempt, workflow_id)


def _check(state: tuple[str, int] | None, attempt: int, workflow_id: str) -> None:
    if state == (Status.PENDING, attempt):
        return
    if state is not None and state[0] == Status.CANCELLED:
        raise WorkflowCancelled(workflow_id)
    raise OwnershipLost(workflow_id)


def record_within(checkpoint: Checkpoint) -> None:
    """Record a step in the transaction that is open on this thread; the caller has fenced.

    Raises OwnershipLost if the position is taken.
    """
    created = Step(
        workflow_id=checkpoint.run,
        position=checkpoint.position.number,
        branch=checkpoint.position.branch,
        name=checkpoint.name,
        output=checkpoint.output,
        error=checkpoint.error,
        serialization=checkpoint.serialization,
        child_workflow_id=checkpoint.child_workflow_id,
        started_at=checkpoint.started_at,
        finished_at=checkpoint.finished_at,
        tries=checkpoint.tries,
        attempt=checkpoint.attempt,
    )
    created.save(using=database.alias(), force_insert=True)


@database.retried
def recorded_by(run: int, attempt: int, position: Position) -> Recorded | None:
    """Return the step that this attempt recorded at a position: tells after a lost COMMIT reply."""
    row = (
        Step.objects.using(database.alias())
        .filter(workflow_id=run, position=position.number, branch=position.branch, attempt=attempt)
        .first()
    )
    if row is None:
        return None
    return Recorded(
        name=row.name,
        output=row.output,
        error=row.error,
        child_workflow_id=row.child_workflow_id,
        serialization=row.serialization,
    )


def landed(step: Checkpoint) -> Recorded | None:
    """Return the step if this store function has committed it before, and only the reply was lost."""
    return recorded_by(step.run, step.attempt, step.position) if database.is_repeating() else None


def receipt(using: str, workflow_id: str, position: Position) -> str | None:
    """Return the output of a transaction that has committed in another database, if it has."""
    return (
        Receipt.objects.using(using)
        .filter(workflow_id=workflow_id, position=position.number, branch=position.branch)
        .values_list("output", flat=True)
        .first()
    )


def claim_receipt(using: str, workflow_id: str, position: Position) -> None:
    """Begin a transaction's receipt, before its writes: a second owner waits for this one's end.

    IntegrityError if there is one already.
    """
    Receipt(
        workflow_id=workflow_id,
        position=position.number,
        branch=position.branch,
        created_at=clock.now(),
    ).save(using=using, force_insert=True)


def leave_receipt(using: str, workflow_id: str, position: Position, output: str) -> None:
    """Complete a transaction's receipt, in the transaction that began it."""
    Receipt.objects.using(using).filter(
        workflow_id=workflow_id, position=position.number, branch=position.branch
    ).update(output=output)


def drop_receipts(using: str, workflow_id: str) -> None:
    """Delete a finished run's receipts."""
    if not connections[using].in_atomic_block:
        Receipt.objects.using(using).filter(workflow_id=workflow_id).delete()


def raise_for(verdict: Verdict, workflow_id: str) -> None:
    """Raise what a refused record means to its execution."""
    if verdict is Verdict.CANCELLED:
        raise WorkflowCancelled(workflow_id)
    raise OwnershipLost(workflow_id)
