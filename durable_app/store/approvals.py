"""Questions that runs ask people: asked together with the step, answered together with the message."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from durable_app import clock
from durable_app.models import Approval, Workflow
from durable_app.models.workflow import ACTIVE
from durable_app.store import database
from durable_app.store.records import Checkpoint, Position
from durable_app.store.steps import fence, landed, record_within

TOPIC = "durable.approval."
"""What the topics of answers begin with."""

IS_OPEN = Q(closed_at__isnull=True, workflow__status__in=ACTIVE)
"""What can be answered: the inbox. Runs that are ended from outside leave their questions open."""


def is_open(question: Approval) -> bool:
    """Return whether a question is in the inbox: the rule of ``IS_OPEN``, for a row."""
    return question.closed_at is None and question.workflow.status in ACTIVE


def topic_of(position: Position) -> str:
    """Return the topic of the message that answers the question at a position."""
    return f"{TOPIC}{position.step_id}"


def in_words(run: int, topic: str) -> str | None:
    """Return what a run waits for that waits for a message of a topic; None if that is no answer."""
    if not topic.startswith(TOPIC):
        return None
    rows = _rows().filter(workflow_id=run, closed_at__isnull=True).only("position", "branch", "title")
    asked = [row for row in rows if topic_of(Position(row.position, row.branch)) == topic]
    return f"approval {asked[0].pk}: {asked[0].title}" if asked else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked, and who may answer."""

    title: str
    description: str = ""
    form: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    permission: str = ""
    deadline_at: datetime | None = None


@database.retried
def ask(question: Question, step: Checkpoint, workflow_id: str) -> None:
    """Put a question into the inbox and record the step that asks it; raises what the fence raises."""
    with database.transact():
        fence(step.run, step.attempt, workflow_id)
        if landed(step) is not None:
            return
        _rows().create(
            workflow_id=step.run,
            position=step.position.number,
            branch=step.position.branch,
            created_at=clock.now(),
            **asdict(question),
        )
        record_within(step)


@database.retried
def expire(run: int, position: int, branch: str) -> None:
    """Take a question that nobody answered in time out of the inbox."""
    _rows().filter(workflow_id=run, position=position, branch=branch, closed_at__isnull=True).update(
        closed_at=clock.now()
    )


@database.retried
def get(number: int) -> Approval | None:
    """Return a question with its run."""
    found: Approval | None = _rows().select_related("workflow").filter(pk=number).first()
    return found


def locked(number: int) -> Approval | None:
    """Return a question, locked for the rest of the caller's transaction: one answer only."""
    rows = _rows().select_related("workflow").filter(pk=number)
    found: Approval | None = rows.select_for_update(of=("self",), no_key=True).first()
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A person's answer; ``values`` are encoded."""

    approved: bool
    answered_by: str
    values: str = ""
    comment: str = ""


def close(number: int, given: Given) -> None:
    """Note the answer, in the caller's transaction."""
    _rows().filter(pk=number).update(closed_at=clock.now(), **asdict(given))


def copy(original: int, run: int, start: int) -> None:
    """Give a fork the questions that its copied steps ask; those whose answer is not copied stand open."""
    for question in _rows().filter(workflow_id=original, position__lt=start):
        question.pk, question.workflow_id = None, run
        question.save(using=database.alias(), force_insert=True)
    reopen(run, start)


def drop(run: int, start: int) -> None:
    """Forget the questions that a rewound run will ask again; those whose answer is dropped stand open."""
    _rows().filter(workflow_id=run, position__gte=start).delete()
    reopen(run, start)


def reopen(run: int, start: int) -> None:
    """Let questions be answered (again) whose answer would be received at ``start`` or later."""
    _rows().filter(workflow_id=run, position__gte=start - 1).update(
        closed_at=None, approved=None, answered_by="", values="", comment=""
    )


def visible(sees: Callable[[Any], Any]) -> Any:
    """Return the questions of those runs that ``sees`` lets through, in no order."""
    runs = Workflow.objects.using(database.alias())
    seen = sees(runs)
    return _rows() if seen is runs else _rows().filter(workflow__in=seen)


def waiting() -> Any:
    """Return the questions that can be answered now, oldest first; those of ended runs cannot."""
    return _rows().filter(IS_OPEN).select_related("workflow").order_by("pk")


def _rows() -> Any:
    return Approval.objects.using(database.alias())
