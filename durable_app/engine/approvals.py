"""Asking people, as a flow: a question that is recorded, and a message that is the answer."""

from typing import Any

from durable_app import clock
from durable_app.engine import messaging, timers
from durable_app.engine.checkpoints import checkpoint, outcome, replayed
from durable_app.engine.context import Scope
from durable_app.engine.flow import Call, Flow
from durable_app.errors import ControlFlow
from durable_app.store import approvals
from durable_app.store.approvals import Question
from durable_app.store.records import Position

ASK = "durable.askForApproval"


def wait_for_approval(
    scope: Scope, places: tuple[Position, Position, Position], question: Question, timeout: float
) -> Flow[Any]:
    """Ask, and wait for the answer; None if there was none in time."""
    at, receive, timer = places
    found = replayed(scope.cursor, at, ASK)
    if found is None:
        yield from _ask(scope, at, question)
    else:
        yield from outcome(found)
    answer = yield from messaging.recv(scope, receive, timer, approvals.topic_of(at), timeout)
    if answer is None and not scope.execution.is_rehearsal:
        yield Call(approvals.expire, scope.execution.run, *at)
    return answer


def _ask(scope: Scope, at: Position, question: Question) -> Flow[None]:
    scope.cursor.check_may_start()
    step = checkpoint(scope.execution, at, ASK, output="null", started_at=clock.now())
    try:
        yield Call(approvals.ask, question, step, scope.execution.workflow_id)
    except ControlFlow as lost:
        scope.execution.end(lost)
        raise


FOREVER = timers.FAR.total_seconds()
