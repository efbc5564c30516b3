"""Bulk operations in the admin: the list, a page each, and the verb that stops one."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_app import PermissionDeniedError, clock
from durable_app.admin.bulk.words import in_words, sentence
from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent, BulkOperation, Status, Workflow
from tests.test_admin.pages import LIST, inspected, made
from tests.test_admin.pages import page_of as run_page_of
from tests.test_admin.test_list import reads

pytestmark = pytest.mark.django_db

URL = "/admin/durable_app/bulkoperation/"

ME = Operator(actor=Actor.at_terminal("me"), reason="cleaning up")


def begun(verb: str = "cancel", conditions: dict[str, Any] | None = None, **options: Any) -> BulkOperation:
    number = bulk.begin(ME, verb, conditions or {"name": ["shop.bulk"]}, options)
    return BulkOperation.objects.get(pk=number)


def page_of(operation: BulkOperation) -> str:
    return f"{URL}{operation.pk}/change/"


def cancel_page(operation: BulkOperation) -> str:
    return f"{URL}{operation.pk}/cancel/"


def runs(*statuses: str) -> list[Workflow]:
    return [made(status, name="shop.bulk") for status in statuses]


def context_of(client: Client, url: str) -> dict[str, Any]:
    response: Any = client.get(url)
    assert response.status_code == 200
    found: dict[str, Any] = response.context_data
    return found


def test_a_page_tells_how_far_it_is_and_what_was_left_and_why(boss: Client) -> None:
    """A3.3. From its beginning to its end; each reason once, with how many runs it is true of."""
    runs(Status.ENQUEUED, Status.SUCCESS, Status.SUCCESS, Status.ERROR, Status.DELAYED)
    operation = begun()
    context = context_of(boss, page_of(operation))
    assert (context["looked_at"], context["bars"], context["is_live"]) == (0, [], True)
    bulk.carry_out(operation.pk, 4)
    context = context_of(boss, page_of(operation))
    assert context["looked_at"] == 4
    assert context["numbers"] == {"done": 1, "refused": 3, "denied": 0, "failed": 0}
    assert [(bar.kind, bar.x, bar.width) for bar in context["bars"]] == [
        ("is-ok", "0.00%", "20.00%"),
        ("is-wait", "20.00%", "60.00%"),
    ]
    assert [(left.outcome, left.detail.partition(";")[0], left.count) for left in context["reasons"]] == [
        ("refused", "The run is SUCCESS", 2),
        ("refused", "The run is ERROR", 1),
    ]
    bulk.carry_out(operation.pk, 4)
    response = boss.get(page_of(operation))
    text = response.content.decode()
    inspected(response)
    assert "finished" in text
    assert "5 of 5 runs looked at" in text
    assert "data-durable-region" not in text
    assert cancel_page(operation) not in text
    run = Workflow.objects.get(workflow_id=operation.workflow_id)
    assert f"/admin/durable_app/workflow/{run.pk}/change/" in text
    assert f"/admin/durable_app/auditevent/?bulk={operation.pk}" in text
    assert "cleaning up" in text


def test_the_run_that_carries_it_out_leads_to_it_and_has_no_verbs_that_are_refused(
    boss: Client, staff: Any
) -> None:
    """A4. Whoever may not see operations is told which one it is, without a link."""
    operation = begun()
    run = Workflow.objects.get(workflow_id=operation.workflow_id)
    page = run_page_of(run)
    links = {found.get("href", "") for _tag, found in inspected(boss.get(page)).elements}
    assert page_of(operation) in links
    assert {link.split("/verb/")[1] for link in links if "/verb/" in link} == {"cancel/"}
    blind = boss.get(run_page_of(made())).content.decode()
    assert "It carries out" not in blind
    client = staff("view_workflow")
    assert page_of(operation) not in client.get(page).content.decode()


def test_the_live_part_is_the_body_alone(boss: Client) -> None:
    """A3. The page asks for it again and again, as long as there is something to see."""
    operation = begun()
    assert b'data-durable-region="operation"' in boss.get(page_of(operation)).content
    part = boss.get(page_of(operation), headers={"X-Durable-Fragment": "operation"})
    assert b"<html" not in part.content
    assert b"runs looked at" in part.content


def test_of_more_runs_than_are_counted_the_bar_is_where_it_is_among_them(boss: Client) -> None:
    """A3.3. And the number says so."""
    operation = begun()
    BulkOperation.objects.update(matched=10_001, done=20_000, last_run=30, newest_run=40)
    context = context_of(boss, page_of(operation))
    assert [bar.width for bar in context["bars"]] == ["75.00%"]
    assert "of more than 10000 runs" in boss.get(page_of(operation)).content.decode().replace(",", "")
    BulkOperation.objects.update(finished_at=clock.now())
    assert [bar.width for bar in context_of(boss, page_of(operation))["bars"]] == ["100.00%"]


WORDS: list[tuple[dict[str, Any], str]] = [
    ({}, "all runs"),
    ({"status": ["ERROR", "CANCELLED"], "name": ["a.b"]}, "status ERROR or CANCELLED, workflow a.b"),
    ({"has_parent": False, "is_fork": True}, "has parent no, is fork yes"),
    ({"attributes": {"customer": "acme", "n": 1}}, "customer acme, n 1"),
    ({"start_time": "2026-01-02T03:04:05+00:00"}, "created since 2026-01-02 03:04:05 UTC"),
    ({"start_time": "2026-01-02T03:04:05"}, "created since 2026-01-02T03:04:05"),
    ({"workflow_id_prefix": "run-", "user": None}, "id begins with run-"),
    ({"workflow_ids": [str(number) for number in range(7)]}, "id 7 chosen: 0, 1, 2, 3, 4 …"),
    ({"error_type": ["shop.Declined"]}, "error shop.Declined"),
]


@pytest.mark.parametrize(("conditions", "expected"), WORDS, ids=[words[1] for words in WORDS])
def test_a_filter_in_words(conditions: dict[str, Any], expected: str) -> None:
    """A3.3. Whoever looks at an operation later understands which runs were meant."""
    assert sentence(conditions) == expected
    assert all(isinstance(part, str) for pair in in_words(conditions) for part in pair)


def test_the_list_pages_by_key_and_costs_few_queries(staff: Any, settings: Any) -> None:
    """A3, A11.8. Newest first, with the state of each run: one statement for a page."""
    settings.DURABLE = {"ADMIN": {"PAGE_SIZE": 4}}
    client = staff("view_bulkoperation")
    operations = [begun() for _ in range(6)]
    Workflow.objects.filter(workflow_id=operations[5].workflow_id).update(status="CANCELLED")
    Workflow.objects.filter(workflow_id=operations[4].workflow_id).delete()
    BulkOperation.objects.filter(pk=operations[3].pk).update(finished_at=clock.now())
    with CaptureQueriesContext(connection) as queries:
        response = client.get(URL)
    assert len(reads(queries)) <= 8, "\n".join(reads(queries))
    inspected(response)
    shown = response.context_data["cl"].result_list
    assert [one.pk for one in shown] == [one.pk for one in reversed(operations[2:])]
    text = response.content.decode()
    for state in ("cancelled", "gone", "finished", "enqueued"):
        assert f"</span>{state}</span>" in text
    older = client.get(URL + response.context_data["cl"].older_url)
    assert [one.pk for one in older.context_data["cl"].result_list] == [operations[1].pk, operations[0].pk]


def test_the_list_is_narrowed(boss: Client) -> None:
    """A3. By verb, and to what has not finished; other parameters are refused."""
    cancelling, deleting = begun("cancel"), begun("delete")
    bulk.carry_out(deleting.pk)

    def shown(query: str) -> list[int]:
        return [one.pk for one in context_of(boss, URL + query)["cl"].result_list]

    assert shown("?verb=cancel") == [cancelling.pk]
    assert shown("?end=finished") == [deleting.pk]
    assert shown("?end=open") == [cancelling.pk]
    assert shown("?verb=unknown") == []
    assert boss.get(f"{URL}?end=never").status_code == 400
    assert boss.get(f"{URL}?reason__startswith=c").status_code == 400
    assert boss.get(f"{URL}?cursor=wrong").status_code == 400


def test_a_page_costs_few_queries(staff: Any) -> None:
    """A11.8. At most fifteen."""
    client = staff("view_bulkoperation", "view_workflow", "cancel_workflow", "view_auditevent")
    runs(*[Status.SUCCESS] * 5, *[Status.ENQUEUED] * 5)
    operation = begun()
    bulk.carry_out(operation.pk, 7)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(page_of(operation)).status_code == 200
    assert len(reads(queries)) <= 15, "\n".join(reads(queries))


# Stopping it


def test_it_is_stopped_where_it_is(boss: Client) -> None:
    """A3.3. GET asks, POST does it; the audit has it, and Django's history; a second time is refused."""
    left = runs(Status.ENQUEUED, Status.ENQUEUED)
    operation = begun()
    assert cancel_page(operation) in boss.get(page_of(operation)).content.decode()
    asked = boss.get(cancel_page(operation))
    inspected(asked)
    assert Workflow.objects.get(workflow_id=operation.workflow_id).status == "ENQUEUED"

    response = boss.post(cancel_page(operation), {"reason": "a mistake"})
    assert response.status_code == 302
    assert response.headers["Location"] == page_of(operation)
    assert Workflow.objects.get(workflow_id=operation.workflow_id).status == "CANCELLED"
    assert {Workflow.objects.get(pk=run.pk).status for run in left} == {"ENQUEUED"}
    event = AuditEvent.objects.get(verb="cancel")
    assert (event.target_kind, event.target_id) == ("bulk operation", operation.workflow_id)
    assert (event.outcome, event.reason, event.actor_label) == ("done", "a mistake", "boss")
    text = boss.get(page_of(operation)).content.decode()
    assert "a mistake" in text
    assert cancel_page(operation) not in text

    history = boss.get(f"{URL}{operation.pk}/history/").content.decode()
    assert "Cancel: a mistake" in history  # Django's own
    assert "Bulk cancel" in history  # the audit

    boss.post(cancel_page(operation), {"reason": "again"})
    assert AuditEvent.objects.filter(verb="cancel", outcome="refused").count() == 1


def test_who_may_stop_it(staff: Any) -> None:
    """A9. Whoever may cancel runs, or use its verb; others are denied, and recorded."""
    deleting = begun("delete")
    viewer = staff("view_bulkoperation", name="viewer")
    assert cancel_page(deleting) not in viewer.get(page_of(deleting)).content.decode()
    for method in (viewer.get, viewer.post):
        assert method(cancel_page(deleting)).status_code == 403
    assert AuditEvent.objects.filter(outcome="denied", target_id=deleting.workflow_id).count() == 2
    assert staff("cancel_workflow", name="blind").post(cancel_page(deleting)).status_code == 403

    deleter = staff("view_bulkoperation", "delete_workflow", name="deleter")
    assert deleter.post(cancel_page(deleting)).status_code == 302
    assert Workflow.objects.get(workflow_id=deleting.workflow_id).status == "CANCELLED"
    other = begun("delete")
    stopper = staff("view_bulkoperation", "cancel_workflow", name="stopper")
    assert stopper.post(cancel_page(other)).status_code == 302


def test_the_verb_itself_is_refused_for_what_is_not_there() -> None:
    """A3.3. Below the admin, too."""
    assert bulk.cancel(ME, 123_456).is_missing
    operation = begun()
    user = User.objects.create_user("nobody")
    nobody = Operator(actor=Actor(kind="user", id=str(user.pk), label="nobody", user=user))
    with pytest.raises(PermissionDeniedError, match="cancel"):
        bulk.cancel(nobody, operation.pk)
    assert AuditEvent.objects.get(outcome="denied").target_id == operation.workflow_id


def test_foreign_and_odd_numbers_are_404(boss: Client, staff: Any) -> None:
    """Nothing is edited, added or deleted by hand."""
    operation = begun()
    for wrong in ("0", "99999999999999999999999", "x", "%3Cscript%3E"):
        assert boss.get(f"{URL}{wrong}/change/").status_code == 404
    for wrong in ("0", "99999999999999999999999"):
        assert boss.post(f"{URL}{wrong}/cancel/").status_code == 404
    assert boss.post(page_of(operation), {"verb": "delete"}).status_code == 405
    assert boss.get(f"{URL}add/").status_code == 403
    assert boss.post(f"{URL}{operation.pk}/delete/", {"post": "yes"}).status_code == 403
    assert staff("view_workflow").get(page_of(operation)).status_code == 403


def test_what_a_verb_was_told_is_shown_without_secrets(boss: Client, staff: Any) -> None:
    """A9. A message is a payload; what stands under a secret's name nobody sees."""
    operation = begun("send", message={"card_number": "4242", "note": "hello there"}, topic="t")
    text = boss.get(page_of(operation)).content.decode()
    assert "hello there" in text
    assert "4242" not in text
    assert "hello there" not in staff("view_bulkoperation").get(page_of(operation)).content.decode()


def test_hostile_texts_do_nothing(boss: Client) -> None:
    """In the filter, the reason, the options and the actor's name."""
    evil = '"><script>alert(1)</script>'
    actor = Operator(actor=Actor.at_terminal(evil), reason=evil)
    number = bulk.begin(actor, "cancel", {"name": [evil], "attributes": {evil: evil}}, {evil: evil})
    inspected(boss.get(f"{URL}{number}/change/"))
    inspected(boss.get(URL))


def test_an_operation_begun_in_the_list_leads_to_its_page(boss: Client) -> None:
    """A3.3. From the confirmation of "all that match"."""
    runs(Status.ENQUEUED)
    response = boss.post(f"{LIST}bulk/cancel/?workflow=shop.bulk", {"reason": ""})
    assert response.headers["Location"] == page_of(BulkOperation.objects.get())


def test_the_duration_goes_on_until_the_end(boss: Client) -> None:
    """A3. Counted on by the browser while it does."""
    operation = begun()
    assert "data-durable-since" in boss.get(page_of(operation)).content.decode()
    BulkOperation.objects.update(finished_at=operation.created_at + timedelta(seconds=90))
    text = boss.get(page_of(operation)).content.decode()
    assert "data-durable-since" not in text
    assert "1 m 30 s" in text
