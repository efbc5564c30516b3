"""Questions that runs ask people: asked once, answered once, by whom they are addressed to."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.contrib.auth.models import Group, Permission, User

from durable_app import (
    InvalidAnswerError,
    InvalidOptionError,
    SetWorkflowID,
    approval_form,
    await_for_approval,
    cancel_workflow,
    fork_workflow,
    list_workflow_steps,
    retrieve_workflow,
    rewind_workflow,
    start_workflow,
    step,
    wait_for_approval,
    workflow,
)
from durable_app.control.actors import Actor
from durable_app.control.answering import Reply, answer
from durable_app.control.operator import Operator
from durable_app.models import Approval, AuditEvent
from durable_app.store import approvals
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.racing import raced

pytestmark = pytest.mark.django_db(transaction=True)


@approval_form
class RefundForm(forms.Form):
    amount = forms.DecimalField(min_value=0, max_value=100)
    due = forms.DateField(required=False)


class Unregistered(forms.Form):
    pass


refunded: list[Any] = []


@step
def refund(amount: Any) -> str:
    refunded.append(amount)
    return f"refunded {amount}"


@workflow
def refunding(group: str = "", permission: str = "", timeout: float | None = None) -> str:
    given = wait_for_approval(
        "Refund A-1",
        description="The customer asks for it.",
        form=RefundForm,
        context={"order": "A-1"},
        assignee_group=group,
        permission=permission,
        timeout=timeout,
    )
    if given is None:
        return "nobody answered"
    if not given.approved:
        return f"rejected by {given.answered_by}: {given.comment}"
    return refund(given.values["amount"])


@workflow
async def asking_async() -> str:
    given = await await_for_approval("Really?")
    return "nobody" if given is None else given.answered_by


@pytest.fixture(autouse=True)
def fresh() -> None:
    refunded.clear()


def asked(workflow_id: str) -> Approval:
    waiting = approvals.waiting().filter(workflow__workflow_id=workflow_id)
    found: Approval = wait_until(waiting.first)
    return found


def someone(name: str, *codenames: str, group: str = "") -> Operator:
    user = User.objects.create_user(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    if group:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    return Operator(actor=Actor(kind="user", id=str(user.pk), label=name, user=user))


YES = Reply(approved=True, data={"amount": "12.50", "due": "2027-01-31"})
ME = Operator(actor=Actor.at_terminal("me"))


def test_the_form_is_validated_and_its_cleaned_data_reach_the_run(worker: Worker) -> None:
    """Decimals and dates arrive as such; the run goes on."""
    with SetWorkflowID("refund"):
        handle = start_workflow(refunding)
    question = asked("refund")
    assert (question.title, question.context) == ("Refund A-1", {"order": "A-1"})
    with pytest.raises(InvalidAnswerError) as refused:
        answer(ME, question.pk, Reply(approved=True, data={"amount": "1000"}))
    assert list(refused.value.errors) == ["amount"]

    assert answer(ME, question.pk, YES).is_done
    assert handle.get_result(timeout=30) == "refunded 12.50"
    assert refunded == [Decimal("12.50")]
    question.refresh_from_db()
    assert question.approved
    assert question.answered_by == "me"
    [given] = [one.output for one in list_workflow_steps("refund") if one.name == "durable.recv"]
    assert given["values"] == {"amount": Decimal("12.50"), "due": date(2027, 1, 31)}


def test_a_rejection_needs_no_form(worker: Worker) -> None:
    """Reject is always possible, with a remark."""
    handle = start_workflow(refunding)
    question = asked(handle.workflow_id)
    assert answer(ME, question.pk, Reply(approved=False, comment="too late")).is_done
    assert handle.get_result(timeout=30) == "rejected by me: too late"


def test_two_reviewers_at_once_answer_once(worker: Worker) -> None:
    """One answer is taken, the other told who was first; the run sees one message."""
    handle = start_workflow(refunding)
    question = asked(handle.workflow_id)
    reviewers = [someone(name, "answer_approval") for name in ("ann", "bob", "cid")]
    results = raced(*[lambda one=one: answer(one, question.pk, YES) for one in reviewers])
    assert sorted(one.outcome for one in results) == ["done", "refused", "refused"]
    assert handle.get_result(timeout=30) == "refunded 12.50"
    winner = next(one.actor.label for one, result in zip(reviewers, results, strict=True) if result.is_done)
    assert all(winner in one.detail for one in results if not one.is_done)
    assert refunded == [Decimal("12.50")]


def test_only_those_it_is_addressed_to_may_answer(worker: Worker) -> None:
    """Group and permission; an attempt of others is recorded."""
    handle = start_workflow(refunding, group="finance", permission="auth.add_user")
    question = asked(handle.workflow_id)
    for operator in (
        someone("nobody"),
        someone("general", "answer_approval", group="finance"),
        someone("outsider", "add_user"),
    ):
        assert answer(operator, question.pk, YES).outcome == "denied"
    assert AuditEvent.objects.filter(outcome="denied", verb="approve", target_kind="approval").count() == 3
    assert answer(someone("ann", "add_user", group="finance"), question.pk, YES).is_done
    handle.get_result(timeout=30)


def test_a_question_without_an_answer_in_time_leaves_the_inbox(worker: Worker) -> None:
    """The run gets None, and a late answer is refused."""
    handle = start_workflow(refunding, timeout=0.05)
    assert handle.get_result(timeout=30) == "nobody answered"
    question = Approval.objects.get()
    assert not approvals.waiting().exists()
    assert answer(ME, question.pk, YES).outcome == "refused"


def test_the_question_of_a_cancelled_run_cannot_be_answered(worker: Worker) -> None:
    """Nor is it shown."""
    handle = start_workflow(refunding)
    question = asked(handle.workflow_id)
    cancel_workflow(handle.workflow_id)
    assert not approvals.waiting().exists()
    assert answer(ME, question.pk, YES).outcome == "refused"


def test_an_async_workflow_asks_too(worker: Worker) -> None:
    """65. The twin."""
    handle = start_workflow(asking_async)
    answer(ME, asked(handle.workflow_id).pk, Reply(approved=True))
    assert handle.get_result(timeout=30) == "me"


def test_forks_and_rewound_runs_ask_again(worker: Worker) -> None:
    """116, 121. A question whose answer is not copied stands open; one whose answer is, does not."""
    with SetWorkflowID("first"):
        start_workflow(refunding)
    answer(ME, asked("first").pk, YES)
    retrieve_workflow("first").get_result(timeout=30)

    with SetWorkflowID("answered"):
        assert fork_workflow("first", 4).get_result(timeout=30) == "refunded 12.50"
    assert not approvals.waiting().exists()

    with SetWorkflowID("asks"):
        fork = fork_workflow("first", 2)
    answer(ME, asked("asks").pk, Reply(approved=False, comment="no"))
    assert fork.get_result(timeout=30) == "rejected by me: no"

    again = rewind_workflow("first", 1)
    answer(ME, asked("first").pk, Reply(approved=False, comment="after all"))
    assert again.get_result(timeout=30) == "rejected by me: after all"


@workflow
def asks_badly() -> Any:
    return wait_for_approval("Yes?", form=Unregistered)


@workflow
def asks_for_nothing() -> Any:
    return wait_for_approval("")


def test_a_bad_question_is_an_error_where_it_is_asked() -> None:
    """Whatever is wrong with it."""
    with pytest.raises(InvalidOptionError, match="not registered"):
        asks_badly()
    with pytest.raises(InvalidOptionError, match="title"):
        asks_for_nothing()
    assert asyncio.iscoroutinefunction(await_for_approval)
