"""Enqueueing joins the caller's transaction: the run exists if and only if what it is about does."""

import threading

import pytest
from django.db import connection, transaction

from durable_app import (
    Debouncer,
    QueueDeduplicatedError,
    SetEnqueueOptions,
    SetWorkflowID,
    WorkflowIDInUseError,
    enqueue,
    enqueue_many,
    register_queue,
    set_workflow_delay,
)
from durable_app.models import Queue, Status, Workflow
from durable_app.queues import Queue as Line
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, status
from tests.shop.models import Order
from tests.shop.queues import say

pytestmark = pytest.mark.django_db(transaction=True)


class Undone(Exception):
    """Rolls a block back."""


def seen_by_others() -> int:
    return in_thread(Workflow.objects.count).result(60)


@pytest.mark.parametrize("how", ["enqueue", "enqueue_many", "debounce"])
def test_a_run_is_there_with_its_callers_commit_and_not_before(how: str):
    """177, F38. Others, workers among them, see it when they see the order."""
    verbs = {
        "enqueue": lambda: enqueue("line", say, 1),
        "enqueue_many": lambda: enqueue_many("line", say, [1]),
        "debounce": lambda: Debouncer(say, queue="line").debounce("key", 60, 1),
    }
    with transaction.atomic():
        Order.objects.create(number="1")
        verbs[how]()
        if connection.vendor == "postgresql":
            assert seen_by_others() == 0
    assert seen_by_others() == 1


@pytest.mark.parametrize("how", ["enqueue", "enqueue_many", "debounce"])
def test_a_rollback_takes_the_run_with_it(how: str):
    """177, F38. Nothing is left, neither of the order nor of the run."""
    verbs = {
        "enqueue": lambda: enqueue("line", say, 1),
        "enqueue_many": lambda: enqueue_many("line", say, [1]),
        "debounce": lambda: Debouncer(say, queue="line").debounce("key", 60, 1),
    }
    with pytest.raises(Undone), transaction.atomic():
        Order.objects.create(number="1")
        verbs[how]()
        raise Undone
    assert (Workflow.objects.count(), Order.objects.count()) == (0, 0)


def test_a_savepoint_takes_back_only_what_it_holds():
    """177, F38. The run of the inner block goes, that of the outer one stays."""
    with transaction.atomic():
        outer = enqueue("line", say, "outer")
        with pytest.raises(Undone), transaction.atomic():
            enqueue("line", say, "inner")
            raise Undone
    assert list(Workflow.objects.values_list("workflow_id", flat=True)) == [outer.workflow_id]


@pytest.mark.parametrize("policy", ["deduplication", "rejected id"])
def test_a_refusal_leaves_the_callers_transaction_usable(policy: str):
    """177, F37. No savepoint of the caller's is needed: the next statement works, and all is committed."""
    with SetWorkflowID("first"), SetEnqueueOptions(deduplication_id="key"):
        enqueue("line", say, 1)
    with transaction.atomic():
        Order.objects.create(number="1")
        if policy == "deduplication":
            with SetEnqueueOptions(deduplication_id="key"), pytest.raises(QueueDeduplicatedError):
                enqueue("line", say, 2)
        else:
            with (
                SetWorkflowID("first", workflow_id_reuse_policy="reject"),
                pytest.raises(WorkflowIDInUseError),
            ):
                enqueue("line", say, 2)
        Order.objects.create(number="2")
        enqueue("line", say, 3)
    assert (Order.objects.count(), Workflow.objects.count()) == (2, 2)


def test_the_holder_is_found_in_the_callers_own_transaction():
    """214, 213. A run that the same transaction has made is the one to return."""
    with transaction.atomic(), SetEnqueueOptions(deduplication_id="k", duplication_policy="return-existing"):
        first = enqueue("line", say, 1)
        second = enqueue("line", say, 2)
    assert first.workflow_id == second.workflow_id
    assert Workflow.objects.count() == 1


@pytest.mark.postgres(reason="on SQLite the second writer waits for the first one's whole transaction")
@pytest.mark.parametrize("commits", [True, False])
def test_two_transactions_want_one_key(commits: bool):
    """210, F37. The second waits for the first one's end: then it is refused, or has the key."""
    holding, waiting = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            with SetEnqueueOptions(deduplication_id="key"):
                enqueue("line", say, "first")
            holding.set()
            assert waiting.wait(60)
            if not commits:
                transaction.set_rollback(True)

    def want() -> str:
        with SetEnqueueOptions(deduplication_id="key"):
            try:
                return enqueue("line", say, "second").workflow_id
            except QueueDeduplicatedError as refused:
                return f"refused for {refused.workflow_id}"

    first = in_thread(hold)
    assert holding.wait(60)
    second = in_thread(want)
    waiting.set()
    first.result(60)
    holder = second.result(60)
    (run,) = Workflow.objects.values_list("workflow_id", flat=True)
    assert holder == (f"refused for {run}" if commits else run)


def test_a_worker_takes_the_run_after_the_commit(worker: Worker):
    """177. The wake-up is sent with the commit."""
    register_queue("line")
    with transaction.atomic():
        handle = enqueue("line", say, "done")
        assert status(handle.workflow_id) == Status.ENQUEUED
    assert handle.get_result(timeout=60) == "done"


def test_changes_of_queues_and_delays_join_too():
    """203. A configuration, a pause, a new delay are the caller's to commit."""
    register_queue("line", concurrency=5)
    line = Line.named("line")
    with SetEnqueueOptions(delay_seconds=3600):
        handle = enqueue("line", say, 1)
    due = Workflow.objects.get().run_after
    with pytest.raises(Undone), transaction.atomic():
        line.configure(concurrency=1)
        line.pause()
        set_workflow_delay(handle.workflow_id, delay_seconds=0)
        register_queue("other")
        raise Undone
    row = Queue.objects.get()
    assert (row.concurrency, row.paused_at) == (5, None)
    assert Workflow.objects.get().run_after == due
