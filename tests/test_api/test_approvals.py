"""Approvals over REST: the inbox, a form as JSON schema, answering once."""

from typing import Any

import pytest
from django import forms
from django.contrib.auth.models import Group

from durable_app import approval_form, serialization
from durable_app.control.actors import Policy
from durable_app.insight.form_schema import schema_of
from durable_app.models import AuditEvent, Message, Status
from durable_app.registry import registry
from tests.test_admin.pages import made
from tests.test_admin.test_approval_pages import asked
from tests.test_api.conftest import problem


class RefundForm(forms.Form):
    """A form with fields of many kinds."""

    amount = forms.DecimalField(max_value=100, label="How much")
    why = forms.CharField(max_length=20, min_length=2, help_text="In a word.")
    by = forms.ChoiceField(choices=[("Money", [("cash", "Cash"), ("card", "Card")]), ("none", "-")])
    tags = forms.MultipleChoiceField(choices=[("a", "A"), ("b", "B")], required=False)
    on = forms.DateField(required=False)
    hurry = forms.BooleanField(required=False, initial=True)
    count = forms.IntegerField(min_value=1, required=False)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(registry, "forms", dict(registry.forms))
    approval_form(RefundForm)
    return f"{RefundForm.__module__}.{RefundForm.__qualname__}"


class OnlyOwn(Policy):
    """Shows each user the runs that bear the user's name."""

    def visible(self, actor: Any, runs: Any) -> Any:
        return runs.filter(user=actor.label)


def test_a_form_as_json_schema():
    """Types, bounds, choices, labels: what a program needs to fill it in."""
    assert schema_of(RefundForm()) == {
        "type": "object",
        "properties": {
            "amount": {"title": "How much", "type": "number", "maximum": 100},
            "why": {
                "title": "Why",
                "type": "string",
                "minLength": 2,
                "maxLength": 20,
                "description": "In a word.",
            },
            "by": {"title": "By", "enum": ["cash", "card", "none"]},
            "tags": {"title": "Tags", "type": "array", "items": {"enum": ["a", "b"]}},
            "on": {"title": "On", "type": "string", "format": "date"},
            "hurry": {"title": "Hurry", "type": "boolean", "default": True},
            "count": {"title": "Count", "type": "integer", "minimum": 1},
        },
        "required": ["amount", "why", "by"],
    }


@pytest.mark.django_db
def test_a_question_is_answered_once(operator, known):
    """With the form's cleaned data, in one transaction with the audit; the second answer is 409."""
    question = asked(form=known, context={"order": 7, "card_number": "4111"})
    [shown] = operator.get("/approvals").json()["results"]
    assert shown["context"] == {"order": 7, "card_number": "•••"}
    assert shown["may_answer"]
    assert shown["form"]["required"] == ["amount", "why", "by"]
    path = f"/approvals/{question.pk}"
    assert operator.get(path).json() == shown
    wrong = {"approved": True, "values": {"amount": 300, "why": "x", "by": "cash"}}
    found = problem(operator.post(f"{path}/answer", wrong), 400, "validation-error")
    assert {one["pointer"] for one in found["errors"]} == {"/values/amount", "/values/why"}
    for approved in (True, False):
        evil = {"approved": approved, "values": {"amount": 30, "why": "late", "by": "card", "evil": 1}}
        found = problem(operator.post(f"{path}/answer", evil), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == ["/values/evil"]
    values = {"amount": 30, "why": "late", "by": "card", "tags": ["a"], "hurry": False, "on": "2031-05-01"}
    answered = operator.post(f"{path}/answer", {"approved": True, "values": values, "comment": "fine"})
    assert answered.status_code == 200
    assert {name: answered.json()[name] for name in ("is_open", "approved", "answered_by")} == {
        "is_open": False,
        "approved": True,
        "answered_by": "operator",
    }
    [message] = Message.objects.all()
    received = serialization.decode(message.value)
    assert received["values"]["tags"] == ["a"]
    assert (received["values"]["hurry"], received["comment"]) == (False, "fine")
    problem(operator.post(f"{path}/answer", {"approved": False}), 409, "invalid-transition")
    assert Message.objects.count() == 1
    outcomes = AuditEvent.objects.filter(target_kind="approval").order_by("pk").values_list("verb", "outcome")
    assert list(outcomes) == [("approve", "done"), ("reject", "refused")]
    assert operator.get("/approvals").json()["results"] == []


@pytest.mark.django_db
def test_only_those_answer_who_are_asked(holder, operator, anonymous, settings):
    """By group, or by a permission of the question's own; a denied attempt is recorded."""
    for_finance = asked("Refund", group="finance")
    for_shop = asked("Close", permission="durable_app.pause_queue")
    ann = holder("view_approval", "answer_approval")
    bob = holder("pause_queue", name="bob")
    finance = Group.objects.create(name="finance")
    problem(ann.post(f"/approvals/{for_finance.pk}/answer", {"approved": True}), 403, "permission-denied")
    assert AuditEvent.objects.get().outcome == "denied"
    assert ann.get("/approvals", mine="true").json()["results"] == []
    assert len(ann.get("/approvals").json()["results"]) == 2
    ann.user.groups.add(finance)
    [mine] = ann.get("/approvals", mine="true").json()["results"]
    assert (mine["id"], mine["may_answer"]) == (for_finance.pk, True)
    assert ann.post(f"/approvals/{for_finance.pk}/answer", {"approved": False}).json()["approved"] is False
    problem(bob.get("/approvals"), 403, "permission-denied")
    problem(bob.get(f"/approvals/{for_finance.pk}"), 403, "permission-denied")
    assert bob.get(f"/approvals/{for_shop.pk}").json()["title"] == "Close"
    assert bob.post(f"/approvals/{for_shop.pk}/answer", {"approved": True}).status_code == 200
    problem(anonymous.get(f"/approvals/{for_shop.pk}"), 403, "not-authenticated")
    problem(anonymous.post(f"/approvals/{for_shop.pk}/answer", {"approved": True}), 403, "not-authenticated")
    settings.DURABLE = {"POLICY": f"{OnlyOwn.__module__}.{OnlyOwn.__qualname__}"}
    own = asked(run=made(Status.WAITING, user="operator"))
    asked(run=made(Status.WAITING, user="somebody"))
    assert [one["id"] for one in operator.get("/approvals").json()["results"]] == [own.pk]
    foreign = problem(operator.get(f"/approvals/{for_shop.pk}"), 404, "approval-not-found")
    assert problem(operator.get(f"/approvals/{10**30}"), 404, "approval-not-found").keys() == foreign.keys()
    problem(operator.post(f"/approvals/{for_shop.pk}/answer", {"approved": True}), 404, "approval-not-found")


@pytest.mark.django_db
def test_answers_that_are_none(operator, known):
    """Wrong types, unknown names, a form that this process does not know; pages of the inbox."""
    question = asked(form=known)
    for body in ({}, {"approved": 1}, {"approved": True, "values": [1]}, {"approved": True, "value": {}}):
        problem(operator.post(f"/approvals/{question.pk}/answer", body), 400, "validation-error")
    lost = asked(form="gone.Form")
    assert "$comment" in operator.get(f"/approvals/{lost.pk}").json()["form"]
    problem(operator.post(f"/approvals/{lost.pk}/answer", {"approved": True}), 400, "validation-error")
    first = operator.get("/approvals", page_size=1).json()
    rest = operator.get("/approvals", page_size=1, cursor=first["next"]).json()
    assert [one["id"] for one in first["results"] + rest["results"]] == [question.pk, lost.pk]


@pytest.mark.django_db
def test_a_question_without_a_form_takes_no_values(operator):
    """23. Nobody would ever read them."""
    path = f"/approvals/{asked().pk}/answer"
    found = problem(operator.post(path, {"approved": True, "values": {"a": 1}}), 400, "validation-error")
    assert found["errors"][0]["pointer"] == "/values/a"
    assert not Message.objects.exists()
    assert operator.post(path, {"approved": True, "values": {}}).status_code == 200
