"""Endless runs with bounded histories: the function begins again, and its old steps are dropped."""

from dataclasses import replace
from typing import Any, NoReturn

from durable_app import clock, serialization, signals
from durable_app.engine import timers
from durable_app.engine.checkpoints import check_all_replayed, checkpoint, replayed
from durable_app.engine.context import Cursor, Execution, Scope
from durable_app.engine.flow import Call, Flow
from durable_app.errors import ContinuedAsNew, ControlFlow
from durable_app.serialization import places
from durable_app.store import continuing as store
from durable_app.store.records import Position, Recorded


def leave(scope: Scope, position: Position, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
    """End this execution of the body; what it raises here it raises at every later durable call.

    Raises ContinuedAsNew; SerializationError for arguments that cannot be stored; UnexpectedStepError if an
    earlier execution went on from here.
    """
    execution = scope.execution
    replayed(scope.cursor, position, store.CONTINUE)
    check_all_replayed(execution)
    form = serialization.named(execution.serialization)
    what = f"the inputs of workflow {execution.name!r}"
    text = form.write_inputs((args, kwargs), what, places.inputs(execution.workflow_id))
    left = ContinuedAsNew(execution.workflow_id, position.number, text, form.name)
    execution.end(left)
    raise left


def hand_over(execution: Execution, left: ContinuedAsNew) -> Flow[Execution]:
    """Drop the history, and return the execution that goes on; the run parks if the worker drains.

    Raises WorkflowCancelled or OwnershipLost.
    """
    _, rounds = store.begun(execution.history)
    at = clock.now()
    step = checkpoint(
        execution,
        Position(left.step_id),
        store.CONTINUE,
        output=serialization.encode(rounds + 1),
        started_at=at,
        finished_at=at,
    )
    try:
        yield Call(store.hand_over, step, execution.workflow_id, left.inputs, left.serialization)
    except ControlFlow as lost:
        execution.ended_by = lost
        raise
    marker = Recorded(name=step.name, output=step.output, error=None, child_workflow_id=None, finished_at=at)
    successor = replace(
        execution,
        attempt=execution.attempt + 1,
        history={step.position: marker},
        visited=set(),
        receipts=set(),
        undos={},
        has_reported=False,
        has_recorded=False,
        ended_by=None,
    )
    signals.workflow_continued.send(
        sender=None, workflow_id=execution.workflow_id, name=execution.name, rounds=rounds + 1
    )
    if execution.lease.draining and execution.park_after is not None:
        while True:
            yield from timers.park(Cursor(successor), (), clock.now())
    return successor
