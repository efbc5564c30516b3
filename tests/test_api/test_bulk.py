"""Bulk operations by the API: what they are begun on, who may, how far they come."""

from typing import Any

import pytest

from durable_app import register_queue
from durable_app.api import bulk as api
from durable_app.api.filters import CONDITIONS
from durable_app.control import bulk
from durable_app.control.verbs import VERBS
from durable_app.models import AuditEvent, BulkOperation, Status, Workflow
from durable_app.store import listing
from tests.test_admin.pages import made
from tests.test_api.conftest import Api, problem

pytestmark = pytest.mark.django_db

WORKFLOW = bulk.WORKFLOW


def own(runs: Any) -> Any:
    return runs.exclude(name=WORKFLOW)


def test_the_filters_have_names_that_listings_have() -> None:
    """REST, filtering. A renamed filter would match everything."""
    assert set(CONDITIONS.values()) <= listing.FILTERS


def test_an_operation_is_begun_and_carried_out(operator: Api, viewer: Api) -> None:
    """REST, resources. 202 with a place to look; filters have the list's names."""
    wanted = [made(Status.ENQUEUED, queue_name="mail") for _ in range(3)]
    child = made(Status.ENQUEUED, parent_workflow_id=wanted[0].workflow_id)
    other = made(Status.ENQUEUED)
    body = {
        "verb": "cancel",
        "filter": {"queue": ["mail"], "created_after": "2020-01-01T00:00:00Z"},
        "options": {"include_children": True},
        "reason": "sale is over",
    }
    dry = operator.post("/bulk-operations", {**body, "dry_run": True})
    assert (dry.status_code, dry.json()) == (200, {"matched": 3, "is_capped": False})
    assert not BulkOperation.objects.exists()

    begun = operator.post("/bulk-operations", body, Idempotency_Key="k")
    assert begun.status_code == 202, begun.content
    assert operator.post("/bulk-operations", body, Idempotency_Key="k").json() == begun.json()
    row = BulkOperation.objects.get()
    assert begun.headers["Location"] == f"/api/durable/v1/bulk-operations/{row.pk}"
    assert not bulk.carry_out(row.pk)
    shown = viewer.client.get(begun.headers["Location"]).json()
    assert (shown["matched"], shown["done"], shown["reason"]) == (3, 3, "sale is over")
    assert shown["finished_at"] is not None
    [listed] = viewer.get("/bulk-operations").json()["results"]
    assert listed["id"] == row.pk
    statuses = dict(own(Workflow.objects).values_list("workflow_id", "status"))
    assert statuses.pop(other.workflow_id) == Status.ENQUEUED
    assert set(statuses.values()) == {"CANCELLED"}
    assert child.workflow_id in statuses


def test_an_operation_on_ids(operator: Api) -> None:
    """REST, resources. Also with options that have other names inside."""
    register_queue("slow")
    runs = [made(Status.CANCELLED, workflow_id=one) for one in ("a/1", "b")]
    body = {"verb": "resume", "ids": [one.workflow_id for one in runs], "options": {"queue": "slow"}}
    number = operator.post("/bulk-operations", body).json()["id"]
    bulk.carry_out(number)
    assert {one.queue_name for one in own(Workflow.objects)} == {"slow"}
    sent = made(Status.WAITING)
    options = {"message": {"a": 1}, "topic": "t", "idempotency_key": "k"}
    body = {"verb": "send", "filter": {"id": [sent.workflow_id]}, "options": options}
    bulk.carry_out(operator.post("/bulk-operations", body).json()["id"])
    assert sent.messages.get().idempotency_key == "k"


@pytest.mark.parametrize("verb", api.BULK_VERBS)
def test_a_viewer_begins_nothing(viewer: Api, verb: str) -> None:
    """403 and an audit row; a dry run asks for the same."""
    made(Status.ENQUEUED)
    for dry in (False, True):
        body = {"verb": verb, "filter": {"status": ["ENQUEUED"]}, "dry_run": dry}
        problem(viewer.post("/bulk-operations", body), 403, "permission-denied")
    events = AuditEvent.objects.values_list("verb", "outcome", "target_kind")
    assert set(events) == {(f"bulk {verb}", "denied", "bulk operation")}
    assert not BulkOperation.objects.exists()
    assert sorted(name for name, one in VERBS.items() if one.is_bulk) == api.BULK_VERBS


def test_what_would_mean_everything_by_accident_is_400(operator: Api) -> None:
    """REST, filtering. A misspelt filter and a bulk cancel are a disaster."""
    made(Status.ENQUEUED)
    for wrong, pointer in (
        ({"verb": "cancel"}, ""),
        ({"verb": "cancel", "filter": {}}, ""),
        ({"verb": "cancel", "filter": {"staus": ["ENQUEUED"]}}, "/filter/staus"),
        ({"verb": "cancel", "filter": {"status": []}}, "/filter/status"),
        ({"verb": "cancel", "filter": {"attributes": {}}}, "/filter/attributes"),
        ({"verb": "cancel", "ids": ["a"], "filter": {"queue": ["q"]}}, ""),
        ({"verb": "cancel", "ids": []}, "/ids"),
        ({"verb": "fork", "ids": ["a"]}, "/verb"),
        ({"verb": "cancel", "ids": ["a"], "options": {"children": True}}, "/options/children"),
    ):
        found = problem(operator.post("/bulk-operations", wrong), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [pointer], wrong
    assert not BulkOperation.objects.exists()


def test_more_runs_than_the_limit_take_a_permission(holder: Any, settings: Any) -> None:
    """A3. Nobody acts on more than that by accident."""
    settings.DURABLE = {"BULK_LIMIT": 1}
    for _ in range(2):
        made(Status.ENQUEUED)
    body = {"verb": "cancel", "filter": {"status": ["ENQUEUED"]}}
    few = holder("view_workflow", "cancel_workflow")
    problem(few.post("/bulk-operations", body), 400, "validation-error")
    many = holder("view_workflow", "cancel_workflow", "bulk_unlimited", name="otto")
    assert many.post("/bulk-operations", body).status_code == 202


def test_an_operation_is_stopped(operator: Api, viewer: Api) -> None:
    """REST, resources. The workflow that carries it out is cancelled; what is done stays done."""
    made(Status.ENQUEUED)
    body = {"verb": "cancel", "filter": {"status": ["ENQUEUED"]}}
    number = operator.post("/bulk-operations", body).json()["id"]
    path = f"/bulk-operations/{number}"
    problem(viewer.post(f"{path}/cancel"), 403, "permission-denied")
    assert operator.post(f"{path}/cancel", {"reason": "stop"}).status_code == 200
    assert Workflow.objects.get(name=WORKFLOW).status == Status.CANCELLED
    problem(operator.post(f"{path}/cancel"), 409, "invalid-transition")
    for missing in ("0", "9" * 30):
        problem(operator.get(f"/bulk-operations/{missing}"), 404, "not-found")
