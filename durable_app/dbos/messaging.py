"""Messages, events and streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from durable_app import public as ours
from durable_app.dbos.pairs import Given, given, plain, unused
from durable_app.dbos.serialization import Format, format_name


@dataclass(frozen=True, slots=True)
class SendMessage:
    """A message of a ``send_bulk``."""

    destination_id: str
    message: Any
    topic: str | None = None
    idempotency_key: str | None = None
    shard_key: str | None = None

    def parcel(self) -> ours.SendMessage:
        """Return the message as ours."""
        unused(shard_key=self.shard_key)
        return ours.SendMessage(self.destination_id, self.message, self.topic, self.idempotency_key)


@plain(ours.send, ours.asend)
def send(  # noqa: PLR0913  (the seed's parameters)
    destination_id: str,
    message: Any,
    topic: str | None = None,
    *,
    idempotency_key: str | None = None,
    serialization_type: Format = None,
    send_to_forks: bool = False,
    shard_key: str | None = None,
) -> Given:
    """Send a message to a run; raises DBOSNonExistentWorkflowError."""
    unused(shard_key=shard_key)
    return given(destination_id, message, topic, idempotency_key=idempotency_key, send_to_forks=send_to_forks)


@plain(ours.send_bulk, ours.asend_bulk)
def send_bulk(
    messages: Sequence[SendMessage], *, serialization_type: Format = None, send_to_forks: bool = False
) -> Given:
    """Send several messages, all or none."""
    return given(
        [one.parcel() for one in messages],
        send_to_forks=send_to_forks,
        serialization_type=format_name(serialization_type),
    )


@plain(ours.recv, ours.arecv)
def recv(topic: str | None = None, timeout_seconds: float = 60) -> Given:
    """Receive the oldest message of a topic; None if none came in time."""
    return given(topic, timeout_seconds)


@plain(ours.set_event, ours.aset_event)
def set_event(key: str, value: Any, *, serialization_type: Format = None) -> Given:
    """Publish a value of the running workflow under a key."""
    return given(key, value, serialization_type=format_name(serialization_type))


@plain(ours.get_event, ours.aget_event)
def get_event(
    workflow_id: str, key: str, timeout_seconds: float = 60, *, shard_key: str | None = None
) -> Given:
    """Return the latest value of a run's event, waiting for it; None if it did not come in time."""
    unused(shard_key=shard_key)
    return given(workflow_id, key, timeout_seconds)


@plain(ours.get_all_events, ours.aget_all_events)
def get_all_events(workflow_id: str, *, shard_key: str | None = None) -> Given:
    """Return the latest value of every key a run has published."""
    unused(shard_key=shard_key)
    return given(workflow_id)
