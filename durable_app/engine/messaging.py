"""Messages and events, as flows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from durable_app import clock, serialization
from durable_app.engine import timers
from durable_app.engine.checkpoints import checkpoint, decoded, outcome, record, replayed
from durable_app.engine.context import Execution, Scope, current
from durable_app.engine.flow import Call, Flow
from durable_app.engine.launch import checked_key
from durable_app.engine.management import as_step
from durable_app.errors import ControlFlow, DurableError, InvalidOptionError
from durable_app.serialization import Format, Place, places
from durable_app.store import messages
from durable_app.store.records import Parcel, Payload, Position
from durable_app.store.waits import News

SEND = "durable.send"
SEND_BULK = "durable.send_bulk"
RECV = "durable.recv"
SET_EVENT = "durable.setEvent"
GET_EVENT = "durable.getEvent"
GET_EVENTS = "durable.get_events"

MOMENT = 0.1
"""Seconds for which a wait's deadline need not be durable: an answer that comes at once saves a commit."""

RESERVED = "durable."
"""Prefix of the event keys and the topics that are the engine's."""


def checked_topic(topic: Any) -> str:
    """Return a topic; raise InvalidOptionError for the engine's own, on which people's answers come."""
    if checked_key(topic, "a topic").startswith(RESERVED):
        raise InvalidOptionError(
            f"{topic!r} is the engine's topic, as is every one that starts with {RESERVED!r}: "
            "a question is answered in its inbox",
            "topic",
        )
    return str(topic)


def send(
    scope: Scope | None,
    position: Position | None,
    messages_to_send: Sequence[Parcel],
    *,
    name: str = SEND,
    to_forks: bool = False,
) -> Flow[None]:
    """Send messages: once from a workflow, unrecorded from a step or from outside."""
    deliver = partial(messages.send, messages_to_send, to_forks=to_forks)
    if scope is None:
        yield Call(deliver)
        return
    execution = scope.execution
    deliver = partial(deliver, sender=(execution.run, execution.attempt, execution.workflow_id))
    if position is None:
        yield from _fenced(scope, deliver)
        return
    found = replayed(scope.cursor, position, name)
    if found is not None:
        yield from outcome(found)
        return
    step = checkpoint(execution, position, name, output="null")
    yield from _recorded(scope, step, partial(deliver, step=step))


def _fenced(scope: Scope, write: Callable[[], Any]) -> Flow[Any]:
    """Write something under the run's fence; what the fence raises ends the execution."""
    try:
        return (yield Call(write))
    except ControlFlow as lost:
        scope.execution.end(lost)
        raise


def _recorded(scope: Scope, step: Any, write: Any) -> Flow[Any]:
    """Write something together with its checkpoint; record the engine's refusal as the outcome."""
    try:
        return (yield from _fenced(scope, write))
    except DurableError as error:
        failure = checkpoint(
            scope.execution, step.position, step.name, error=serialization.encode_error(error)
        )
        yield from record(scope.cursor, failure)
        raise


def recv(scope: Scope, at: Position, timer: Position, topic: str, timeout: float) -> Flow[Any]:
    """Receive the oldest message of a topic, None when none came in time."""
    recorded = replayed(scope.cursor, at, RECV)
    if recorded is not None:
        if timer in scope.execution.history:
            replayed(scope.cursor, timer, timers.SLEEP)
        return (yield from outcome(recorded))
    execution = scope.execution
    place = places.step(execution.workflow_id, *at)
    news = News("message", execution.workflow_id, topic)
    look = partial(_message_or_none, execution.run, topic)
    if not (execution.history and timer in execution.history):
        moment = _moment(execution, timeout)
        there = yield from timers.wait(scope.cursor, until=timers.after(moment), news=(news,), look=look)
        if there or timeout <= 0:
            found = yield from _consume(scope, at, topic, last_chance=timeout <= 0)
            if found is not None or timeout <= 0:
                return (yield from _value(found, place))
        timeout -= moment
    until = yield from timers.deadline(scope, timer, timeout)
    while True:
        yield from timers.wait(scope.cursor, until=until, news=(news,), look=look)
        is_over = clock.now() >= until
        found = yield from _consume(scope, at, topic, last_chance=is_over)
        if found is not None or is_over:
            return (yield from _value(found, place))


def _moment(execution: Execution, timeout: float) -> float:
    """Return for how many seconds a wait goes without a durable deadline: it must not park meanwhile."""
    if execution.park_after is not None and execution.park_after.total_seconds() <= MOMENT:
        return 0.0
    return min(timeout, MOMENT)


def _message_or_none(run: int, topic: str) -> bool | None:
    return messages.has_message(run, topic) or None


def _value(found: Payload | None, place: Place) -> Flow[Any]:
    """Decode what was found; None where nothing was."""
    if found is None:
        return None
    return (yield from decoded(found.text, found.serialization, place))


def _consume(scope: Scope, at: Position, topic: str, *, last_chance: bool) -> Flow[Payload | None]:
    execution = scope.execution
    scope.cursor.check()
    step = checkpoint(execution, at, RECV, output="null")
    consume = partial(messages.consume, step, execution.workflow_id, topic, last_chance=last_chance)
    found: Payload | None = yield from _recorded(scope, step, consume)
    return found


def published_format(execution: Execution, wanted: str | None) -> Format:
    """Return the format of what a run publishes: as asked, else its own if it is a portable run."""
    portable = execution.serialization == serialization.PORTABLE
    return serialization.wanted("portable" if wanted is None and portable else wanted)


def set_event(
    scope: Scope, position: Position | None, key: str, value: Any, serialization_type: str | None = None
) -> Flow[None]:
    """Publish a value under a key; a step of its own unless it is called inside one."""
    execution = scope.execution
    form = published_format(execution, serialization_type)
    text = form.write(value, f"the event {key!r}", places.event(execution.workflow_id, key))
    step = None
    if position is not None:
        found = replayed(scope.cursor, position, SET_EVENT)
        if found is not None:
            yield from outcome(found)
            return
        step = checkpoint(execution, position, SET_EVENT, output="null")
    write = partial(
        messages.set_event,
        execution.run,
        execution.attempt,
        execution.workflow_id,
        key,
        Payload(text, form.name),
        step,
    )
    yield from _fenced(scope, write)


def get_event(
    scope: Scope | None,
    positions: tuple[Position, Position] | None,
    workflow_id: str,
    key: str,
    timeout: float,
) -> Flow[Any]:
    """Return a key's latest value, waiting for it; recorded in a workflow, plain elsewhere."""
    look = partial(messages.get_event, workflow_id, key)
    source = places.event(workflow_id, key)
    if scope is None or positions is None:
        found = yield from timers.look_until(look, [News("event", workflow_id, key)], timeout)
        return (yield from _value(found, source))
    at, timer = positions
    recorded = replayed(scope.cursor, at, GET_EVENT)
    if recorded is not None:
        if timer in scope.execution.history:
            replayed(scope.cursor, timer, timers.SLEEP)
        return (yield from outcome(recorded))
    started_at = scope.execution.waiting_since()
    news = (News("event", workflow_id, key),)
    found = None
    if not (scope.execution.history and timer in scope.execution.history):
        moment = _moment(scope.execution, timeout)
        found = yield from timers.wait(scope.cursor, until=timers.after(moment), news=news, look=look)
        timeout -= moment
    if found is None:
        until = yield from timers.deadline(scope, timer, timeout)
        found = yield from timers.wait(scope.cursor, until=until, news=news, look=look)
    copied = _moved(found, source, places.step(scope.execution.workflow_id, *at))
    step = checkpoint(
        scope.execution,
        at,
        GET_EVENT,
        output=copied.text,
        serialization=copied.serialization,
        started_at=started_at,
        finished_at=clock.now(),
    )
    yield from record(scope.cursor, step)
    return (yield from _value(found, source))


def _moved(found: Payload | None, source: Place, target: Place) -> Payload:
    """Return what was found as it is to stand in a step; null where nothing was."""
    if found is None or found.text is None:
        return Payload("null")
    text = serialization.moved(found.text, found.serialization, source, target)
    return Payload(text, found.serialization)


def get_all_events(scope: Scope | None, position: Position | None, workflow_id: str) -> Flow[dict[str, Any]]:
    """Return the latest value of every key."""
    look = partial(_all_values, workflow_id)
    if scope is not None and position is not None:
        found: dict[str, Any] = yield from as_step(scope, position, GET_EVENTS, look)
    else:
        found = yield Call(look)
    return found


def _all_values(workflow_id: str) -> dict[str, Any]:
    return {
        key: serialization.read(found.text or "", found.serialization, places.event(workflow_id, key))
        for key, found in messages.all_events(workflow_id).items()
        if not key.startswith(RESERVED)
    }


def in_step() -> bool:
    """Return whether a step's body runs here."""
    scope = current.get()
    return scope is not None and scope.step is not None
