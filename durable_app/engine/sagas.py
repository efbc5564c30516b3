"""Sagas: what undoes the steps of a run, registered as it goes, and run in reverse if it fails.

A registration is a step of its own, recorded before or after the one that it is for. If the body raises, the
run undoes itself: the outcome of undoing what was registered at step 4 is recorded below it, as step 4.0.1.
A cancelled run may record nothing more: a run of its own undoes what is left (``store.compensation``).
"""

import logging
from typing import Any

from durable_app import serialization
from durable_app.engine.checkpoints import checkpoint, decoded, record, replayed
from durable_app.engine.context import Cursor, Execution, Scope, require_trunk
from durable_app.engine.flow import Flow, adrive
from durable_app.errors import CompensationError, WorkflowFunctionNotFoundError
from durable_app.registry import registry
from durable_app.store.compensation import COMPENSATE, in_order_of_undoing
from durable_app.store.records import Position

logger = logging.getLogger("durable_app")


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
    left = dict(execution.undos)
    for place, found in execution.history.items():
        if found.name == COMPENSATE:  # also what this execution failed too soon to come by
            left.setdefault(Position(*place), found.output or "")
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
        except Exception as failure:  # noqa: BLE001  (the others are undone all the same)
            error.add_note(f"The compensation {_said(given, failure)}")


def _undo(scope: Scope, position: Position, given: dict[str, Any]) -> Flow[None]:
    step: Any = registry.steps.get(given["step"])
    if step is None:
        raise WorkflowFunctionNotFoundError(f"No step named {given['step']!r} is registered in this process.")
    yield from step.at(scope, position, tuple(given["args"]), given["kwargs"])


def _said(given: dict[str, Any], failure: Exception) -> str:
    return f"{given['step']!r} failed: {type(failure).__name__}: {failure}"


async def undo(registered: list[dict[str, Any]]) -> int:
    """Undo what a cancelled run has left, in this order; return how much that was.

    Raises CompensationError at the end if some of it failed.
    """
    scope = require_trunk("undo")
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


registry.undoing = undo
