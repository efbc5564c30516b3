"""Verbs on many runs: chosen ones at once, all that match by a bulk operation."""

from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client

from durable_app.admin.runs import many
from durable_app.control import bulk
from durable_app.control.actors import Actor, Policy
from durable_app.control.verbs import VERBS
from durable_app.models import AuditEvent, BulkOperation, Message, Status, Workflow
from tests.test_admin.pages import LIST, inspected, made, with_steps

pytestmark = pytest.mark.django_db


def post(client: Client, action: str, runs: list[Workflow], query: str = "", **more: Any) -> Any:
    data = {"action": action, ACTION_CHECKBOX_NAME: [run.pk for run in runs], "select_across": "0", **more}
    return client.post(LIST + query, data)


def statuses(runs: list[Workflow]) -> list[str]:
    return [Workflow.objects.get(pk=run.pk).status for run in runs]


def test_an_action_asks_first_and_says_who_is_skipped(boss: Client) -> None:
    """A3. By status, with the reason; nothing is done yet."""
    runs = [made(Status.ENQUEUED), made(Status.WAITING), made(Status.SUCCESS)]
    response = post(boss, "cancel", runs, index="0")
    text = response.content.decode()
    inspected(response)
    assert "3 runs are meant; it is possible for 2 of them." in text
    assert "skipped: The run is SUCCESS" in text
    assert statuses(runs) == ["ENQUEUED", "WAITING", "SUCCESS"]
    assert not AuditEvent.objects.exists()


def test_a_confirmed_action_is_done_to_each_by_itself(boss: Client) -> None:
    """A3. One line for each outcome; an audit row for each run."""
    runs = [made(Status.ENQUEUED), made(Status.SUCCESS), made(Status.WAITING)]
    response = post(boss, "cancel", runs, confirmed="yes", reason="flood")
    assert response.status_code == 302
    assert statuses(runs) == ["CANCELLED", "SUCCESS", "CANCELLED"]
    text = boss.get(LIST).content.decode()
    assert "2 runs were cancelled." in text
    assert "1 run was skipped: The run is SUCCESS" in text
    events = AuditEvent.objects.order_by("pk")
    assert [event.outcome for event in events] == ["done", "refused", "done"]
    assert {event.reason for event in events} == {"flood"}


EACH: dict[str, tuple[str, dict[str, Any]]] = {
    "cancel": (Status.ENQUEUED, {}),
    "resume": (Status.CANCELLED, {"queue_name": "default"}),
    "run_now": (Status.DELAYED, {}),
    "set_priority": (Status.WAITING, {"priority": 3}),
    "retry": (Status.ERROR, {}),
    "send": (Status.WAITING, {"message": '"x"', "topic": "t"}),
    "delete_selected": (Status.SUCCESS, {}),
}


@pytest.mark.parametrize("action", EACH)
def test_every_action_does_its_verb(boss: Client, action: str) -> None:
    """A3. For two runs."""
    status, form = EACH[action]
    runs = [with_steps(made(status), "a") for _ in range(2)]
    assert post(boss, action, runs, confirmed="yes", **form).status_code == 302
    assert list(AuditEvent.objects.values_list("outcome", flat=True)) == ["done", "done"]
    if action == "send":
        assert Message.objects.count() == 2


@pytest.mark.parametrize("action", EACH)
def test_actions_are_offered_and_taken_by_permission(staff: Any, action: str) -> None:
    """A9. One that is not offered does nothing when it is posted."""
    verb = VERBS["delete" if action == "delete_selected" else action]
    status, form = EACH[action]
    run = with_steps(made(status), "a")
    allowed = staff("view_workflow", verb.permission)
    assert f'value="{action}"' in allowed.get(LIST).content.decode()
    other = {one.permission for one in VERBS.values()} - {verb.permission}
    without = staff("view_workflow", *other, name="bob")
    assert f'value="{action}"' not in without.get(LIST).content.decode()
    post(without, action, [run], confirmed="yes", **form)
    assert not AuditEvent.objects.filter(outcome="done").exists()
    assert Workflow.objects.get().status == status


def test_more_than_a_request_bears_is_a_bulk_operation(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A3. Of the chosen ones alone."""
    monkeypatch.setattr(many, "IMMEDIATE", 2)
    runs = [made(Status.ENQUEUED) for _ in range(3)]
    made(Status.ENQUEUED)
    post(boss, "cancel", runs, confirmed="yes")
    operation = BulkOperation.objects.get()
    assert sorted(operation.filter["workflow_ids"]) == sorted(run.workflow_id for run in runs)
    assert statuses(runs) == ["ENQUEUED"] * 3
    bulk.carry_out(operation.pk)
    assert statuses(runs) == ["CANCELLED"] * 3
    assert Workflow.objects.filter(status="ENQUEUED", name="shop.checkout").count() == 1


def test_all_that_match_is_never_a_queryset_of_everything(boss: Client) -> None:
    """A3. Django's select_across is led to the page of the bulk operation."""
    run = made(Status.ENQUEUED)
    response = post(boss, "cancel", [run], "?status=active", select_across="1", confirmed="yes")
    assert response.headers["Location"] == f"{LIST}bulk/cancel/?status=active"
    assert statuses([run]) == ["ENQUEUED"]


def test_all_that_match_are_frozen_by_their_filter(boss: Client) -> None:
    """A3. The page counts them; a workflow does it, and none that come later."""
    runs = [made(Status.ENQUEUED, queue_name="mail") for _ in range(3)]
    other = made(Status.ENQUEUED)
    url = f"{LIST}bulk/cancel/?queue=mail&o=finished&cols=user"
    page = boss.get(url)
    inspected(page)
    assert "3 runs are meant" in page.content.decode()
    assert boss.post(url, {"reason": "stop", "children": "on"}).status_code == 302
    operation = BulkOperation.objects.get()
    assert operation.filter == {"queue_name": ["mail"]}
    assert (operation.matched, operation.reason) == (3, "stop")
    assert operation.options == {"cancel_children": True}
    later = made(Status.ENQUEUED, queue_name="mail")
    bulk.carry_out(operation.pk)
    assert statuses(runs) == ["CANCELLED"] * 3
    assert statuses([other, later]) == ["ENQUEUED"] * 2


def test_too_many_need_a_permission(staff: Any, settings: Any) -> None:
    """A3. BULK_LIMIT, unless ``bulk_unlimited``."""
    settings.DURABLE = {"BULK_LIMIT": 2}
    for _ in range(3):
        made(Status.ENQUEUED)
    client = staff("view_workflow", "cancel_workflow")
    assert client.post(f"{LIST}bulk/cancel/", {}).status_code == 400
    assert not BulkOperation.objects.exists()
    unlimited = staff("view_workflow", "cancel_workflow", "bulk_unlimited", name="bob")
    assert unlimited.post(f"{LIST}bulk/cancel/", {}).status_code == 302
    assert BulkOperation.objects.exists()


def test_a_limit_above_what_is_counted_holds_too(
    staff: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A3. The page counts up to so many; the limit is asked for itself then."""
    monkeypatch.setattr(many, "COUNTED", 1)
    settings.DURABLE = {"BULK_LIMIT": 3}
    for _ in range(3):
        made(Status.ENQUEUED)
    client = staff("view_workflow", "cancel_workflow")
    assert client.get(f"{LIST}bulk/cancel/").status_code == 200
    made(Status.ENQUEUED)
    assert client.get(f"{LIST}bulk/cancel/").status_code == 400


@pytest.mark.parametrize("verb", ["cancel", "delete", "retry", "send"])
def test_a_bulk_verb_without_its_permission_is_403_and_audited(viewer: Client, verb: str) -> None:
    """Whatever is wrong with it."""
    made(Status.ENQUEUED)
    assert viewer.get(f"{LIST}bulk/{verb}/").status_code == 403
    assert viewer.post(f"{LIST}bulk/{verb}/", {"message": "1"}).status_code == 403
    assert list(AuditEvent.objects.values_list("verb", "outcome")) == [(f"bulk {verb}", "denied")] * 2
    assert not BulkOperation.objects.exists()


def test_what_is_no_verb_for_many_is_404(boss: Client) -> None:
    """Whatever is wrong with it."""
    for name in ("fork", "rewind", "start_like", "explode"):
        assert boss.post(f"{LIST}bulk/{name}/", {}).status_code == 404


class Tenants(Policy):
    """People see the runs that bear their name."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.filter(user=actor.label)


def test_what_people_may_not_know_of_is_not_touched(settings: Any, staff: Any) -> None:
    """A9. Neither by an action, nor by its id, nor by a bulk operation: and is not counted."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants"}
    client = staff("view_workflow", "cancel_workflow")
    own, foreign = made(Status.ENQUEUED, user="ann"), made(Status.ENQUEUED, user="bob")
    post(client, "cancel", [foreign], confirmed="yes")
    assert client.post(f"{LIST}{foreign.pk}/verb/cancel/", {}).status_code == 404
    assert "1 runs are meant" in client.get(f"{LIST}bulk/cancel/").content.decode()
    client.post(f"{LIST}bulk/cancel/", {})
    operation = BulkOperation.objects.get()
    assert operation.matched == 1
    bulk.carry_out(operation.pk)
    assert statuses([own, foreign]) == ["CANCELLED", "ENQUEUED"]
