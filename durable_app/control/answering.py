"""Answering a run's question: once, by whom it is addressed to, in one transaction with the audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from durable_app import clock, serialization
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Refused, Result
from durable_app.errors import InvalidAnswerError, NonExistentApprovalError
from durable_app.registry import registry
from durable_app.store import approvals, messages, runs
from durable_app.store.approvals import Given
from durable_app.store.records import FINISHED, Parcel, Position

PERMISSION = "answer_approval"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a person replies: yes or no, the form's raw data, a remark."""

    approved: bool
    data: Mapping[str, Any] | None = None
    comment: str = ""
    is_exact: bool = False
    """Whether names that the form does not have are refused; what a browser posts has others, too."""


def may_look(actor: Actor, approval: Any = None) -> bool:
    """Return whether an actor may look at questions, or at one: whoever may answer it may look, too."""
    run = None if approval is None else approval.workflow
    if actor.may("view_approval", run) or actor.may(PERMISSION, run):
        return True
    return approval is not None and may_answer(actor, approval)


def may_answer(actor: Actor, approval: Any) -> bool:
    """Return whether an actor may answer a question."""
    if not actor.may(approval.permission or PERMISSION, approval.workflow):
        return False
    user = actor.user
    if not approval.group or user is None or user.is_superuser:
        return True
    return bool(user.groups.filter(name=approval.group).exists())


def addressed_to(actor: Actor, questions: Any) -> Any:
    """Return those of a queryset of questions that an actor may answer, as far as it shows without the runs.

    A policy that decides run by run may still deny one of them.
    """
    asked = questions.order_by().values_list("permission", flat=True).distinct()
    held = [name for name in asked if actor.may(name or PERMISSION)]
    found, user = questions.filter(permission__in=held), actor.user
    if user is None or user.is_superuser:
        return found
    return found.filter(group__in=["", *user.groups.values_list("name", flat=True)])


def form_of(approval: Any, data: Mapping[str, Any] | None = None) -> Any:
    """Return the question's form, bound to data if there are any; None without a form.

    Raises InvalidAnswerError if this process does not know the form.
    """
    if not approval.form:
        return None
    form = registry.forms.get(approval.form)
    if form is None:
        raise InvalidAnswerError({"form": [f"The form {approval.form} is not known in this process."]})
    return form(data)


def answer(operator: Operator, number: int, reply: Reply) -> Result:
    """Answer a question and let its run go on.

    Raises NonExistentApprovalError, InvalidAnswerError with the form's errors. A question that is closed
    is refused, one addressed to others denied.
    """
    approval = approvals.get(number)
    if approval is None or runs.find(approval.workflow.workflow_id, operator.actor.sees) is None:
        raise NonExistentApprovalError(number)
    verb = "approve" if reply.approved else "reject"
    if not may_answer(operator.actor, approval):
        return operator.deny(verb, str(number), "approval")
    values = _values(approval, reply)
    return operator.perform(
        verb,
        str(number),
        lambda: _answer(operator, number, reply, values),
        {"workflow_id": approval.workflow.workflow_id, "title": approval.title, "comment": reply.comment},
        "approval",
    )


def _check_names(approval: Any, data: Mapping[str, Any]) -> None:
    """Raise InvalidAnswerError for what is not asked for: a misspelt field must not be passed over."""
    form = form_of(approval)
    known = {} if form is None else form.fields
    parts = tuple(f"{name}_" for name, one in known.items() if hasattr(one.widget, "decompress"))
    unknown = [name for name in data if name not in known and not name.startswith(parts)]
    if unknown:
        raise InvalidAnswerError({name: ["The question does not ask for this."] for name in unknown})


def _values(approval: Any, reply: Reply) -> dict[str, Any]:
    if reply.is_exact and reply.data:
        _check_names(approval, reply.data)
    form = form_of(approval, reply.data or {}) if reply.approved else None
    if form is None:
        return {}
    if not form.is_valid():
        raise InvalidAnswerError({name: list(errors) for name, errors in form.errors.items()})
    cleaned: dict[str, Any] = form.cleaned_data
    return cleaned


def _answer(operator: Operator, number: int, reply: Reply, values: dict[str, Any]) -> str:
    approval = approvals.locked(number)
    if approval is None:
        raise NonExistentApprovalError(number)
    run = approval.workflow
    if approval.closed_at is not None:
        by = approval.answered_by or "nobody: the deadline has passed"
        raise Refused(f"The question was closed at {clock.shown(approval.closed_at)} by {by}.")
    if run.status in FINISHED:
        raise Refused(f"The run that asked is {run.status}.")
    if approval.deadline_at is not None and approval.deadline_at <= clock.now():
        raise Refused(f"The deadline passed at {clock.shown(approval.deadline_at)}.")
    label = operator.actor.label
    message = {
        "approved": reply.approved,
        "answered_by": label,
        "at": clock.now(),
        "values": values,
        "comment": reply.comment,
    }
    topic = approvals.topic_of(Position(approval.position, approval.branch))
    text = serialization.encode(message, "an answer")
    messages.send([Parcel(run.workflow_id, topic, text, f"approval-{number}")])
    approvals.close(
        number,
        Given(
            approved=reply.approved,
            answered_by=label[:255],
            values=serialization.encode(values, "an answer"),
            comment=reply.comment,
        ),
    )
    return ""
