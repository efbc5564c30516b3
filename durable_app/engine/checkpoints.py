"""Replay or record: the one place that knows "recorded means do not run" and sees changed code."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict, Unpack

from durable_app import clock, serialization
from durable_app.engine.context import Cursor, Execution
from durable_app.engine.flow import Call, Commit, Flow, Pause
from durable_app.errors import (
    ControlFlow,
    OpenTransactionError,
    OwnershipLost,
    StepNondeterminismError,
    UnexpectedStepError,
    WorkflowCancelled,
)
from durable_app.serialization import Place, places
from durable_app.store import database, lifecycle
from durable_app.store.records import Checkpoint, Entry, Position, Recorded, Verdict

LONGEST_LOCK_PAUSE = 0.25


def replayed(cursor: Cursor, position: Position, name: str) -> Recorded | None:
    """Return the step that an earlier execution recorded here, if there is one.

    Raises UnexpectedStepError if it is another step, and whatever has ended this execution.
    """
    cursor.check()
    cursor.note_task()
    if database.in_transaction():
        raise OpenTransactionError(f"The operation {name!r}", database.alias())
    execution = cursor.execution
    if not execution.history and not execution.is_rehearsal:
        return None
    found = execution.history.get(position)
    if found is None:
        if execution.is_rehearsal:
            raise _beyond(cursor, position, name)
        return None
    if found.name != name:
        raise _unexpected(execution, position, expected=name, recorded=found.name)
    execution.visited.add(position)
    if found.serialization != serialization.FORMAT:
        return replace(found, place=places.step(execution.workflow_id, *position))
    return found


class BeyondHistory(ControlFlow):
    """A rehearsal has come to an operation that is not recorded. ``line`` is where the code asks for it."""

    def __init__(self, workflow_id: str, position: Position, name: str, line: str) -> None:
        super().__init__(workflow_id, f"goes on with {name!r} at step {position.step_id}")
        self.position = position
        self.name = name
        self.line = line


def _beyond(cursor: Cursor, position: Position, name: str) -> BeyondHistory:
    """End a rehearsal; in a branch only that one, for the others' histories are to be looked at, too."""
    error = BeyondHistory(cursor.execution.workflow_id, position, name, _users_line())
    if cursor.is_branch:
        cursor.suspended = error
    else:
        cursor.execution.end(error)
    return error


def check_all_replayed(execution: Execution) -> None:
    """Raise UnexpectedStepError if the workflow ended before the steps it had recorded."""
    left = execution.history.keys() - execution.visited
    if left:
        position = Position(*min(left))
        recorded = execution.history[position].name
        raise _unexpected(execution, position, expected="the end of the workflow", recorded=recorded)


def _unexpected(
    execution: Execution, position: Position, *, expected: str, recorded: str
) -> UnexpectedStepError:
    error = UnexpectedStepError(
        execution.workflow_id,
        position.step_id,
        expected=expected,
        recorded=recorded,
        line=_users_line(),
    )
    execution.end(error)
    return error


def _users_line() -> str:
    """Return file and line of the nearest caller outside this package."""
    frame = inspect.currentframe()
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(("durable_app.", "asyncio", "asgiref", "concurrent")):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def outcome(found: Recorded) -> Flow[Any]:
    """Return the recorded output, or raise the recorded error."""
    if found.error is not None:
        raise serialization.decode_error(found.error)
    return (yield from decoded(found.output, found.serialization, found.place))


def decoded(text: str | None, name: str = serialization.FORMAT, place: Place = ()) -> Flow[Any]:
    """Decode a value in the format of this name; where that may run a query, as a call into the store."""
    if text is None:
        return None
    if serialization.reads_database(text):
        return (yield Call(serialization.read, text, name, place))
    if name == serialization.FORMAT:  # nearly all
        return serialization.decode(text)
    return serialization.read(text, name, place)


class StepOutcome(TypedDict, total=False):
    """What came of a step; times default to now."""

    output: str | None
    error: str | None
    serialization: str
    child_workflow_id: str | None
    started_at: datetime
    finished_at: datetime
    tries: int


def checkpoint(
    execution: Execution, position: Position, name: str, **outcome: Unpack[StepOutcome]
) -> Checkpoint:
    """Return a record of a step's outcome, under this execution's attempt."""
    outcome.setdefault("output", None)
    if "started_at" not in outcome or "finished_at" not in outcome:
        now = clock.now()
        outcome.setdefault("started_at", now)
        outcome.setdefault("finished_at", now)
    return Checkpoint(run=execution.run, attempt=execution.attempt, position=position, name=name, **outcome)


def record(cursor: Cursor, step: Checkpoint | Entry, heed: Callable[[], Verdict] | None = None) -> Flow[None]:
    """Make a step's outcome durable; ``heed`` writes it where parked runs must be looked for.

    Raises WorkflowCancelled or OwnershipLost, now and at every later durable call of this execution, if
    the run is not its own any more.
    """
    execution = cursor.execution
    pause = 0.002
    while True:
        try:
            verdict = Verdict.AWAITED
            if heed is None or not execution.is_awaited:
                verdict = yield Commit(step)
            if heed is not None and verdict is Verdict.AWAITED:
                execution.is_awaited = True
                verdict = yield Call(heed)
        except Exception as error:
            raise_at_outage(execution, error)
            raise
        match verdict:
            case Verdict.WRITTEN:
                execution.has_recorded = True
                return
            case Verdict.LOCKED:
                yield Pause(pause)
                pause = min(pause * 2, LONGEST_LOCK_PAUSE)
            case Verdict.TAKEN:
                raise StepNondeterminismError(
                    execution.workflow_id, step.position.step_id, "two outcomes were recorded"
                )
            case _:
                raise refused(execution, verdict)


def ready_to_run(cursor: Cursor) -> Flow[None]:
    """Return if user code may begin now.

    Raises what ended this execution; OwnershipLost without a lease to record the outcome under; and
    WorkflowCancelled past the deadline, which a process without a worker must enforce itself.
    """
    cursor.check_may_start()
    execution = cursor.execution
    if execution.deadline_at is not None and clock.now() >= execution.deadline_at:
        yield Call(lifecycle.cancel, [execution.workflow_id])
        raise refused(execution, Verdict.CANCELLED)


def refused(execution: Execution, verdict: Verdict) -> WorkflowCancelled | OwnershipLost:
    """End the execution, and return what its refused record means."""
    lost = WorkflowCancelled if verdict is Verdict.CANCELLED else OwnershipLost
    error = lost(execution.workflow_id)
    execution.end(error)
    return error


def raise_at_outage(execution: Execution, error: Exception) -> None:
    """End the execution and raise OwnershipLost if the database is away for good; else return.

    A record that joined a transaction of the user's fails with it: that is run again, or not, by its owner.
    """
    if database.is_outage(error) and not database.in_transaction():
        lost = OwnershipLost(execution.workflow_id, "could not reach its database for a whole lease")
        execution.end(lost)
        raise lost from error
