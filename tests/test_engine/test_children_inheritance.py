"""What a child has of its parent: the deadline, and nothing else."""

from datetime import timedelta

import pytest

from durable_app import (
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    get_result,
    list_workflows,
    start_workflow,
    workflow,
)
from durable_app.worker.worker import Worker


@workflow(name="inheritance.child")
def child() -> str:
    return "child"


@workflow(name="inheritance.surrounds_its_child")
def surrounds_its_child() -> str:
    with SetWorkflowTimeout(1000), SetWorkflowAttributes({"of": "child"}):
        return start_workflow(child).workflow_id


@workflow(name="inheritance.plain_parent")
def plain_parent() -> list[str]:
    return [start_workflow(child).workflow_id, start_workflow(plain_grandparent).workflow_id]


@workflow(name="inheritance.plain_grandparent")
def plain_grandparent() -> str:
    return start_workflow(child).workflow_id


@pytest.mark.django_db(transaction=True)
def test_children_inherit_the_deadline_and_nothing_else() -> None:
    """40, 129. Attributes and timeout are not inherited; the deadline is, by enqueued children too."""
    with SetWorkflowID("p"), SetWorkflowTimeout(1000), SetWorkflowAttributes({"of": "parent"}):
        plain_parent()
    parent, first = list_workflows(workflow_ids=["p", "p-1"])
    assert parent.deadline_at is not None
    assert first.deadline_at == parent.deadline_at
    assert (first.attributes, first.timeout) == (None, None)
    assert first.priority == 0
    assert first.deduplication_id is None


@pytest.mark.django_db(transaction=True)
def test_grandchildren_inherit_the_deadline(worker: Worker) -> None:
    """129. The absolute deadline reaches the child's child, started by another thread."""
    with SetWorkflowID("p"), SetWorkflowTimeout(1000):
        plain_parent()
    assert get_result("p-2", timeout=60) == "p-2-1"
    parent, grandchild = list_workflows(workflow_ids=["p", "p-2-1"])
    assert grandchild.deadline_at == parent.deadline_at


@pytest.mark.django_db
def test_blocks_inside_the_parent_apply_to_its_child() -> None:
    """40, 130. A parent's own blocks give its child attributes and a timeout of its own."""
    found = list_workflows(workflow_ids=[surrounds_its_child()])[0]
    assert (found.attributes, found.timeout) == ({"of": "child"}, timedelta(seconds=1000))
