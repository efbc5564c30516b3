"""Messages and events of workflows. Each sync verb has an ``a``-prefixed twin to await."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from asgiref.sync import markcoroutinefunction

from durable_app import serialization
from durable_app.engine import messaging, timers
from durable_app.engine.context import current, require_trunk, require_workflow
from durable_app.engine.flow import Flow, adrive, drive_blocking
from durable_app.engine.launch import checked_id, checked_key
from durable_app.errors import InvalidOptionError
from durable_app.handles import place, refuse_in_transaction
from durable_app.store.records import Parcel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SendMessage:
    """A message of a ``send_bulk``."""

    destination_id: str
    message: Any
    topic: str | None = None
    idempotency_key: str | None = None


def _blocking(verb: str, flow: Flow[T]) -> T:
    return drive_blocking(flow, f"a{verb}")


def send(
    destination_id: str,
    message: Any,
    topic: str | None = None,
    *,
    idempotency_key: str | None = None,
    send_to_forks: bool = False,
    serialization_type: str | None = None,
) -> None:
    """Send a message to a run, once from a workflow, and once for each ``idempotency_key``.

    ``send_to_forks`` also delivers to every fork that the run has now, and to their forks;
    ``serialization_type`` is "portable", or None for the project's. Joins the caller's transaction. Raises
    NonExistentWorkflowError for an unknown destination.
    """
    one = SendMessage(destination_id, message, topic, idempotency_key)
    _blocking("send", _send_flow([one], messaging.SEND, send_to_forks, serialization_type))


@markcoroutinefunction
def asend(
    destination_id: str,
    message: Any,
    topic: str | None = None,
    *,
    idempotency_key: str | None = None,
    send_to_forks: bool = False,
    serialization_type: str | None = None,
) -> Awaitable[None]:
    """Async twin of ``send``."""
    one = SendMessage(destination_id, message, topic, idempotency_key)
    return adrive(_send_flow([one], messaging.SEND, send_to_forks, serialization_type))


def send_bulk(
    messages: Sequence[SendMessage], *, send_to_forks: bool = False, serialization_type: str | None = None
) -> None:
    """Send several messages in one transaction, all or none; in a workflow one step.

    Raises InvalidOptionError if two of them have one destination and one ``idempotency_key``;
    NonExistentWorkflowError for an unknown destination.
    """
    _blocking("send_bulk", _send_flow(messages, messaging.SEND_BULK, send_to_forks, serialization_type))


@markcoroutinefunction
def asend_bulk(
    messages: Sequence[SendMessage], *, send_to_forks: bool = False, serialization_type: str | None = None
) -> Awaitable[None]:
    """Async twin of ``send_bulk``."""
    return adrive(_send_flow(messages, messaging.SEND_BULK, send_to_forks, serialization_type))


def _send_flow(given: Sequence[SendMessage], name: str, to_forks: bool, wanted: str | None) -> Flow[None]:
    _, position = place()
    form = serialization.wanted(wanted)
    parcels = [_parcel(one, form) for one in given]
    keyed = [(one.destination, one.idempotency_key) for one in parcels if one.idempotency_key is not None]
    if len(set(keyed)) != len(keyed):
        raise InvalidOptionError("two messages of one batch have the same destination and idempotency key")
    return messaging.send(current.get(), position, parcels, name=name, to_forks=to_forks)


def _parcel(given: SendMessage, form: serialization.Format) -> Parcel:
    if not isinstance(given, SendMessage):
        raise InvalidOptionError(f"send_bulk() takes SendMessage objects, not {given!r}")
    key = given.idempotency_key
    destination = checked_id(given.destination_id)
    topic = messaging.checked_topic(given.topic or "")
    return Parcel(
        destination=destination,
        topic=topic,
        text=form.write(given.message, "the message", serialization.places.message(destination, topic)),
        idempotency_key=None if key is None else checked_key(key, "an idempotency key"),
        serialization=form.name,
    )


def recv(topic: str | None = None, timeout_seconds: float | timedelta = 60) -> Any:
    """Receive the oldest message of a topic, waiting for it; None if none came in time.

    Without a topic, only messages sent without one are received.
    """
    return _blocking("recv", _recv_flow("recv", topic, timeout_seconds))


@markcoroutinefunction
def arecv(topic: str | None = None, timeout_seconds: float | timedelta = 60) -> Awaitable[Any]:
    """Async twin of ``recv``."""
    return adrive(_recv_flow("arecv", topic, timeout_seconds))


def _recv_flow(verb: str, topic: str | None, timeout: float | timedelta) -> Flow[Any]:
    scope = require_trunk(verb)
    seconds = timers.seconds_of(timeout, "timeout_seconds")
    at, timer = scope.cursor.next(), scope.cursor.next()
    return messaging.recv(scope, at, timer, messaging.checked_topic(topic or ""), seconds)


def set_event(key: str, value: Any, *, serialization_type: str | None = None) -> None:
    """Publish a value of the running workflow under a key.

    ``serialization_type`` is "portable", or None for the run's own: portable in a portable run, else the
    project's.
    """
    _blocking("set_event", _set_event_flow("set_event", key, value, serialization_type))


@markcoroutinefunction
def aset_event(key: str, value: Any, *, serialization_type: str | None = None) -> Awaitable[None]:
    """Async twin of ``set_event``."""
    return adrive(_set_event_flow("aset_event", key, value, serialization_type))


def _set_event_flow(verb: str, key: str, value: Any, wanted: str | None) -> Flow[None]:
    scope = require_workflow(verb)
    if checked_key(key, "an event's key").startswith(messaging.RESERVED):
        raise InvalidOptionError(
            f"event keys that start with {messaging.RESERVED!r} are the engine's: {key!r}"
        )
    position = None if scope.step is not None else scope.cursor.next()
    return messaging.set_event(scope, position, key, value, wanted)


def get_event(workflow_id: str, key: str, timeout_seconds: float | timedelta = 60) -> Any:
    """Return the latest value of a run's event, waiting until it is set; None if it was not in time.

    The run need not exist yet. Raises OpenTransactionError inside a transaction of the caller's.
    """
    if current.get() is None:
        refuse_in_transaction("get_event()")
    return _blocking("get_event", _get_event_flow(workflow_id, key, timeout_seconds))


@markcoroutinefunction
def aget_event(workflow_id: str, key: str, timeout_seconds: float | timedelta = 60) -> Awaitable[Any]:
    """Async twin of ``get_event``."""
    return adrive(_get_event_flow(workflow_id, key, timeout_seconds))


def _get_event_flow(workflow_id: str, key: str, timeout: float | timedelta) -> Flow[Any]:
    seconds = timers.seconds_of(timeout, "timeout_seconds")
    key = checked_key(key, "an event's key")
    workflow_id = checked_id(workflow_id)
    scope = current.get()
    if scope is None or scope.step is not None:
        return messaging.get_event(None, None, workflow_id, key, seconds)
    places = scope.cursor.next(), scope.cursor.next()
    return messaging.get_event(scope, places, workflow_id, key, seconds)


def get_all_events(workflow_id: str) -> dict[str, Any]:
    """Return the latest value of every key a run has published."""
    scope, position = place()
    return _blocking("get_all_events", messaging.get_all_events(scope, position, checked_id(workflow_id)))


@markcoroutinefunction
def aget_all_events(workflow_id: str) -> Awaitable[dict[str, Any]]:
    """Async twin of ``get_all_events``."""
    scope, position = place()
    return adrive(messaging.get_all_events(scope, position, checked_id(workflow_id)))
