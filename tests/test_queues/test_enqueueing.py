"""Enqueueing: what is written, who runs it, and what is refused before anything is written."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext

from durable_app import (
    ConflictingWorkflowError,
    InvalidOptionError,
    NotAllowedInStepError,
    Queue,
    SerializationError,
    SetEnqueueOptions,
    SetWorkflowID,
    WorkflowFunctionNotFoundError,
    WorkflowIDInUseError,
    aenqueue,
    aenqueue_many,
    enqueue,
    enqueue_many,
    get_workflow_status,
    list_workflows,
    register_queue,
    serializable,
    set_workflow_delay,
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
async def wait_for_gate() -> str:
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
def urgent_parent() -> int:
    child = enqueue("line", say, 3)
    return len(child.workflow_id)


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


@workflow
def call_with_options(how: str) -> str:
    refused = ""
    with SetEnqueueOptions(priority=1):
        try:
            say("called") if how == "call" else start_workflow(say, "started")
        except InvalidOptionError as error:
            refused = str(error)
    say("afterwards")
    return refused


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


# Options


@pytest.mark.parametrize("priority", [0, -1, 2**31, 1.5, "1", True])
def test_priorities_outside_of_their_range_are_refused(priority: Any):
    """180. "Invalid priority"."""
    with pytest.raises(InvalidOptionError, match="Invalid priority"):
        SetEnqueueOptions(priority=priority)


@pytest.mark.parametrize("priority", [None, 1, 2**31 - 1])
def test_priorities_are_stored(priority: int | None):
    """180, 179. Without one it is zero, which comes first."""
    with SetEnqueueOptions(priority=priority):
        enqueue("line", say, 1)
    assert Workflow.objects.get().priority == (priority or 0)


def test_options_are_not_inherited_by_children(worker: Worker):
    """180, 40. Neither priority nor anything else."""
    register_queue("line")
    with SetEnqueueOptions(priority=7, deduplication_id="one", queue_partition_key="p"):
        handle = enqueue("line", urgent_parent)
    handle.get_result(timeout=60)
    child = Workflow.objects.get(parent_workflow_id=handle.workflow_id)
    assert (child.priority, child.deduplication_id, child.partition_key) == (0, None, None)


def test_the_version_is_the_enqueuers_unless_another_is_wanted(settings):
    """189. Without APP_VERSION none is stamped."""
    enqueue("line", say, 1)
    settings.DURABLE = {"APP_VERSION": "v1"}
    enqueue("line", say, 2)
    with SetEnqueueOptions(app_version="v2"):
        enqueue("line", say, 3)
        start_workflow(say, 4)  # the version alone is an option of every run
    versions = Workflow.objects.order_by("pk").values_list("app_version", flat=True)
    assert list(versions) == [None, "v1", "v2", "v2"]


@pytest.mark.parametrize(
    "options",
    [
        {"deduplication_id": ""},
        {"deduplication_id": "x" * 256},
        {"deduplication_id": 7},
        {"deduplication_id": "nul\x00"},
        {"queue_partition_key": ""},
        {"queue_partition_key": "x" * 256},
        {"app_version": ""},
        {"delay_seconds": -1},
        {"delay_seconds": float("nan")},
        {"delay_seconds": "soon"},
        {"duplication_policy": "return-existing"},
        {"duplication_policy": "ignore", "deduplication_id": "x"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]):
    """180, 213, F37. At once, not when a run is enqueued; a key of 5 KB is no riddle of the database."""
    with pytest.raises(InvalidOptionError):
        SetEnqueueOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 1},
        {"deduplication_id": "x"},
        {"queue_partition_key": "x"},
        {"delay_seconds": 1},
        {"deduplication_id": "x", "duplication_policy": "return-existing"},
    ],
)
def test_options_around_a_run_that_is_not_enqueued_are_refused(options: dict[str, Any]):
    """191. Before a row is written, for calls and for starts."""
    with SetEnqueueOptions(**options):
        with pytest.raises(InvalidOptionError, match="not being enqueued"):
            start_workflow(say, 1)
        with pytest.raises(InvalidOptionError, match="not being enqueued"):
            say(1)
    assert not Workflow.objects.exists()


@pytest.mark.parametrize("how", ["call", "start"])
def test_a_refused_child_has_used_its_step_id(how: str, worker: Worker):
    """191, 293. What comes after it has the same position on every replay."""
    handle = start_workflow(call_with_options, how)
    assert "not being enqueued" in handle.get_result(timeout=60)
    (first, *_) = step_names(handle.workflow_id)
    assert first == ({"call": 3, "start": 2}[how], "say")
    execute_again(handle.workflow_id)
    assert "not being enqueued" in handle.get_result(timeout=60)


def test_the_options_of_a_declared_queue_are_checked_at_the_call():
    """185. A partitioned queue wants a key; priorities can be switched off."""
    Queue("parts", partition_concurrency=1)
    Queue("keyed", partition_queue=True)
    Queue("plain", priority_enabled=False)
    for name in ("parts", "keyed"):
        with pytest.raises(InvalidOptionError, match="queue_partition_key"):
            enqueue(name, say, 1)
    with SetEnqueueOptions(priority=1), pytest.raises(InvalidOptionError, match="priority_enabled"):
        enqueue("plain", say, 1)
    assert not Workflow.objects.exists()
    with SetEnqueueOptions(queue_partition_key="a", priority=1):
        enqueue("parts", say, 1)
        enqueue("keyed", say, 1)
    assert Workflow.objects.count() == 2


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
    handles = [enqueue("line", wait_for_gate) for _ in range(5)]
    for handle in handles:
        wait_for_status(handle.workflow_id, Status.PENDING)
    gc.collect()
    gate.set()
    assert [handle.get_result(timeout=60) for handle in handles] == ["open"] * 5


# Many at once


def test_thousands_are_a_few_statements():
    """176. 4,500 runs: three statements on PostgreSQL, one transaction everywhere."""
    with CaptureQueriesContext(connection) as context:
        handles = enqueue_many("line", say, [(number,) for number in range(4500)])
    assert len(context) <= 6
    assert len({handle.workflow_id for handle in handles}) == 4500
    ids = Workflow.objects.order_by("pk").values_list("workflow_id", flat=True)
    assert list(ids) == [handle.workflow_id for handle in handles]


def test_a_call_is_a_tuple_a_dict_or_one_value(worker: Worker):
    """176. Arguments, keyword arguments, or a single argument that is neither."""
    register_queue("line")
    handles = enqueue_many("line", say, [("tuple",), {"value": "dict"}, "value", [1, 2]])
    assert [handle.get_result(timeout=60) for handle in handles] == ["tuple", "dict", "value", [1, 2]]
    assert enqueue_many("line", say, []) == []


def test_options_hold_for_all_of_many():
    """176, 190. Priority, partition and delay; an id or a deduplication id cannot be that of many."""
    with SetEnqueueOptions(priority=3, queue_partition_key="p", delay_seconds=60):
        enqueue_many("line", say, [1, 2])
    rows = Workflow.objects.values_list("priority", "partition_key", "status")
    assert list(rows) == [(3, "p", Status.DELAYED)] * 2
    with SetEnqueueOptions(deduplication_id="x"), pytest.raises(InvalidOptionError, match="one by one"):
        enqueue_many("line", say, [1, 2])
    with SetWorkflowID("x"), pytest.raises(InvalidOptionError, match="one by one"):
        enqueue_many("line", say, [1, 2])
    assert Workflow.objects.count() == 2


# Delays


def test_a_delayed_run_starts_when_it_is_due_and_not_before(worker: Worker):
    """190. DELAYED until then, and among the queued runs all the time."""
    register_queue("line")
    with SetEnqueueOptions(delay_seconds=timedelta(seconds=0.4)):
        handle = enqueue("line", say, "late")
    row = Workflow.objects.get(workflow_id=handle.workflow_id)
    assert row.status == Status.DELAYED
    assert [one.workflow_id for one in list_workflows(queues_only=True)] == [handle.workflow_id]
    assert handle.get_result(timeout=60) == "late"
    found = get_workflow_status(handle.workflow_id)
    row.refresh_from_db()
    assert found is not None
    assert row.started_at is not None
    assert row.run_after is not None
    assert row.started_at >= row.run_after


def test_the_delay_of_a_waiting_run_can_be_set_anew(worker: Worker):
    """190. To now, from an hour; to an hour, from now on."""
    register_queue("line")
    with SetEnqueueOptions(delay_seconds=3600):
        handle = enqueue("line", say, "early")
    set_workflow_delay(handle.workflow_id, delay_seconds=0)
    assert handle.get_result(timeout=60) == "early"
