"""Verbs of operators used inside a workflow: performed once, recorded, replayed."""

from collections.abc import Callable
from typing import Any

from durable_app import clock, serialization
from durable_app.engine.checkpoints import checkpoint, outcome, record, replayed
from durable_app.engine.context import Scope
from durable_app.engine.flow import Call, Flow
from durable_app.errors import SerializationError
from durable_app.serialization import Place, places
from durable_app.store.records import Payload, Position


def as_step(scope: Scope, position: Position, name: str, verb: Callable[[], Any]) -> Flow[Any]:
    """Perform a verb as a step, recording its value or its error."""
    found = replayed(scope.cursor, position, name)
    if found is not None:
        return (yield from outcome(found))
    scope.cursor.check_may_start()
    started_at = clock.now()
    place = places.step(scope.execution.workflow_id, *position)
    value = error = None
    written = Payload(None)
    try:
        value = yield Call(verb)
        written = _written(value, f"the result of {name}", place)
    except Exception as failure:  # noqa: BLE001  (recorded, and raised again below)
        error = failure
    step = checkpoint(
        scope.execution,
        position,
        name,
        output=written.text,
        serialization=written.serialization,
        error=None if error is None else serialization.encode_error(error),
        started_at=started_at,
        finished_at=clock.now(),
    )
    yield from record(scope.cursor, step)
    if error is not None:
        raise error
    return value


def _written(value: Any, what: str, place: Place) -> Payload:
    """Encode a verb's value: as the engine's own, unless it holds what only the users' format can hold."""
    try:
        return Payload(serialization.encode(value, what))
    except SerializationError:
        form = serialization.chosen()
        return Payload(form.write(value, what, place), form.name)
