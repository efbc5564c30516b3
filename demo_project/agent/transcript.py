"""What the page of a conversation shows, put together from the run's stream."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from demo_project.agent.approvals import open_request
from demo_project.agent.models import Conversation
from demo_project.agent.transcript_lines import Line, lines_of
from demo_project.agent.workflows import TRANSCRIPT
from durable_app import Status, StreamTimeoutError, get_workflow_status, read_stream
from durable_app.models import Approval

UNFINISHED = frozenset({Status.ENQUEUED, Status.DELAYED, Status.PENDING, Status.WAITING})


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """A conversation as it stands."""

    headline: str
    lines: list[Line]
    request: Approval | None
    finished: bool
    failed: bool


def transcript_of(conversation: Conversation) -> Transcript:
    """Return what was said until now."""
    run = get_workflow_status(conversation.workflow_id)
    status = run.status if run else Status.ERROR
    finished = status not in UNFINISHED
    request = None if finished else open_request(conversation.workflow_id)
    return Transcript(
        headline=_headline(status, request),
        lines=lines_of(entries_of(conversation.workflow_id)),
        request=request,
        finished=finished,
        failed=finished and status != Status.SUCCESS,
    )


def entries_of(workflow_id: str) -> Iterator[dict[str, Any]]:
    """Yield what a run's stream has until now; the page does not wait for more, but comes again."""
    with contextlib.suppress(StreamTimeoutError):
        yield from read_stream(workflow_id, TRANSCRIPT, timeout_seconds=0)


def _headline(status: str, request: Approval | None) -> str:
    if request is not None:
        return "Waiting for a person."
    if status == Status.ENQUEUED:
        return "Waiting for a worker."
    if status in UNFINISHED:
        return "Thinking."
    return "Answered." if status == Status.SUCCESS else "This conversation has come to grief."
