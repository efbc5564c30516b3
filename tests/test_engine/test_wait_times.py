"""What the recorded times of a wait say after the run has parked in it."""

from datetime import timedelta

import pytest

from durable_app import (
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    sleep,
    start_workflow,
    workflow,
)
from durable_app.clock import now
from durable_app.models import Status, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def slow_child() -> str:
    sleep(2.5)
    return "slept"


@workflow
def parent_of_slow() -> str:
    return str(start_workflow(slow_child).get_result())


def test_a_result_step_spans_its_wait_though_the_run_parked_in_it() -> None:
    """33. The launch row spans the launch, the result row the whole wait, over parking and replay."""
    with Worker(threads=2):
        handle = start_workflow(parent_of_slow)
        assert handle.get_result(timeout=60) == "slept"
    launch, result = list_workflow_steps(handle.workflow_id)
    child = get_workflow_status(launch.child_workflow_id or "")
    assert child is not None and child.finished_at is not None
    assert handle.get_status().attempt > 1  # it did park
    assert result.started_at < child.finished_at - timedelta(seconds=2)
    assert result.started_at >= launch.started_at
    assert result.finished_at >= child.finished_at
    assert launch.finished_at <= result.started_at


def test_a_directly_called_childs_result_step_spans_its_run() -> None:
    """33. The same for a child that runs in its parent's thread."""
    parent_calls()
    (parent,) = list_workflows(name=parent_calls.name)
    launch, result = list_workflow_steps(parent.workflow_id)
    (child,) = list_workflows(parent_workflow_id=parent.workflow_id)
    assert child.finished_at is not None
    assert launch.finished_at <= result.started_at <= child.finished_at <= result.finished_at


@workflow
def naps() -> None:
    sleep(0.2)


@workflow
def parent_calls() -> None:
    naps()


def test_a_row_with_an_empty_id_ends_in_error_and_is_not_run() -> None:
    """91. It is finished as ERROR, not run under an id of its own making."""
    Workflow.objects.create(
        workflow_id="",
        queue_name="default",
        name=naps.name,
        status=Status.ENQUEUED,
        inputs='{"args":[],"kwargs":{}}',
        created_at=now(),
        updated_at=now(),
    )
    with Worker(threads=1):
        wait_until(lambda: Workflow.objects.get().status == Status.ERROR, timeout=30)
    (run,) = list_workflows()
    assert "empty" in str(run.error)
    assert Workflow.objects.get().steps.count() == 0
