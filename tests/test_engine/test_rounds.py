"""What a run that goes on as new keeps: its worker, its place and claims, its children, whoever waits."""

from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    QueueDeduplicatedError,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    WorkflowHandle,
    cancel_workflow,
    continue_as_new,
    enqueue,
    get_result,
    recv,
    register_queue,
    retrieve_workflow,
    send,
    start_workflow,
    workflow,
)
from durable_app.models import Status, Workflow
from durable_app.store import continuing
from durable_app.worker.worker import Worker
from tests.helpers import status, wait_for_status, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

KEPT = (
    "pk", "queue_name", "priority", "deduplication_id", "timeout", "deadline_at", "attributes", "created_at",
)  # fmt: skip


@pytest.fixture(autouse=True)
def parks(settings: Any) -> None:
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}


@workflow(name="rounds.counts")
def counts(left: int) -> int:
    if left:
        continue_as_new(left - 1)
    return left


@workflow(name="rounds.waits")
def waits_in_each(left: int) -> str:
    found = str(recv("go", 3600))
    if left:
        continue_as_new(left - 1)
    return found


@workflow(name="rounds.slow_child")
def slow_child() -> str:
    return str(recv("say", 3600))


@workflow(name="rounds.parent")
def parent(left: int, child: str = "") -> str:
    if not child:
        child = start_workflow(slow_child).workflow_id
    if left:
        continue_as_new(left - 1, child)
    handle: WorkflowHandle[str] = retrieve_workflow(child)
    return handle.get_result()


@workflow(name="rounds.grandparent")
def grandparent() -> str:
    with SetWorkflowID("w"):
        return start_workflow(parent, 3).get_result()


def test_a_run_between_two_rounds_is_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """F02. A run that nobody executes is a stray to a heartbeat, which hands it back as crashed."""
    held: list[bool] = []
    hand_over = continuing.hand_over

    def looking(step: Any, *given: Any) -> None:
        held.append(step.run in worker.incarnation.lease.running)
        hand_over(step, *given)

    monkeypatch.setattr(continuing, "hand_over", looking)
    start_workflow(counts, 3)
    with Worker(threads=1) as worker:
        wait_for_status(Workflow.objects.get().workflow_id, Status.SUCCESS)
        wait_until(lambda: worker.busy == 0)
        assert not worker.incarnation.lease.running
    assert held == [True] * 3


def test_its_place_in_the_queue_and_what_it_claims_stay() -> None:
    """127, 210. Its deduplication id is taken until the last round ends; its deadline is the first one's."""
    register_queue("line", concurrency=1)
    with (
        SetWorkflowID("w"),
        SetWorkflowTimeout(3600),
        SetWorkflowAttributes({"tenant": 7}),
        SetEnqueueOptions(deduplication_id="one", priority=3),
    ):
        enqueue("line", waits_in_each, 1)
    with Worker(threads=2):
        wait_for_status("w", Status.WAITING)
        first = Workflow.objects.values(*KEPT).get(workflow_id="w")
        send("w", 1, "go")
        wait_until(lambda: Workflow.objects.filter(workflow_id="w", steps__name="durable.continueAsNew"))
        wait_for_status("w", Status.WAITING)
        assert Workflow.objects.values(*KEPT).get(workflow_id="w") == first
        with SetEnqueueOptions(deduplication_id="one"), pytest.raises(QueueDeduplicatedError):
            enqueue("line", counts, 0)
        send("w", "last", "go")
        assert get_result("w", timeout=60) == "last"
        with SetEnqueueOptions(deduplication_id="one"):
            assert enqueue("line", counts, 0).get_result(timeout=60) == 0


def test_a_child_of_an_earlier_round_is_awaited_in_a_later_one() -> None:
    """31, 35. And whoever waits for the run itself, parked, waits through all of its rounds."""
    top = start_workflow(grandparent)
    with Worker(threads=2):
        wait_until(lambda: status("w-1") == Status.WAITING and status("w") == Status.WAITING)
        send("w-1", "done", "say")
        assert top.get_result(timeout=60) == "done"
    assert Workflow.objects.count() == 3


def test_a_cascade_reaches_the_children_of_earlier_rounds() -> None:
    """105. They are the run's, whichever round has started them."""
    with SetWorkflowID("w"):
        start_workflow(parent, 3)
    with Worker(threads=2):
        wait_until(lambda: status("w-1") == Status.WAITING and status("w") == Status.WAITING)
        cancel_workflow("w", cancel_children=True)
    assert {status("w"), status("w-1")} == {Status.CANCELLED}
