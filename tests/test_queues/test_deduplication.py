"""Deduplication: one active run of a queue has the id; singletons join it."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from durable_app import (
    Queue,
    QueueDeduplicatedError,
    SetEnqueueOptions,
    SetWorkflowID,
    WorkflowHandle,
    cancel_workflow,
    enqueue,
    register_queue,
    resume_workflow,
    start_workflow,
    workflow,
)
from durable_app.models import Status, Workflow
from durable_app.store import workers
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, execute_again, in_thread, status, step_names, wait_for_status
from tests.test_queues.rows import finish

pytestmark = pytest.mark.django_db(transaction=True)

gate = threading.Event()
dies = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    gate.clear()
    dies.clear()
    yield
    gate.set()


@workflow
def wait_at_gate(name: str) -> str:
    assert gate.wait(60)
    return name


@workflow
def enqueue_unique(policy: Any) -> str:
    with SetEnqueueOptions(deduplication_id="key", duplication_policy=policy):
        try:
            found = enqueue("line", wait_at_gate, "child").workflow_id
        except QueueDeduplicatedError as refused:
            found = f"refused: {refused.workflow_id} {refused.queue_name} {refused.deduplication_id}"
    if dies.is_set():
        dies.clear()
        raise Crash
    return found


def put(name: str = "run", queue: str = "line", key: str = "key", **options: Any) -> WorkflowHandle[Any]:
    with SetEnqueueOptions(deduplication_id=key, **options):
        return enqueue(queue, wait_at_gate, name)


def test_a_second_enqueue_is_refused_while_the_first_is_active(worker: Worker):
    """210. The error names the holder, the queue and the id; nothing is written."""
    first = put()
    for expected in (Status.ENQUEUED, Status.PENDING):
        wait_for_status(first.workflow_id, expected)
        with pytest.raises(QueueDeduplicatedError) as caught:
            put()
        assert caught.value.workflow_id == first.workflow_id
        assert (caught.value.queue_name, caught.value.deduplication_id) == ("line", "key")
        register_queue("line")  # now it may start
    gate.set()
    assert Workflow.objects.count() == 1


@pytest.mark.parametrize("end", ["success", "cancel", "dead letter"])
def test_the_end_of_a_run_frees_its_id(end: str):
    """210. Whatever the end is."""
    register_queue("line")
    first = put()
    if end == "cancel":
        cancel_workflow(first.workflow_id)
    elif end == "success":
        gate.set()
        with Worker(threads=1):
            first.get_result(timeout=60)
    else:
        rows = Workflow.objects.filter(workflow_id=first.workflow_id)
        rows.update(status=Status.PENDING, recovery_attempts=5, max_recovery_attempts=3)
        workers.recover(by_lease=True)
        assert status(first.workflow_id) == Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED
    assert put().workflow_id != first.workflow_id


def test_a_resumed_run_has_given_its_id_up():
    """210, 107. The next one may have it."""
    first = put()
    resume_workflow(first.workflow_id)
    assert put().workflow_id != first.workflow_id


def test_a_delayed_or_parked_run_holds_its_id():
    """190, 210. It is active, though it does not run."""
    first = put(delay_seconds=3600)
    with pytest.raises(QueueDeduplicatedError):
        put()
    Workflow.objects.filter(workflow_id=first.workflow_id).update(status=Status.WAITING)
    with pytest.raises(QueueDeduplicatedError):
        put()


def test_the_id_is_the_queues():
    """210. Another queue, and another id, know nothing of it."""
    runs = {put().workflow_id, put(queue="other").workflow_id, put(key="KEY").workflow_id}
    assert len(runs) == 3


def test_partitions_share_the_ids_of_their_queue():
    """187. Allowed, unlike the seed: one holder a queue, whatever its partition."""
    Queue("parts", partition_concurrency=1)
    first = put(queue="parts", queue_partition_key="a")
    with pytest.raises(QueueDeduplicatedError) as caught:
        put(queue="parts", queue_partition_key="b")
    assert caught.value.workflow_id == first.workflow_id


def test_the_same_run_again_is_no_collision():
    """212. Its id says that it is the same."""
    with SetWorkflowID("once"):
        put()
    with SetWorkflowID("once"):
        assert put("other inputs").workflow_id == "once"
    assert Workflow.objects.count() == 1


def test_a_singleton_returns_the_holder(worker: Worker):
    """213. Whoever comes while it is active gets its handle; the arguments are discarded."""
    register_queue("line")
    first = put("first", duplication_policy="return-existing")
    second = put("second", duplication_policy="return-existing")
    assert second.workflow_id == first.workflow_id
    gate.set()
    assert second.get_result(timeout=60) == "first"
    third = put("third", duplication_policy="return-existing")
    assert third.get_result(timeout=60) == "third"


def test_the_policy_reject_is_the_default():
    """213."""
    put()
    with pytest.raises(QueueDeduplicatedError):
        put(duplication_policy="reject")


# Inside a workflow


def test_the_refusal_of_a_child_is_recorded_and_replayed(worker: Worker):
    """211. The key is free when the parent runs again: it still sees the error."""
    holder = put("holder")
    dies.set()
    with SetWorkflowID("parent"):
        crash(enqueue_unique, "reject")
    cancel_workflow(holder.workflow_id)
    with SetWorkflowID("parent"):
        found = enqueue_unique("reject")
    assert found == f"refused: {holder.workflow_id} line key"
    assert step_names("parent") == [(1, "wait_at_gate")]
    assert Workflow.objects.count() == 2


def test_the_joined_run_is_recorded_as_the_child(worker: Worker):
    """213. On replay the parent finds the same run, though that has ended and the key is free."""
    register_queue("line")
    holder = put("holder")
    parent = start_workflow(enqueue_unique, "return-existing")
    assert parent.get_result(timeout=60) == holder.workflow_id
    gate.set()
    holder.get_result(timeout=60)
    execute_again(parent.workflow_id)
    assert parent.get_result(timeout=60) == holder.workflow_id
    assert Workflow.objects.filter(name=wait_at_gate.name).count() == 1


# Races


@pytest.mark.parametrize("policy", ["reject", "return-existing"])
def test_of_many_at_the_same_moment_one_gets_the_id(policy: str):
    """210, 213, F37. Twelve threads: one run; the others are refused, or all get its handle."""
    line_up = threading.Barrier(12)

    def want(number: int) -> str:
        line_up.wait()
        try:
            return put(f"run {number}", duplication_policy=policy).workflow_id
        except QueueDeduplicatedError as refused:
            return f"refused for {refused.workflow_id}"

    wanted = [in_thread(want, number) for number in range(12)]
    answers = Counter(one.result(60) for one in wanted)
    (run,) = Workflow.objects.values_list("workflow_id", flat=True)
    expected = {run: 1, f"refused for {run}": 11} if policy == "reject" else {run: 12}
    assert answers == expected


@pytest.mark.parametrize("policy", ["reject", "return-existing"])
def test_holders_end_while_others_come(policy: str):
    """210, 213. Every call gets, or is refused for, a run that was active in the meantime: never for none."""
    over = threading.Event()

    def end_them() -> int:
        ended = 0
        while not over.is_set():
            for run in Workflow.objects.filter(status=Status.ENQUEUED):
                Workflow.objects.filter(pk=run.pk).update(status=Status.PENDING)
                Workflow.objects.filter(pk=run.pk).update(deduplication_id=None)
                finish(run.pk)
                ended += 1
        return ended

    def want() -> list[str]:
        return [get_or_be_refused() for _ in range(25)]

    def get_or_be_refused() -> str:
        try:
            return put(duplication_policy=policy).workflow_id
        except QueueDeduplicatedError as refused:
            return str(refused.workflow_id)

    ender = in_thread(end_them)
    try:
        callers = [in_thread(want) for _ in range(4)]
        found = {one for caller in callers for one in caller.result(60)}
    finally:
        over.set()
    assert ender.result(60) > 1
    assert found == set(Workflow.objects.values_list("workflow_id", flat=True))
