"""Sagas: what undoes the steps of a run, registered as it goes, and run in reverse if it fails.

A registration is a step of its own, recorded before or after the one that it is for. If the body raises, the
run undoes itself: the outcome of undoing what was registered at step 4 is recorded below it, as step 4.0.1.
A cancelled run may record nothing more: a run of its own undoes what is left (``store.compensation``).
"""

import contextlib
import logging
from typing import Any

from durable_app import serialization
from durable_app.engine import timers
from durable_app.engine.checkpoints import checkpoint, decoded, record, replayed
from durable_app.engine.context import Cursor, Execution, Scope, require_trunk
from durable_app.engine.flow import Call, Flow, adrive
from durable_app.errors import CompensationError, WorkflowFunctionNotFoundError
from durable_app.registry import registry
from durable_app.store import compensation
from durable_app.store.compensation import COMPENSATE, in_order_of_undoing
from durable_app.store.records import Position

logger = logging.getLogger("durable_app")

FIRST_LOOK = 0.05
LONGEST_LOOK = 5.0
"""Seconds between two looks whether a cancelled run's execution has ended."""


def register(
    scope: Scope, position: Position, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Flow[None]:
    """Record, as a step, what is to be called if the run fails. Raises SerializationError."""
    found = replayed(scope.cursor, position, COMPENSATE)
    if found is not None:
        scope.execution.undos[position] = found.output or ""
        return
    given = {"step": name, "args": list(args), "kwargs": kwargs}
    text = serialization.encode(given, f"the arguments of the compensation {name!r}")
    yield from record(scope.cursor, checkpoint(scope.execution, position, COMPENSATE, output=text))
    scope.execution.undos[position] = text


def unwind(execution: Execution, error: Exception) -> Flow[None]:
    """Undo what a failing run has registered, the last first; what fails at that is noted on its error."""
    left = _registered(execution)
    if left:
        logger.warning(
            "Workflow is compensated workflow_id=%s name=%s count=%d",
            execution.workflow_id,
            execution.name,
            len(left),
        )
    for position in in_order_of_undoing(left):
        given = {"step": f"of step {position.step_id}"}
        try:
            given = yield from decoded(left[position])
            yield from _undo(Scope(Cursor(execution)), position.below(1), given)
        except Exception as failure:
            if execution.ended_by is not None:  # by a step that is not the recorded one
                raise execution.ended_by from failure
            with contextlib.suppress(Exception):  # some errors cannot be changed
                error.add_note(f"The compensation {_said(given, failure)}")


def _registered(execution: Execution) -> dict[Position, str]:
    """Return all registrations, also those that this execution failed too soon to come by."""
    recorded = {
        Position(*place): found.output or ""
        for place, found in execution.history.items()
        if found.name == COMPENSATE
    }
    return recorded | execution.undos


def let_go(execution: Execution) -> Flow[None]:
    """Tell the compensating run of a cancelled one that this execution has ended; best effort."""
    if not _registered(execution):
        return
    try:
        yield Call(compensation.let_go, execution.lease.id, execution.run)
    except Exception as error:  # noqa: BLE001  (the next heartbeat tells it)
        logger.debug("Execution not let go of workflow_id=%s error=%s", execution.workflow_id, error)


def _undo(scope: Scope, position: Position, given: dict[str, Any]) -> Flow[None]:
    step: Any = registry.steps.get(given["step"])
    if step is None:
        raise WorkflowFunctionNotFoundError(f"No step named {given['step']!r} is registered in this process.")
    yield from step.at(scope, position, tuple(given["args"]), given["kwargs"])


def _said(given: dict[str, Any], failure: Exception) -> str:
    return f"{given['step']!r} failed: {type(failure).__name__}: {failure}"


async def undo(run: int, registered: list[dict[str, Any]]) -> int:
    """Undo what a cancelled run has left, in this order; return how much that was.

    Waits for the end of the run's execution. Raises CompensationError at the end if some of it failed.
    """
    scope = require_trunk("undo")
    await adrive(_await_end(scope, run))
    failures = []
    for given in registered:
        position = scope.cursor.next()
        try:
            await adrive(_undo(scope, position, given))
        except Exception as failure:  # noqa: BLE001  (the others are undone all the same)
            failures.append(_said(given, failure))
    if failures:
        raise CompensationError(scope.execution.workflow_id, failures)
    return len(registered)


def _await_end(scope: Scope, run: int) -> Flow[None]:
    """Wait until nobody executes a cancelled run any more: what a step in flight does comes first."""
    pause = FIRST_LOOK
    while (yield Call(compensation.is_executed, run)):
        yield from timers.wait(scope.cursor, until=timers.after(pause))
        pause = min(pause * 2, LONGEST_LOOK)


registry.undoing = undo
