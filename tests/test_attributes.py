"""A run's attributes, changed after its creation: replaced, merged, cleared."""

import threading
from typing import Any

import pytest
from django.db import transaction

from durable_app import (
    InvalidOptionError,
    InvalidWorkflowIDError,
    NonExistentWorkflowError,
    SerializationError,
    SetWorkflowAttributes,
    SetWorkflowID,
    aupdate_workflow_attributes,
    fork_workflow,
    get_workflow_status,
    list_workflows,
    start_workflow,
    step,
    update_workflow_attributes,
    workflow,
    workflow_id,
)
from durable_app import transaction as transactional
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, step_names


@workflow(name="attributes.leaf")
def leaf() -> None: ...


@workflow(name="attributes.marks")
def marks_itself() -> None:
    update_workflow_attributes(workflow_id() or "", {"by": "workflow"}, merge=True)
    mark_in_step()
    mark_in_transaction()


@step
def mark_in_step() -> None:
    update_workflow_attributes(workflow_id() or "", {"step": 1}, merge=True)


@transactional
def mark_in_transaction() -> None:
    update_workflow_attributes(workflow_id() or "", {"transaction": 1}, merge=True)


@workflow(name="attributes.amarks")
async def amarks_itself() -> None:
    await aupdate_workflow_attributes(workflow_id() or "", {"by": "coroutine"})


def attributes(name: str = "a") -> Any:
    found = get_workflow_status(name)
    assert found is not None
    return found.attributes


@pytest.fixture
def run(db: None) -> None:
    with SetWorkflowID("a"), SetWorkflowAttributes({"x": 1, "deep": {"y": 1}}):
        start_workflow(leaf)


@pytest.mark.usefixtures("run")
def test_attributes_are_replaced_merged_and_cleared() -> None:
    """266. Merging is shallow, and null is a value; None clears."""
    update_workflow_attributes("a", {"deep": {"z": 2}, "new": None}, merge=True)
    assert attributes() == {"x": 1, "deep": {"z": 2}, "new": None}
    update_workflow_attributes("a", {}, merge=True)
    assert attributes() == {"x": 1, "deep": {"z": 2}, "new": None}
    update_workflow_attributes("a", {"only": ["é", 1.5]})
    assert attributes() == {"only": ["é", 1.5]}
    assert [run.workflow_id for run in list_workflows(attributes={"only": ["é", 1.5]})] == ["a"]
    with SetWorkflowID("b"), SetWorkflowAttributes({"only": ["é", 1.5]}):
        start_workflow(leaf)
    assert [run.workflow_id for run in list_workflows(attributes={"only": ["é", 1.5]})] == ["a", "b"]
    update_workflow_attributes("a", None)
    assert attributes() is None
    assert list_workflows(attributes={"x": 1}) == []
    update_workflow_attributes("a", {"again": True}, merge=True)
    assert attributes() == {"again": True}
    assert fork_workflow("a", 1).get_status().attributes == {"again": True}


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("given", "merge", "error"),
    [
        ([1], False, SerializationError),
        ({"a": object()}, True, SerializationError),
        ({"a": float("inf")}, False, SerializationError),
        ({"a": "nul\x00"}, False, SerializationError),
        ({"\x00": 1}, False, SerializationError),
        ({"a": "\ud800"}, False, SerializationError),
        (None, True, InvalidOptionError),
    ],
)
def test_what_no_database_holds_is_refused(given: Any, merge: bool, error: type[Exception]) -> None:
    """266. Alike on both databases, and nothing changes."""
    with pytest.raises(error):
        update_workflow_attributes("a", given, merge=merge)
    assert attributes() == {"x": 1, "deep": {"y": 1}}


@pytest.mark.django_db
def test_characters_that_only_look_forbidden_are_kept() -> None:
    """266. A backslash and u0000 are six characters like others."""
    with SetWorkflowID("a"), SetWorkflowAttributes({"a": "\\u0000", "b": "\\"}):
        start_workflow(leaf)
    assert attributes() == {"a": "\\u0000", "b": "\\"}
    for bad in ("\x00", "\\\x00", "\ud800"):
        with pytest.raises(SerializationError), SetWorkflowAttributes({"a": bad}):
            start_workflow(leaf)


@pytest.mark.django_db
def test_an_unknown_run_is_an_error() -> None:
    """266. Instead of a change that never was."""
    for merge in (True, False):
        with pytest.raises(NonExistentWorkflowError):
            update_workflow_attributes("nobody", {}, merge=merge)
    with pytest.raises(InvalidWorkflowIDError):
        update_workflow_attributes(" ", {})


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("run")
def test_merges_at_once_lose_nothing() -> None:
    """266. Each is atomic: eight writers, and every key is there."""
    barrier = threading.Barrier(8)

    def mark(number: int) -> None:
        barrier.wait(30)
        for turn in range(5):
            update_workflow_attributes("a", {f"{number}.{turn}": 1}, merge=True)

    for future in [in_thread(mark, number) for number in range(8)]:
        future.result(60)
    assert len(attributes()) == 2 + 8 * 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("run")
def test_a_change_joins_the_callers_transaction() -> None:
    """266. It is rolled back with it."""
    with transaction.atomic():
        update_workflow_attributes("a", {"in": "vain"})
        transaction.set_rollback(True)
    assert attributes() == {"x": 1, "deep": {"y": 1}}


@pytest.mark.django_db(transaction=True)
def test_a_workflow_marks_itself_once(worker: Worker) -> None:
    """264, 266. A step of its own in a workflow, part of the step elsewhere; not repeated by a replay."""
    with SetWorkflowID("a"):
        start_workflow(marks_itself).get_result(timeout=60)
    assert attributes() == {"by": "workflow", "step": 1, "transaction": 1}
    assert step_names("a") == [
        (1, "durable.updateWorkflowAttributes"),
        (2, "mark_in_step"),
        (3, "mark_in_transaction"),
    ]
    update_workflow_attributes("a", {"by": "hand"})
    Workflow.objects.filter(workflow_id="a").update(status="ENQUEUED", output=None, finished_at=None)
    with SetWorkflowID("async"):
        start_workflow(amarks_itself).get_result(timeout=60)
    assert attributes("async") == {"by": "coroutine"}
    assert attributes() == {"by": "hand"}
