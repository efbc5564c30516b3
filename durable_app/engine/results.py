"""Waiting for a run's outcome, from a workflow (recorded, may park) or from outside."""

from datetime import datetime
from functools import partial
from typing import Any

from durable_app import clock, serialization
from durable_app.engine import timers
from durable_app.engine.checkpoints import checkpoint, decoded, outcome, record, replayed
from durable_app.engine.context import Scope
from durable_app.engine.flow import Flow
from durable_app.errors import (
    AwaitedWorkflowCancelledError,
    AwaitedWorkflowMaxRecoveryAttemptsExceeded,
    NonExistentWorkflowError,
    ResultTimeoutError,
)
from durable_app.serialization import Place, places
from durable_app.store import runs
from durable_app.store.records import Ended, Payload, Position
from durable_app.store.waits import News

GET_RESULT = "durable.getResult"
WAIT_FIRST = "durable.waitFirst"


def await_outside(workflow_id: str, timeout: float | None, longest: float) -> Flow[Any]:
    """Wait for a run's outcome without recording anything.

    Raises ResultTimeoutError, NonExistentWorkflowError, and what the run itself raised.
    """
    look = partial(_final, workflow_id)
    ended = yield from timers.look_until(look, [News("result", workflow_id)], timeout, longest)
    if ended is None:
        raise ResultTimeoutError(workflow_id, timeout or 0.0)
    return (yield from value_of(ended))


def await_inside(
    scope: Scope, position: Position, workflow_id: str, began_at: datetime | None = None
) -> Flow[Any]:
    """Wait for a run's outcome as a step of a workflow; the run may park meanwhile.

    ``began_at`` is when the wait began, if that was before this call.
    """
    found = replayed(scope.cursor, position, GET_RESULT)
    if found is not None:
        return (yield from outcome(found))
    started_at = began_at or scope.execution.waiting_since()
    news = News("result", workflow_id)
    error: Exception | None = None
    value = None
    copied = Payload(None)
    try:
        ended = yield from timers.wait(
            scope.cursor, until=None, news=(news,), look=partial(_final, workflow_id)
        )
        value = yield from value_of(ended)
        copied = _copied(ended, places.step(scope.execution.workflow_id, *position))
    except Exception as failure:  # noqa: BLE001  (recorded, and raised again below)
        error = failure
    step = checkpoint(
        scope.execution,
        position,
        GET_RESULT,
        output=copied.text,
        serialization=copied.serialization,
        error=None if error is None else serialization.encode_error(error),
        child_workflow_id=workflow_id,
        started_at=started_at,
        finished_at=clock.now(),
    )
    yield from record(scope.cursor, step)
    if error is not None:
        raise error
    return value


def _copied(ended: Ended, place: Place) -> Payload:
    """Return a run's output as it is to stand in the step that waited for it."""
    if ended.output is None:
        return Payload(None)
    source = places.output(ended.workflow_id)
    text = serialization.moved(ended.output, ended.serialization, source, place)
    return Payload(text, ended.serialization)


def value_of(ended: Ended) -> Flow[Any]:
    """Return a finished run's value, or raise what its end means to one who waited for it."""
    match ended.status:
        case "SUCCESS":
            place = places.output(ended.workflow_id)
            return (yield from decoded(ended.output, ended.serialization, place))
        case "CANCELLED":
            raise AwaitedWorkflowCancelledError(ended.workflow_id)
        case "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
            raise AwaitedWorkflowMaxRecoveryAttemptsExceeded(ended.workflow_id)
        case _:
            raise serialization.read_error(ended.error or "", ended.serialization)


def first_inside(scope: Scope, position: Position, workflow_ids: list[str]) -> Flow[str]:
    """Wait, as a step, for the first of several runs to end; return its id."""
    found = replayed(scope.cursor, position, WAIT_FIRST)
    if found is not None:
        recorded: str = yield from outcome(found)
        return recorded
    started_at = scope.execution.waiting_since()
    news = tuple(News("result", one) for one in workflow_ids)
    look = partial(runs.first_ended, workflow_ids)
    error: Exception | None = None
    first = text = None
    try:
        first = yield from timers.wait(scope.cursor, until=None, news=news, look=look)
        text = serialization.encode(first)
    except NonExistentWorkflowError as failure:  # recorded, and raised again below
        error = failure
    step = checkpoint(
        scope.execution,
        position,
        WAIT_FIRST,
        output=text,
        error=None if error is None else serialization.encode_error(error),
        child_workflow_id=first,
        started_at=started_at,
        finished_at=clock.now(),
    )
    yield from record(scope.cursor, step)
    if error is not None:
        raise error
    return str(first)


def first_outside(workflow_ids: list[str], longest: float) -> Flow[str]:
    """Wait for the first of several runs to end; return its id."""
    look = partial(runs.first_ended, workflow_ids)
    news = [News("result", one) for one in workflow_ids]
    first: str = yield from timers.look_until(look, news, None, longest)
    return first


def _final(workflow_id: str) -> Ended | None:
    ended = runs.ended(workflow_id)
    if ended is None:
        raise NonExistentWorkflowError(workflow_id)
    return ended if ended.is_final else None
