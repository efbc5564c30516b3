"""On whose behalf a run executes: kept in its row, restored by any worker, inherited by children."""

import pytest

from durable_app import get_workflow_status, list_workflows, retrieve_workflow, start_workflow, workflow
from durable_app.clock import now
from durable_app.models import Status, Workflow
from durable_app.worker.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def inner() -> str:
    return "inner"


@workflow
def outer() -> list[str]:
    return [inner(), start_workflow(inner).get_result()]


def test_user_and_roles_are_restored_from_the_row_and_inherited_by_children() -> None:
    """40, 93. A worker takes them over with the run; both kinds of children have them too."""
    Workflow.objects.create(
        workflow_id="run",
        queue_name="default",
        name=outer.name,
        status=Status.ENQUEUED,
        inputs='{"args":[],"kwargs":{}}',
        user="ann",
        roles=["clerk", "auditor"],
        assumed_role="clerk",
        created_at=now(),
        updated_at=now(),
    )
    with Worker(threads=2):
        assert retrieve_workflow("run").get_result(timeout=30) == ["inner", "inner"]
    children = list_workflows(parent_workflow_id="run")
    assert len(children) == 2
    for run in (get_workflow_status("run"), *children):
        assert run is not None
        assert (run.user, run.roles, run.assumed_role) == ("ann", ["clerk", "auditor"], "clerk")
