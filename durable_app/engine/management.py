"""Verbs of operators used inside a workflow: performed once, recorded, replayed."""

from collections.abc import Callable
from typing import Any

from durable_app import clock, serialization
from durable_app.engine.checkpoints import checkpoint, outcome, record, replayed
from durable_app.engine.context import Scope
from durable_app.engine.flow import Call, Flow
from durable_app.store.records import Position


def as_step(scope: Scope, position: Position, name: str, verb: Callable[[], Any]) -> Flow[Any]:
    """Perform a verb as a step, recording its value or its error."""
    found = replayed(scope.cursor, position, name)
    if found is not None:
        return (yield from outcome(found))
    scope.cursor.check_may_start()
    started_at = clock.now()
    value = error = None
    try:
        value = yield Call(verb)
        text: str | None = serialization.encode(value, f"the result of {name}")
    except Exception as failure:  # noqa: BLE001  (recorded, and raised again below)
        text, error = None, failure
    step = checkpoint(
        scope.execution,
        position,
        name,
        output=text,
        error=None if error is None else serialization.encode_error(error),
        started_at=started_at,
        finished_at=clock.now(),
    )
    yield from record(scope.cursor, step)
    if error is not None:
        raise error
    return value
