"""Enqueueing: what is written, who runs it, and what is refused before anything is written."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    ConflictingWorkflowError,
    InvalidOptionError,
    NotAllowedInStepError,
    Queue,
    SerializationError,
    SetWorkflowID,
    WorkflowFunctionNotFoundError,
    WorkflowIDInUseError,
    aenqueue,
    aenqueue_many,
    enqueue,
    enqueue_many,
    register_queue,
    serializable,
    start_workflow,
    step,
    transaction,
    wait_first,
    workflow,
)
from durable_app.models import Status, Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, execute_again, status, step_names, wait_for_status
from tests.shop.models import Effect
from tests.shop.queues import say

pytestmark = pytest.mark.django_db(transaction=True)

gate = threading.Event()
calls: list[Any] = []
dies = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    gate.clear()
    calls.clear()
    dies.clear()
    yield
    gate.set()


@serializable
@dataclass
class Parcel:
    weight: int


@step
def weigh(parcel: Parcel) -> Parcel:
    calls.append(parcel)
    return Parcel(parcel.weight + 1)


@transaction
def book(what: str) -> str:
    Effect.objects.create(workflow_id="", step=what)
    return what


@workflow
def weigh_enqueued(parcel: Parcel) -> Parcel:
    return weigh(parcel)


@workflow
async def waits_at_the_gate() -> str:
    while not gate.is_set():
        await asyncio.sleep(0.01)
    return "open"


@workflow
def call_two() -> list[Any]:
    first = enqueue("line", say, 1)
    second = enqueue("line", say, 2)
    if dies.is_set():
        dies.clear()
        raise Crash
    return [first.get_result(), second.get_result()]


@workflow
def fan_out(count: int) -> list[Any]:
    handles = enqueue_many("line", say, list(range(count)))
    if dies.is_set():
        dies.clear()
        raise Crash
    return [handle.get_result() for handle in handles]


@workflow
def first_of_two() -> Any:
    handles = [enqueue("line", say, value) for value in ("a", "b")]
    first = wait_first(handles)
    return first.get_result()


@step
def enqueue_inside() -> None:
    enqueue("line", say, 1)


@workflow
def enqueue_in_step() -> None:
    enqueue_inside()


def test_an_enqueued_run_is_a_row_until_a_worker_takes_it():
    """176. ENQUEUED, never recovered, on its queue; the handle waits for the result."""
    register_queue("line")
    handle = enqueue("line", say, "hello")
    row = Workflow.objects.get(workflow_id=handle.workflow_id)
    assert (row.status, row.queue_name, row.recovery_attempts) == (Status.ENQUEUED, "line", 0)
    assert (row.worker_id, row.started_at, row.attempt) == (None, None, 0)
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == "hello"
    row.refresh_from_db()
    assert (row.status, row.queue_name, row.attempt) == (Status.SUCCESS, "line", 1)
    assert row.started_at is not None


def test_the_async_twins_enqueue_too():
    """176. One, many at once, and by the methods of a queue."""

    async def enqueue_five() -> list[str]:
        line = Queue("line")
        handles = [await aenqueue("line", say, 1), await line.aenqueue(say, 2)]
        handles += await aenqueue_many("line", say, [3, 4])
        handles += await line.aenqueue_many(say, [5])
        return [handle.workflow_id for handle in handles]

    ids = async_to_sync(enqueue_five)()
    rows = Workflow.objects.order_by("pk").values_list("workflow_id", "status", "queue_name")
    assert list(rows) == [(one, Status.ENQUEUED, "line") for one in ids]


def test_a_run_on_a_queue_that_does_not_exist_waits_until_it_does(worker: Worker):
    """192. Nothing takes it, nothing is lost; once the queue is registered it runs."""
    lost = enqueue("nowhere", say, "at last")
    for _ in range(3):  # the worker is at work meanwhile
        start_workflow(say, "other").get_result(timeout=60)
    assert status(lost.workflow_id) == Status.ENQUEUED
    register_queue("nowhere")
    assert lost.get_result(timeout=60) == "at last"


def test_an_existing_id_is_not_enqueued_again():
    """193, 8. The run that has the id is returned; its inputs and its queue stay."""
    with SetWorkflowID("once"):
        first = enqueue("line", say, 1)
    with SetWorkflowID("once"):
        second = enqueue("other", say, 2)
    assert second.workflow_id == first.workflow_id == "once"
    row = Workflow.objects.get()
    assert row.queue_name == "line"
    assert '"args":[1]' in row.inputs.replace(" ", "")


def test_an_existing_id_of_something_else_is_refused():
    """193, 7, 20. Another function, or any run at all if reuse is rejected."""
    with SetWorkflowID("once"):
        enqueue("line", say, 1)
    with SetWorkflowID("once"), pytest.raises(ConflictingWorkflowError):
        enqueue("line", call_two)
    with SetWorkflowID("once", workflow_id_reuse_policy="reject"), pytest.raises(WorkflowIDInUseError):
        enqueue("line", say, 1)
    assert Workflow.objects.count() == 1


def test_steps_and_transactions_can_be_enqueued(worker: Worker):
    """194, 48. Each is the one step of a run of its own."""
    register_queue("line")
    weighed = enqueue("line", weigh, Parcel(1))
    booked = enqueue("line", book, "paid")
    assert weighed.get_result(timeout=60) == Parcel(2)
    assert booked.get_result(timeout=60) == "paid"
    assert Effect.objects.filter(step="paid").count() == 1
    assert step_names(weighed.workflow_id) == [(1, "weigh")]


def test_registered_types_pass_through_a_queue(worker: Worker):
    """195. Inputs and outputs keep their types."""
    register_queue("line")
    assert enqueue("line", weigh_enqueued, Parcel(4)).get_result(timeout=60) == Parcel(5)


@pytest.mark.parametrize("func", [print, "say", None, lambda: 1])
def test_what_is_no_workflow_is_not_enqueued(func):
    """28. Nothing is written."""
    with pytest.raises(WorkflowFunctionNotFoundError):
        enqueue("line", func)
    assert not Workflow.objects.exists()


@pytest.mark.parametrize("name", ["", "  ", None, 7, "x" * 256, "nul\x00", "\ud800", "_dbos_x", "_durable_x"])
def test_a_senseless_queue_name_is_refused(name: Any):
    """206. Before anything is written, by every verb that takes one."""
    for verb in (lambda: enqueue(name, say, 1), lambda: enqueue_many(name, say, [1]), lambda: Queue(name)):
        with pytest.raises(InvalidOptionError, match="queue"):
            verb()
    with pytest.raises(InvalidOptionError):
        register_queue(name)
    assert not Workflow.objects.exists()


def test_values_that_cannot_be_stored_are_refused_at_the_call():
    """16. One of many is enough to write none."""
    with pytest.raises(SerializationError):
        enqueue_many("line", say, [1, 2, object()])
    assert not Workflow.objects.exists()


# Inside workflows


def test_children_of_a_dead_parent_run_once_and_it_finds_them_again(worker: Worker):
    """198, 37. The parent dies after enqueueing: its next execution waits for the same two."""
    register_queue("line")
    dies.set()
    with SetWorkflowID("parent"):
        crash(call_two)
    with SetWorkflowID("parent"):
        assert call_two() == [1, 2]
    children = Workflow.objects.filter(parent_workflow_id="parent").values_list("workflow_id", "attempt")
    assert list(children.order_by("pk")) == [("parent-1", 1), ("parent-2", 1)]


def test_many_children_are_one_step_and_are_not_made_twice(worker: Worker):
    """198. enqueue_many in a workflow, replayed after a crash."""
    register_queue("line")
    dies.set()
    with SetWorkflowID("parent"):
        crash(fan_out, 30)
    with SetWorkflowID("parent"):
        assert fan_out(30) == list(range(30))
    assert Workflow.objects.filter(parent_workflow_id="parent").count() == 30
    assert Step.objects.filter(name="durable.enqueueMany").count() == 1


@pytest.mark.parametrize("count", [1, 3])
def test_many_texts_travel_as_they_are(count: int, worker: Worker):
    """176. Control characters in ids, quotes, backslashes, separators and empty texts in arguments."""
    register_queue("line")
    values = ["", '"{,}\\\x1f\x1e', "NULL"][:count]
    assert [handle.get_result(timeout=60) for handle in enqueue_many("line", say, values)] == values
    with SetWorkflowID("odd\x1fid,{}\\"):
        assert fan_out(count) == list(range(count))
    children = Workflow.objects.filter(parent_workflow_id="odd\x1fid,{}\\").values_list(
        "workflow_id", flat=True
    )
    assert set(children) == {f"odd\x1fid,{{}}\\-1-{number}" for number in range(1, count + 1)}


def test_the_first_of_two_enqueued_runs_is_the_same_on_replay(worker: Worker):
    """201. Steps: two starts, waitFirst, getResult."""
    register_queue("line")
    handle = start_workflow(first_of_two)
    first = handle.get_result(timeout=60)
    names = [name for _, name in step_names(handle.workflow_id)]
    assert names == ["say", "say", "durable.waitFirst", "durable.getResult"]
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == first
    assert [name for _, name in step_names(handle.workflow_id)] == names


def test_a_step_cannot_enqueue(worker: Worker):
    """38. It may be repeated: what it started would be started again."""
    handle = start_workflow(enqueue_in_step)
    with pytest.raises(NotAllowedInStepError):
        handle.get_result(timeout=60)


# What stands in the way


def test_runs_that_cannot_be_executed_do_not_block_their_queue(worker: Worker):
    """199, 89. Inputs nobody can read, a class nobody has: they end, or wait aside; the next one runs."""
    broken, homeless, unknown, good = enqueue_many("line", say, [1, 2, 3, 4])
    rows = Workflow.objects.all()
    rows.filter(workflow_id=broken.workflow_id).update(inputs="{nonsense")
    rows.filter(workflow_id=homeless.workflow_id).update(class_name="Gone", config_name="gone")
    rows.filter(workflow_id=unknown.workflow_id).update(name="gone")
    register_queue("line", concurrency=1)
    assert good.get_result(timeout=60) == 4
    assert status(broken.workflow_id) == Status.ERROR
    assert status(unknown.workflow_id) == Status.ENQUEUED
    assert status(homeless.workflow_id) in (Status.ERROR, Status.WAITING)


def test_coroutine_runs_survive_the_garbage_collector(worker: Worker):
    """200. The worker itself holds on to them."""
    register_queue("line")
    handles = [enqueue("line", waits_at_the_gate) for _ in range(5)]
    for handle in handles:
        wait_for_status(handle.workflow_id, Status.PENDING)
    gc.collect()
    gate.set()
    assert [handle.get_result(timeout=60) for handle in handles] == ["open"] * 5
