"""What the page of a conversation shows, put together from the run's stream."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from demo_project.agent.approvals import Request, open_request
from demo_project.agent.models import Conversation
from durable_app import Status, get_workflow_status

UNFINISHED = frozenset({Status.ENQUEUED, Status.DELAYED, Status.PENDING, Status.WAITING})

DECISIONS = {"approved": "Approved by a person", "denied": "Denied by a person", "expired": "Nobody answered"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing that was said or done; ``kind`` is said, draft, used or decided."""

    kind: str
    text: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """A conversation as it stands."""

    headline: str
    lines: list[Line]
    request: Request | None
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


def lines_of(entries: Iterable[dict[str, Any]]) -> list[Line]:
    """Return the lines that a stream amounts to: finished sentences once, and perhaps one in the making."""
    lines: list[Line] = []
    draft = ""
    for entry in entries:
        match entry["kind"]:
            case "begin":
                draft = ""
            case "token":
                draft += entry["text"]
            case "said":
                draft = ""
                lines.append(Line(kind="said", text=entry["message"]["content"]))
            case "used":
                result = ", ".join(f"{name}: {_brief(value)}" for name, value in entry["result"].items())
                lines.append(Line(kind="used", text=entry["tool"], note=result))
            case "decided":
                lines.append(Line(kind="decided", text=DECISIONS.get(entry["answer"], entry["answer"])))
    return [*lines, Line(kind="draft", text=draft)] if draft else lines


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} found"
    return str(value)


def _headline(status: str, request: Request | None) -> str:
    if request is not None:
        return "Waiting for a person."
    if status == Status.ENQUEUED:
        return "Waiting for a worker."
    if status in UNFINISHED:
        return "Thinking."
    return "Answered." if status == Status.SUCCESS else "This conversation has come to grief."
