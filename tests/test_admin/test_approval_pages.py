"""Approvals: the inbox, the page of a question, who may answer it, and that it is answered once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from durable_app import approval_form, clock, serialization
from durable_app.admin.approvals.markdown import rendered
from durable_app.control.actors import Policy
from durable_app.models import Approval, AuditEvent, Message, Status, Workflow
from durable_app.registry import registry
from tests.racing import raced
from tests.test_admin.pages import inspected, made, page_of, with_steps
from tests.test_admin.test_list import reads

pytestmark = pytest.mark.django_db

INBOX = "/admin/durable_app/approval/"

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7|add:1 }}"


class InboxForm(forms.Form):
    """Has fields of the names that ours could have."""

    answer = forms.DecimalField(max_value=100)
    comment = forms.CharField(max_length=20)


@pytest.fixture(autouse=True)
def known_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "forms", dict(registry.forms))
    approval_form(InboxForm)


def asked(title: str = "Refund", run: Workflow | None = None, **fields: Any) -> Approval:
    """Write a question's row as the engine leaves it."""
    run = run or made(Status.WAITING)
    values = {"position": 3, "created_at": clock.now() - timedelta(minutes=5), **fields}
    return Approval.objects.create(workflow=run, title=title, **values)


def of(question: Approval) -> str:
    return reverse("admin:durable_app_approval_change", args=[question.pk])


def replied(client: Client, question: Approval, button: str = "approve", **data: Any) -> Any:
    return client.post(of(question), {"durable-answer": button, **data})


def titles(client: Client, show: str = "") -> list[str]:
    response: Any = client.get(INBOX, {"show": show} if show else {})
    inspected(response)
    return [one.title for one in response.context_data["cl"].result_list]


def belonging(client: Client, group: str, permission: str = "") -> Client:
    user = User.objects.get(pk=client.session["_auth_user_id"])
    user.groups.add(Group.objects.get_or_create(name=group)[0])
    if permission:
        user.user_permissions.add(Permission.objects.get(codename=permission))
    return client


# the inbox


def test_the_inbox_has_what_i_may_answer_and_all_and_what_is_done(staff: Any, boss: Client) -> None:
    """A5. By group and permission; open ones longest first, closed ones newest first."""
    now = clock.now()
    asked("anybody")
    asked("finance", group="finance")
    asked("legal", group="legal")
    asked("by permission", permission="auth.add_user")
    asked("answered", closed_at=now, approved=True, answered_by="eve")
    asked("nobody answered", closed_at=now)
    asked("run ended", made(Status.CANCELLED))
    everything = ["anybody", "finance", "legal", "by permission"]

    ann = belonging(staff("view_approval", "answer_approval"), "finance")
    assert titles(ann) == ["anybody", "finance"]
    assert titles(belonging(ann, "finance", "add_user")) == ["anybody", "finance", "by permission"]
    assert titles(ann, "open") == everything
    assert titles(ann, "closed") == ["run ended", "nobody answered", "answered"]
    assert titles(boss) == everything
    assert titles(staff("view_approval", name="looker")) == []


def test_the_inbox_costs_few_queries_and_pages_by_key(staff: Any, settings: Any) -> None:
    """A11.8. At most eight; there and back."""
    settings.DURABLE = {"ADMIN": {"PAGE_SIZE": 5}}
    wanted = [asked(f"q{number:02}", group="finance").title for number in range(12)]
    client = belonging(staff("view_approval", "answer_approval", "view_workflow"), "finance")
    with CaptureQueriesContext(connection) as queries:
        page: Any = client.get(INBOX)
    assert len(reads(queries)) <= 8, "\n".join(reads(queries))
    found, addresses = [], []
    while True:
        found += [one.title for one in page.context_data["cl"].result_list]
        addresses.append(page.context_data["cl"].older_url)
        if not addresses[-1]:
            break
        page = client.get(INBOX + addresses[-1])
    assert found == wanted
    back: Any = client.get(INBOX + page.context_data["cl"].newer_url)
    assert [one.title for one in back.context_data["cl"].result_list] == wanted[5:10]


def test_the_inbox_answers_no_questions_about_answers(boss: Client) -> None:
    """What links cannot ask for is 400."""
    asked("one", closed_at=clock.now(), values='{"secret":1}')
    for query in ("show=all", "values__startswith=x", "workflow__inputs__contains=1", "cursor=x", "o=title"):
        response = boss.get(f"{INBOX}?{query}")
        assert response.status_code == 400, query
        inspected(response)


def test_what_is_overdue_is_marked_and_searched(boss: Client) -> None:
    """A5. In words, not by colour alone."""
    asked("late", deadline_at=clock.now() - timedelta(minutes=3))
    asked("early", deadline_at=clock.now() + timedelta(hours=3))
    text = boss.get(INBOX).content.decode()
    assert "overdue" in text
    assert "3 m" in text
    found: Any = boss.get(INBOX, {"q": "arl"})
    assert [one.title for one in found.context_data["cl"].result_list] == ["early"]


def test_who_may_see_nothing_sees_no_inbox(viewer: Client) -> None:
    """A9."""
    question = asked()
    assert viewer.get(INBOX).status_code == 403
    assert viewer.get(of(question)).status_code == 403


# the page


def test_the_page_says_what_is_asked_of_which_run(boss: Client) -> None:
    """A5. Description, context without secrets, the run and what it has done."""
    run = with_steps(made(Status.WAITING), "reserve", "durable.askForApproval")
    question = asked(
        run=run,
        position=2,
        description="The **customer** asks.\n\n- [order](/shop/1/)\n- late",
        context={"order": "A-1", "password": "hunter2", "lines": [{"sku": 1}]},
        deadline_at=clock.now() + timedelta(hours=1),
        group="finance",
    )
    response = boss.get(of(question))
    text = response.content.decode()
    elements = inspected(response).elements
    assert "<strong>customer</strong>" in text
    assert '<a href="/shop/1/">order</a>' in text
    assert "A-1" in text
    assert "hunter2" not in text
    assert "finance" in text
    assert "reserve" in text
    assert f"{page_of(run)}#step-1" in {found.get("href") for _tag, found in elements}
    buttons = {found["value"] for tag, found in elements if tag == "button" and "value" in found}
    assert buttons == {"approve", "reject"}
    asks = boss.get(page_of(run))
    assert of(question) in {found.get("href") for _tag, found in inspected(asks).elements}
    assert "It asks:" in asks.content.decode()


def test_the_page_costs_few_queries(staff: Any) -> None:
    """A11.8. At most fifteen, with steps and a form."""
    run = with_steps(made(Status.WAITING), *"abcdefgh")
    question = asked(run=run, position=9, form=f"{__name__}.InboxForm", group="finance")
    client = belonging(staff("view_approval", "answer_approval", "view_workflow", "view_payload"), "finance")
    with CaptureQueriesContext(connection) as queries:
        assert client.get(of(question)).status_code == 200
    assert len(reads(queries)) <= 15, "\n".join(reads(queries))


def test_nothing_in_a_question_is_executed(boss: Client) -> None:
    """Hostile strings in every field, before and after the answer."""
    run = made(Status.WAITING, name=HOSTILE, workflow_id=HOSTILE)
    question = asked(
        HOSTILE, run, description=HOSTILE, context={HOSTILE: HOSTILE, "deep": [HOSTILE]}, group=HOSTILE
    )
    pages = [of(question), INBOX, page_of(run), f"{INBOX}{question.pk}/history/"]
    for url in pages:
        inspected(boss.get(url))
    replied(boss, question, "reject", **{"durable-comment": HOSTILE})
    for url in [*pages, f"{INBOX}?show=closed"]:
        response = boss.get(url)
        inspected(response)
        assert "<script>alert" not in response.content.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\n\nc", "<p>a<br>b</p>\n<p>c</p>"),
        ("- one\n- **two**", "<ul><li>one</li><li><strong>two</strong></li></ul>"),
        ("`<b>` *is* **not**", "<p><code>&lt;b&gt;</code> <em>is</em> <strong>not</strong></p>"),
        ("![x](/a.png)", '<p>!<a href="/a.png">x</a></p>'),
        ('[<i>](/a?b="&c)', '<p><a href="/a?b=&quot;&amp;c">&lt;i&gt;</a></p>'),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("[x](//evil.example/)", "<p>[x](//evil.example/)</p>"),
        ("[x](/\\evil.example)", "<p>[x](/\\evil.example)</p>"),
        ("[x](https://evil.example)", "<p>[x](https://evil.example)</p>"),
        ("2 * 3 * 4", "<p>2 * 3 * 4</p>"),
        ("", ""),
    ],
)
def test_a_description_is_a_small_part_of_markdown(text: str, expected: str) -> None:
    """A5. Escaped, without images, and with links to the same site only."""
    assert rendered(text) == expected


def test_a_description_of_any_length_and_shape_is_shown() -> None:
    """Cut, and in a time that grows with the length alone."""
    for text in ("[" * 50_000, "*" * 50_000, "`" * 50_000, "\n \n" * 20_000, "**a" * 20_000):
        assert len(rendered(text)) < 400_000


# answering


def test_an_answer_is_validated_and_given_in_one_transaction(staff: Any) -> None:
    """A5. Errors stand at the form's fields; message, row, audit and history go together."""
    ann = staff("view_approval", "answer_approval", "view_workflow")
    run = made(Status.WAITING)
    question = asked("Refund A-1", run, form=f"{__name__}.InboxForm")
    wrong: Any = replied(ann, question, answer="1000", comment="c")
    assert wrong.status_code == 200
    assert list(wrong.context_data["form"].errors) == ["answer"]
    assert "less than or equal to 100" in wrong.content.decode()
    assert not Message.objects.exists()
    assert not AuditEvent.objects.exists()

    done = replied(ann, question, answer="12.50", comment="the form's", **{"durable-comment": "ours"})
    assert done.headers["Location"] == page_of(run)
    message = Message.objects.get()
    assert (message.destination_id, message.topic) == (run.pk, "durable.approval.3")
    told = serialization.decode(message.value)
    assert told["values"] == {"answer": Decimal("12.50"), "comment": "the form's"}
    assert (told["approved"], told["answered_by"], told["comment"]) == (True, "ann", "ours")
    event = AuditEvent.objects.get()
    assert (event.verb, event.outcome, event.target_id) == ("approve", "done", str(question.pk))
    assert LogEntry.objects.get().get_change_message() == "Approve: ours"
    text = ann.get(of(question)).content.decode()
    assert "Answered by ann" in text
    assert "the form&#x27;s" not in text  # payloads need a permission
    assert "ours" in ann.get(f"{INBOX}{question.pk}/history/").content.decode()


def test_rejecting_needs_no_form_and_leads_to_the_inbox_without_the_run(staff: Any) -> None:
    """A5. Whoever may not look at runs goes back to the inbox."""
    ann = staff("answer_approval")
    question = asked(form=f"{__name__}.InboxForm")
    assert replied(ann, question, "reject").headers["Location"] == INBOX
    question.refresh_from_db()
    assert (question.approved, question.answered_by) == (False, "ann")
    for nonsense in ("", "maybe"):
        other = asked()
        assert replied(ann, other, nonsense).status_code == 200
        assert Approval.objects.get(pk=other.pk).closed_at is None


def test_the_second_answer_is_told_who_was_first(staff: Any, boss: Client) -> None:
    """A5. A double click, too."""
    question = asked()
    replied(staff("view_approval", "answer_approval"), question)
    late = boss.post(of(question), {"durable-answer": "reject"}, follow=True)
    text = late.content.decode()
    assert "Answered by ann" in text
    assert "ago: approved." in text
    assert 'name="durable-answer"' not in text
    assert Message.objects.count() == 1
    assert [one.outcome for one in AuditEvent.objects.order_by("pk")] == ["done", "refused"]
    question.refresh_from_db()
    assert (question.approved, question.answered_by) == (True, "ann")


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_at_once_answer_once(staff: Any) -> None:
    """One of them is first, the run gets one message, the other one is told."""
    reviewers = [staff("view_approval", "answer_approval", name=name) for name in ("ann", "bob", "cid")]
    question = asked()
    for client in reviewers:
        client.get(of(question))
    raced(*[lambda one=one: replied(one, question) for one in reviewers])
    assert Message.objects.count() == 1
    outcomes = AuditEvent.objects.values_list("outcome", "actor_label")
    assert sorted(outcome for outcome, _who in outcomes) == ["done", "refused", "refused"]
    question.refresh_from_db()
    assert dict(outcomes.values_list("outcome", "actor_label"))["done"] == question.answered_by


@pytest.mark.parametrize(
    ("status", "fields", "sentence"),
    [
        (Status.WAITING, {"deadline_at": timedelta(minutes=-3)}, "The deadline passed 3 m"),
        (Status.WAITING, {"closed_at": timedelta(minutes=-3)}, "Nobody answered in time"),
        (Status.CANCELLED, {}, "The run that asked has ended"),
    ],
)
def test_what_is_too_late_says_so(boss: Client, status: str, fields: dict[str, Any], sentence: str) -> None:
    """A5. On the page, and to who answers all the same."""
    now = clock.now()
    question = asked(run=made(status), **{name: now + span for name, span in fields.items()})
    page = boss.get(of(question)).content.decode()
    assert sentence in page
    assert 'name="durable-answer"' not in page
    assert sentence in boss.post(of(question), {"durable-answer": "approve"}, follow=True).content.decode()
    assert AuditEvent.objects.get().outcome == "refused"
    assert not Message.objects.exists()


def test_who_may_not_answer_sees_no_form_and_is_denied(staff: Any) -> None:
    """A9. 403 and an audit row: without the permission, without the group, without the question's own."""
    looker, member = staff("view_approval"), staff("view_approval", "answer_approval", name="bob")
    cases: list[tuple[Client, dict[str, Any]]] = [
        (looker, {}),
        (member, {"group": "finance"}),
        (member, {"permission": "auth.add_user"}),
    ]
    for client, fields in cases:
        question = asked(form=f"{__name__}.InboxForm", **fields)
        page = client.get(of(question))
        assert "You may look at it, but not answer" in page.content.decode()
        assert 'name="durable-answer"' not in page.content.decode()
        assert replied(client, question, "nonsense").status_code == 403
        assert replied(client, question, "reject").status_code == 403
    assert set(AuditEvent.objects.values_list("outcome", "target_kind")) == {("denied", "approval")}
    assert AuditEvent.objects.count() == 6
    assert not Message.objects.exists()


def test_a_questions_own_permission_is_enough(staff: Any) -> None:
    """A5. Without any of ours, by a link."""
    question = asked(permission="auth.add_user")
    client = belonging(staff(), "any", "add_user")
    assert client.get(of(question)).status_code == 200
    assert client.get(INBOX).status_code == 403
    assert client.get(of(asked())).status_code == 403
    assert replied(client, question).headers["Location"] == of(question)
    question.refresh_from_db()
    assert question.approved


class Tenants(Policy):
    """Ann knows of her runs only."""

    def visible(self, actor: Any, runs: Any) -> Any:
        return runs.filter(user=actor.label)


def test_questions_of_foreign_runs_are_404(staff: Any, settings: Any) -> None:
    """A9. On every path; her own she may answer."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants"}
    foreign, own = asked("foreign"), asked("own", made(Status.WAITING, user="ann"))
    ann = staff("view_approval", "answer_approval")
    assert titles(ann, "open") == ["own"]
    assert ann.get(of(foreign)).status_code == 404
    assert ann.get(f"{INBOX}{foreign.pk}/history/").status_code == 404
    assert replied(ann, foreign).status_code == 404
    assert replied(ann, own).status_code == 302
    for nonsense in ("x", "9" * 30, "_2Fetc"):
        assert ann.get(f"{INBOX}{nonsense}/change/").status_code == 404


def test_a_form_that_is_not_known_here_can_only_be_rejected(boss: Client) -> None:
    """A5. Said on the page; nothing is half done."""
    question = asked(form="shop.forms.Gone")
    page = boss.get(of(question)).content.decode()
    assert "The form shop.forms.Gone is not known" in page
    assert 'value="approve"' not in page
    assert replied(boss, question).status_code == 200
    assert not Message.objects.exists()
    assert replied(boss, question, "reject").status_code == 302


def test_a_comment_can_be_demanded_and_is_bounded(boss: Client, settings: Any) -> None:
    """A3. By the setting that holds for reasons."""
    settings.DURABLE = {"ADMIN": {"REASON_REQUIRED": True}}
    question = asked()
    for comment in ("", "x" * 1001, "\0"):
        assert replied(boss, question, **{"durable-comment": comment}).status_code == 200
    assert not AuditEvent.objects.exists()
    assert replied(boss, question, **{"durable-comment": "fine"}).status_code == 302
