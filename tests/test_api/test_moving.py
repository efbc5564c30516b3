"""Runs out of one database and into another, for those who may see all of them."""

import json
from typing import Any

import pytest

from durable_app.control.actors import Policy
from durable_app.models import AuditEvent, Workflow
from tests.test_admin.pages import made, with_steps
from tests.test_api.conftest import Api, problem
from tests.test_api.test_starting import OPEN

pytestmark = pytest.mark.django_db


class ChildlessPolicy(Policy):
    """Nobody knows of children."""

    def visible(self, actor: Any, runs: Any) -> Any:
        return runs.filter(parent_workflow_id=None)


@pytest.fixture(autouse=True)
def exposed(settings: Any) -> None:
    settings.DURABLE = {"API": {"STARTABLE": [OPEN], "IMPORT": True}}


def test_a_run_comes_back_as_it_was(operator: Api) -> None:
    """REST, resources. With its steps and children, and an audit row on either side."""
    run = with_steps(made(name=OPEN, inputs='{"args":["secret"],"kwargs":{}}'), "a", "b")
    made(name=OPEN, parent_workflow_id=run.workflow_id)
    exported = operator.get(f"/workflows/{run.workflow_id}/export", include_children="true").json()
    assert len(exported["runs"]) == 2
    problem(operator.post("/workflows/import", exported), 409, "conflict-id")
    Workflow.objects.all().delete()
    imported = operator.post("/workflows/import", exported)
    assert imported.status_code == 201, imported.content
    assert imported.json()["ids"][0] == run.workflow_id
    again = operator.get(f"/workflows/{run.workflow_id}/export", include_children="true").json()
    assert again["runs"] == exported["runs"]
    events = list(AuditEvent.objects.order_by("pk").values_list("verb", "outcome"))
    assert events == [("export", "done"), ("import", "failed"), ("import", "done"), ("export", "done")]


def test_an_export_takes_two_permissions_and_sight(holder: Any, operator: Api, settings: Any) -> None:
    """A9. Nothing of it is redacted: who may not see payloads, or a descendant, exports nothing."""
    run = made()
    made(parent_workflow_id=run.workflow_id)
    path = f"/workflows/{run.workflow_id}/export"
    for held in (["view_workflow"], ["view_workflow", "export_workflow"], ["view_workflow", "view_payload"]):
        problem(holder(*held, name="-".join(held)).get(path), 403, "permission-denied")
    assert AuditEvent.objects.filter(verb="export", outcome="denied").count() == 3
    settings.DURABLE = {"POLICY": f"{__name__}.{ChildlessPolicy.__name__}"}
    assert operator.get(path).status_code == 200
    problem(operator.get(path, include_children="true"), 403, "permission-denied")


def test_nothing_is_imported_unless_it_is_switched_on(operator: Api, viewer: Api, settings: Any) -> None:
    """REST, resources. Off by default, and only workflows that are open to the API."""
    run = made(name=OPEN)
    exported = operator.get(f"/workflows/{run.workflow_id}/export").json()
    closed = operator.get(f"/workflows/{made().workflow_id}/export").json()
    Workflow.objects.all().delete()
    problem(viewer.post("/workflows/import", exported), 403, "permission-denied")
    problem(operator.post("/workflows/import", closed), 403, "not-exposed")
    settings.DURABLE = {"API": {"STARTABLE": ["*"]}}
    problem(operator.post("/workflows/import", exported), 403, "not-exposed")
    assert not Workflow.objects.exists()


def test_what_is_no_export_is_400(operator: Api) -> None:
    """All or nothing."""
    run = made(name=OPEN)
    exported = operator.get(f"/workflows/{run.workflow_id}/export").json()
    Workflow.objects.all().delete()
    good = exported["runs"][0]
    for wrong in (
        {},
        {**exported, "format": "other/1"},
        {**exported, "runs": []},
        {**exported, "runs": {}},
        {**exported, "more": 1},
        {**exported, "runs": [good, good]},
        {**exported, "runs": [{**good, "steps": [{}]}]},
        {**exported, "runs": [{**good, "workflow": {**good["workflow"], "status": "FINE"}}]},
        {**exported, "runs": [{**good, "workflow": {**good["workflow"], "workflow_id": "\0"}}]},
    ):
        problem(operator.post("/workflows/import", wrong), 400, "validation-error")
    for nameless in (1, {"workflow": 5}, {"workflow": {"name": None}}):
        problem(operator.post("/workflows/import", {**exported, "runs": [nameless]}), 403, "not-exposed")
    assert not Workflow.objects.exists()


def test_an_import_may_be_larger_than_what_django_keeps_in_memory(operator: Api, settings: Any) -> None:
    """26. Its limit is ours: ten times that of other bodies, whatever forms may have."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    settings.DURABLE["API"] = {**settings.DURABLE["API"], "MAX_BODY": 1000}
    run = made(name=OPEN, inputs=json.dumps({"args": ["x" * 3000], "kwargs": {}}))
    exported = operator.get(f"/workflows/{run.workflow_id}/export").json()
    Workflow.objects.all().delete()
    settings.DURABLE = {**settings.DURABLE}
    assert operator.post("/workflows/import", exported).status_code == 201
    exported["exported_at"] = "x" * 10_000
    problem(operator.post("/workflows/import", exported), 413, "payload-too-large")
