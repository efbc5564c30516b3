"""The verbs on one run: who may, what the pages say, what is done, and what is written down of it."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from durable_app import get_workflow_status, start_workflow, workflow
from durable_app.admin.runs.forms import merged
from durable_app.control.verbs import VERBS
from durable_app.models import AuditEvent, Message, Status, Workflow
from tests.test_admin.pages import LIST, inspected, made, page_of, verb_page, with_steps

pytestmark = pytest.mark.django_db


@workflow
def ordered(amount: Any, *, card_number: str = "", note: str = "") -> Any:
    return amount


FORMS: dict[str, dict[str, Any]] = {
    "cancel": {},
    "resume": {"queue_name": "default"},
    "run_now": {},
    "set_priority": {"priority": 7},
    "retry": {},
    "fork": {"start_step": 1, "queue_name": "default"},
    "rewind": {"start_step": 1, "queue_name": "default"},
    "send": {"message": '{"ok": true}', "topic": "t"},
    "start_like": {"queue_name": "default", "priority": 0},
    "delete": {},
}


def test_every_verb_has_a_page() -> None:
    """A4. The table of verbs, and what this test posts."""
    assert FORMS.keys() == VERBS.keys()


def one(verb: str) -> Workflow:
    """Return a run that a verb is possible on, of a workflow that exists."""
    status = min(VERBS[verb].possible_in - {"SUCCESS"}, default="ERROR")
    return with_steps(made(status, name=ordered.name), "a", "b", fails=True)


@pytest.mark.parametrize("verb", FORMS)
@pytest.mark.parametrize("role", ["viewer", "every other", "own"])
def test_each_role_may_do_its_verbs_and_no_others(staff: Any, verb: str, role: str) -> None:
    """403 and an audit row without the permission; with it, it is done."""
    own = VERBS[verb].permission
    every_other = {one.permission for one in VERBS.values()} - {own}
    held = {"viewer": set(), "every other": every_other, "own": {own}}[role]
    client = staff("view_workflow", *held)
    run = one(verb)
    before = Workflow.objects.values().order_by("pk")
    rows = list(before)

    shown = client.get(verb_page(run, verb))
    posted = client.post(verb_page(run, verb), {**FORMS[verb], "reason": "for a test"})
    events = AuditEvent.objects.order_by("pk")
    if role == "own":
        assert (shown.status_code, posted.status_code) == (200, 302), posted.content
        event = events.get()
        assert (event.outcome, event.actor_label, event.reason) == ("done", "ann", "for a test")
    else:
        assert (shown.status_code, posted.status_code) == (403, 403)
        assert {(event.outcome, event.target_id) for event in events} == {("denied", run.workflow_id)}
        assert events.count() == 2
        assert list(before.all()) == rows
        assert not Message.objects.exists()


@pytest.mark.parametrize("verb", FORMS)
@pytest.mark.parametrize("status", list(Status))
def test_each_verb_follows_the_matrix(boss: Client, verb: str, status: str) -> None:
    """A4. What is not possible is refused and audited, and its page says why."""
    run = made(status, name=ordered.name)
    page = boss.get(verb_page(run, verb))
    inspected(page)
    boss.post(verb_page(run, verb), FORMS[verb])
    is_possible = status in VERBS[verb].possible_in
    assert AuditEvent.objects.get().outcome == ("done" if is_possible else "refused")
    assert ("this is possible in" in page.content.decode()) is not is_possible


def test_a_get_does_nothing(boss: Client) -> None:
    """A0. Nothing is done by following a link."""
    for verb in FORMS:
        run = one(verb)
        boss.get(verb_page(run, verb), FORMS[verb])
    assert not AuditEvent.objects.exists()
    assert Workflow.objects.count() == len(FORMS)


def test_a_forged_form_is_refused(boss: Client) -> None:
    """A0. CSRF."""
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = boss.cookies
    run = one("cancel")
    assert strict.post(verb_page(run, "cancel"), {}).status_code == 403
    run.refresh_from_db()
    assert run.status != Status.CANCELLED


def test_the_history_button_knows_of_it(boss: Client) -> None:
    """A9. Plain text in Django's own log, beside our audit; programs are in the audit only."""
    run = made(Status.ENQUEUED)
    boss.post(verb_page(run, "cancel"), {"reason": "no <b>stock</b>"})
    entry = LogEntry.objects.get()
    assert entry.get_change_message() == "Cancel: no <b>stock</b>"
    text = boss.get(f"{LIST}{run.pk}/history/").content.decode()
    assert text.count("no &lt;b&gt;stock&lt;/b&gt;") == 2
    inspected(boss.get(f"{LIST}{run.pk}/history/"))
    assert "no &lt;b&gt;stock&lt;/b&gt;" in boss.get(f"{page_of(run)}?tab=history").content.decode()
    assert "boss cancelled it" in boss.get(page_of(run)).content.decode()


def test_children_are_cancelled_if_they_are_meant(boss: Client) -> None:
    """A4."""
    run = made(Status.ENQUEUED)
    child = made(Status.ENQUEUED, parent_workflow_id=run.workflow_id)
    boss.post(verb_page(run, "cancel"), {"children": "on"})
    child.refresh_from_db()
    assert child.status == Status.CANCELLED


def test_a_fork_shows_what_is_copied_and_leads_to_the_new_run(boss: Client) -> None:
    """A4. The step that failed is preselected; another may be asked for, or typed."""
    run = with_steps(made(Status.ERROR), "reserve", "charge", "dispatch", fails=True)
    page = boss.get(verb_page(run, "fork"))
    chosen = [found["value"] for tag, found in inspected(page).elements if "checked" in found]
    assert chosen == ["3"]
    asked = inspected(boss.get(verb_page(run, "fork") + "?step=2")).elements
    assert [found["value"] for tag, found in asked if "checked" in found] == ["2"]

    posted = boss.post(verb_page(run, "fork"), {**FORMS["fork"], "start_step": 3, "new_workflow_id": "again"})
    fork = Workflow.objects.get(workflow_id="again")
    assert fork.forked_from == run.workflow_id
    assert list(fork.steps.values_list("name", flat=True).order_by("position")) == ["reserve", "charge"]
    assert boss.get(posted.headers["Location"]).headers["Location"] == page_of(fork)
    text = boss.get(page_of(fork)).content.decode()
    assert run.workflow_id in text


def test_a_taken_id_and_a_step_of_zero_are_said_on_the_page(boss: Client) -> None:
    """Nothing is half done."""
    run, other = one("fork"), made()
    boss.post(verb_page(run, "fork"), {**FORMS["fork"], "new_workflow_id": other.workflow_id})
    assert AuditEvent.objects.get().outcome == "failed"
    assert boss.post(verb_page(run, "fork"), {**FORMS["fork"], "start_step": 0}).status_code == 200
    assert boss.post(verb_page(run, "fork"), {**FORMS["fork"], "start_step": "x"}).status_code == 200
    assert Workflow.objects.count() == 2


@pytest.mark.parametrize("message", ["", "{", "[1,", "'x'", "NaN" * 3, "[" * 100_000])
def test_a_message_that_is_no_json_is_said_on_the_page(boss: Client, message: str) -> None:
    """Whatever is wrong with it."""
    run = made(Status.WAITING)
    response: Any = boss.post(verb_page(run, "send"), {"message": message})
    assert response.status_code == 200
    assert response.context_data["form"].errors
    assert not Message.objects.exists()


def test_a_message_that_is_too_large_is_said_on_the_page(boss: Client, settings: Any) -> None:
    """Whatever is wrong with it."""
    settings.DURABLE = {"MAX_PAYLOAD": 100}
    run = made(Status.WAITING)
    response: Any = boss.post(verb_page(run, "send"), {"message": json.dumps("x" * 200)})
    assert response.context_data["form"].errors
    assert not Message.objects.exists()


def test_a_message_is_sent_once_for_a_key(boss: Client) -> None:
    """139. The same idempotency key twice."""
    run = made(Status.WAITING)
    for _ in range(2):
        boss.post(verb_page(run, "send"), {"message": '{"a":1}', "topic": "t", "idempotency_key": "k"})
    assert Message.objects.get().value == '{"a":1}'


def started(client: Client, workflow_id: str, **changes: Any) -> Any:
    """Start a run like another one, as the form has it; return its arguments."""
    run = Workflow.objects.get(workflow_id=workflow_id)
    url = verb_page(run, "start_like")
    page: Any = client.get(url)
    form = page.context_data["form"]
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    data = {name: value for name, value in values.items() if value is not None} | changes
    response: Any = client.post(url, {**data, "workflow_id": "next"})
    assert response.status_code == 302, response.context_data["form"].errors
    status = get_workflow_status("next")
    assert status is not None
    return status.input


def test_start_like_this_keeps_types_and_secrets_that_were_not_touched(boss: Client) -> None:
    """A4. What is shown of a decimal and of a secret is not what they are."""
    model = start_workflow(ordered, Decimal("1.10"), card_number="4242", note="a").workflow_id
    shown = boss.get(verb_page(Workflow.objects.get(workflow_id=model), "start_like")).content.decode()
    assert "4242" not in shown
    same = started(boss, model)
    assert same == {"args": [Decimal("1.10")], "kwargs": {"card_number": "4242", "note": "a"}}
    Workflow.objects.filter(workflow_id="next").delete()
    changed = started(boss, model, kwargs='{"card_number": "•••", "note": "b"}')
    assert changed == {"args": [Decimal("1.10")], "kwargs": {"card_number": "4242", "note": "b"}}


def test_a_hidden_value_that_was_moved_is_refused(boss: Client) -> None:
    """A9. Nobody starts a run with three dots as a password."""
    model = start_workflow(ordered, 1, card_number="4242").workflow_id
    run = Workflow.objects.get(workflow_id=model)
    data = {**FORMS["start_like"], "args": "[1]", "kwargs": '{"note": "•••"}'}
    response: Any = boss.post(verb_page(run, "start_like"), data)
    assert "hidden value" in str(response.context_data["form"].errors)
    assert Workflow.objects.count() == 1


def test_who_may_not_see_arguments_starts_with_them_unseen(staff: Any) -> None:
    """A9. Posting them changes nothing."""
    client = staff("view_workflow", "start_workflow")
    model = start_workflow(ordered, "the secret").workflow_id
    run = Workflow.objects.get(workflow_id=model)
    assert "the secret" not in client.get(verb_page(run, "start_like")).content.decode()
    assert started(client, model, args='["mine"]') == {"args": ["the secret"], "kwargs": {}}


def test_merging_an_edited_value_with_what_was_hidden() -> None:
    """A4. By place: changed items are as written, untouched ones the original."""
    assert merged([1, "•••"], [1, "•••"], (1, "s")) == (1, "s")
    assert merged([2, "•••"], [1, "•••"], [1, "s"]) == [2, "s"]
    assert merged({"a": "x", "n": 1}, {"a": "•••"}, {"a": "s"}) == {"a": "x", "n": 1}
    assert merged([True], [1], [Decimal(1)])[0] is True


def forked(client: Client, run: Workflow, **changes: Any) -> Workflow:
    """Fork a run from its second step, as the form has it."""
    page: Any = client.get(verb_page(run, "fork"))
    form = page.context_data["form"]
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    data = {name: value for name, value in values.items() if value is not None}
    response: Any = client.post(verb_page(run, "fork"), {**data, "start_step": 2, **changes})
    assert response.status_code == 302, response.context_data["form"].errors
    return Workflow.objects.latest("pk")


def test_a_fork_has_other_arguments_only_if_they_were_edited(boss: Client) -> None:
    """A4. Types and secrets that were not touched stay; the page says what the copied steps have seen."""
    model = start_workflow(ordered, Decimal("1.10"), card_number="4242", note="a").workflow_id
    run = with_steps(Workflow.objects.get(workflow_id=model), "a", "b")
    shown = boss.get(verb_page(run, "fork"))
    assert "with the old arguments" in shown.content.decode()
    assert "4242" not in shown.content.decode()
    inspected(shown)
    for untouched in ({}, {"args": "", "kwargs": ""}):
        assert forked(boss, run, **untouched).inputs == run.inputs
        assert "inputs" not in AuditEvent.objects.latest("pk").details
    fork = forked(boss, run, kwargs='{"card_number": "•••", "note": "b"}')
    status = get_workflow_status(fork.workflow_id)
    assert status is not None
    assert status.input == {"args": [Decimal("1.10")], "kwargs": {"card_number": "4242", "note": "b"}}
    assert AuditEvent.objects.latest("pk").details["inputs"] == "edited"
    for wrong in ("{", "[]", '{"colour": 1}', '{"note": "•••"}'):
        again: Any = boss.post(verb_page(run, "fork"), {**FORMS["fork"], "kwargs": wrong})
        assert again.context_data["form"].errors
    assert Workflow.objects.count() == 4


def test_only_who_may_see_and_start_is_asked_for_a_forks_arguments(staff: Any) -> None:
    """A9. Others fork with what the run had; posting arguments changes nothing."""
    run = with_steps(made(name=ordered.name), "a", "b")
    client = staff("view_workflow", "fork_workflow", "view_payload")
    assert forked(client, run, args="[2]").inputs == run.inputs


def test_a_reason_can_be_demanded(boss: Client, settings: Any) -> None:
    """A3. By a setting."""
    settings.DURABLE = {"ADMIN": {"REASON_REQUIRED": True}}
    run = made(Status.ENQUEUED)
    assert boss.post(verb_page(run, "cancel"), {}).status_code == 200
    run.refresh_from_db()
    assert run.status == Status.ENQUEUED
    assert boss.post(verb_page(run, "cancel"), {"reason": "why"}).status_code == 302


def test_a_deleted_run_is_gone_and_the_list_says_so(boss: Client) -> None:
    """A4. With all its rows."""
    run = with_steps(made(), "a")
    response = boss.post(verb_page(run, "delete"), {}, follow=True)
    assert response.request["PATH_INFO"] == LIST
    assert "Delete" in response.content.decode()
    assert not Workflow.objects.exists()


def test_unknown_verbs_and_runs_are_404(boss: Client) -> None:
    """Whatever is wrong with it."""
    run = made()
    assert boss.post(f"{LIST}{run.pk}/verb/explode/").status_code == 404
    assert boss.post(f"{LIST}{run.pk}/verb/_page/").status_code == 404
    assert boss.post(f"{LIST}{run.pk + 1}/verb/cancel/").status_code == 404


def test_a_denial_is_kept_where_each_request_is_a_transaction(viewer: Client, settings: Any) -> None:
    """A9. ATOMIC_REQUESTS would roll back what a raised 403 wrote."""
    from django.db import connection  # noqa: PLC0415

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert viewer.post(verb_page(made(Status.ENQUEUED), "cancel"), {}).status_code == 403
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert AuditEvent.objects.get().outcome == "denied"


def test_exporting_a_run_needs_both_permissions_and_is_audited(staff: Any) -> None:
    """A9. All that is stored, for another database."""
    run = with_steps(made(), "a")
    url = f"{LIST}{run.pk}/export/"
    assert staff("view_workflow", "export_workflow").get(url).status_code == 403
    response = staff("view_workflow", "export_workflow", "view_payload", name="bob").get(url)
    assert response.json()["runs"][0]["workflow"]["workflow_id"] == run.workflow_id
    outcomes = AuditEvent.objects.order_by("pk").values_list("verb", "outcome")
    assert list(outcomes) == [("export", "denied"), ("export", "done")]
