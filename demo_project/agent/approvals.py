"""Asking a person: the run publishes what it wants to do, waits for the answer, and takes silence for a no.

The only module that knows how: an event shows the request, a message brings the answer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from demo_project.agent.options import approval_timeout
from durable_app import get_event, recv, send, serializable, set_event, step
from durable_app.clock import now

APPROVED, DENIED, EXPIRED = "approved", "denied", "expired"
REQUEST = "approval"


@serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a run wants to do, and until when somebody may allow it."""

    request_id: str
    action: str
    reason: str
    expires_at: datetime


def ask(request_id: str, action: str, reason: str) -> str:
    """Wait for a person's answer; return APPROVED, DENIED or EXPIRED. It may take days and costs a row."""
    span = approval_timeout()
    set_event(
        REQUEST,
        Request(request_id=request_id, action=action, reason=reason, expires_at=time_in(span)),
    )
    answer = recv(topic_of(request_id), timeout_seconds=span)
    set_event(REQUEST, None)
    return EXPIRED if answer is None else str(answer)


@step
def time_in(span: timedelta) -> datetime:
    """Return the time in so long, which a replay must not ask again."""
    return now() + span


def open_request(workflow_id: str) -> Request | None:
    """Return what a run is waiting to be allowed, None if nothing."""
    found: Request | None = get_event(workflow_id, REQUEST, timeout_seconds=0)
    return found


def decide(workflow_id: str, request_id: str, *, approve: bool) -> None:
    """Answer a request; the first answer counts."""
    answer = APPROVED if approve else DENIED
    send(workflow_id, answer, topic_of(request_id), idempotency_key=request_id)


def topic_of(request_id: str) -> str:
    """Return the topic on which a request is answered."""
    return f"approval {request_id}"
