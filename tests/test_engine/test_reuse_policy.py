"""``SetWorkflowID(..., workflow_id_reuse_policy="reject")``: an id that exists is an error."""

from typing import Any

import pytest
from django.db import transaction

from durable_app import (
    InvalidOptionError,
    SetWorkflowID,
    WorkflowIDInUseError,
    delete_workflow,
    enqueue,
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    rewind_workflow,
    start_workflow,
    workflow,
)
from durable_app.worker.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def named(value: str) -> str:
    return value


@workflow
def other(value: str) -> str:
    return value


@workflow
def parent() -> str:
    try:
        with SetWorkflowID("taken", workflow_id_reuse_policy="reject"):
            start_workflow(named, "child")
    except WorkflowIDInUseError as error:
        return f"refused: {error.workflow_name} {error.workflow_status}"
    return "started"


@pytest.mark.parametrize("again", [named, other], ids=["same function", "another function"])
def test_reject_refuses_any_existing_run_and_leaves_it_alone(again: Any) -> None:
    """20. Reject raises with status and name, whatever the function; the row is untouched."""
    with SetWorkflowID("one"):
        start_workflow(named, "first")
    before = get_workflow_status("one")
    with (
        pytest.raises(WorkflowIDInUseError) as caught,
        SetWorkflowID("one", workflow_id_reuse_policy="reject"),
    ):
        start_workflow(again, "second")
    assert (caught.value.workflow_status, caught.value.workflow_name) == ("ENQUEUED", "named")
    assert get_workflow_status("one") == before


def test_reject_refuses_a_direct_call_too() -> None:
    """20. The refused call runs nothing and writes nothing."""
    with SetWorkflowID("one"):
        assert named("first") == "first"
    with pytest.raises(WorkflowIDInUseError), SetWorkflowID("one", workflow_id_reuse_policy="reject"):
        named("second")
    assert [run.output for run in list_workflows()] == ["first"]


def test_a_fresh_id_is_accepted_under_reject() -> None:
    """20. Reject is about existing ids only."""
    with SetWorkflowID("one", workflow_id_reuse_policy="reject"):
        assert named("first") == "first"


def test_the_callers_transaction_stays_usable_after_a_rejection() -> None:
    """177. A refused start inside atomic() does not break the caller's transaction."""
    with SetWorkflowID("one"):
        start_workflow(named, "first")
    with transaction.atomic():
        with pytest.raises(WorkflowIDInUseError), SetWorkflowID("one", workflow_id_reuse_policy="reject"):
            start_workflow(named, "second")
        with SetWorkflowID("two"):
            start_workflow(named, "other")
    assert {run.workflow_id for run in list_workflows()} == {"one", "two"}


def test_a_rejected_child_start_is_recorded_and_replays() -> None:
    """22. The rejection is the parent's step error: a replay sees it although the id is free by then."""
    with SetWorkflowID("taken"):
        named("first")
    with SetWorkflowID("parent"):
        assert parent() == "refused: named SUCCESS"
    assert isinstance(list_workflow_steps("parent")[0].error, WorkflowIDInUseError)
    delete_workflow("taken")
    with Worker(threads=1):
        assert rewind_workflow("parent", 2).get_result(timeout=30) == "refused: named SUCCESS"
    assert get_workflow_status("taken") is None


def test_an_unknown_policy_is_refused_at_once() -> None:
    """A misspelt policy must not silently mean the default."""
    with pytest.raises(InvalidOptionError, match="return-existing"):
        SetWorkflowID("one", workflow_id_reuse_policy="refuse")  # type: ignore[arg-type]


@workflow
def enqueues_elsewhere() -> str:
    with SetWorkflowID("one"):
        return enqueue("mail", named, "child").workflow_id


def test_the_same_id_on_another_queue_is_only_worth_a_warning(caplog: Any) -> None:
    """8. The existing run is returned and stays where it is; both queues are named, also for a child."""
    with SetWorkflowID("one"):
        enqueue("letters", named, "first")
    before = get_workflow_status("one")
    for again in (lambda: enqueue("mail", named, "second"), lambda: start_workflow(named, "third")):
        caplog.clear()
        with SetWorkflowID("one"):
            assert again().workflow_id == "one"
        assert "another queue" in caplog.text
        assert "queue=letters" in caplog.text
    caplog.clear()
    assert enqueues_elsewhere() == "one"
    assert "queue=letters given=mail" in caplog.text
    assert get_workflow_status("one") == before


def test_the_same_id_on_its_own_queue_is_worth_no_word(caplog: Any) -> None:
    """8. Nor is a call, which stands in no queue."""
    with SetWorkflowID("one"):
        enqueue("letters", named, "first")
    with SetWorkflowID("one"):
        enqueue("letters", named, "second")
    with SetWorkflowID("two"):
        named("called")
    with SetWorkflowID("two"):
        enqueue("letters", named, "third")
    assert "another queue" not in caplog.text
