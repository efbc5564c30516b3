"""Coroutines: the `_async` twins, sync functions on a loop, and `asyncio_wait`."""

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app.dbos import DBOS, SendMessage, SetWorkflowID, WorkflowHandle, WorkflowHandleAsync, error
from tests.helpers import execute_again
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_twin_works(dbos):
    """287. A program without a single blocking call."""

    @DBOS.workflow()
    async def child(number):
        await DBOS.set_event_async("number", number)
        await DBOS.write_stream_async("numbers", number)
        await DBOS.close_stream_async("numbers")
        return number + await DBOS.recv_async(timeout_seconds=30)

    async def main() -> list[Any]:
        await DBOS.register_queue_async("q")
        with SetWorkflowID("c"):
            handle = await DBOS.start_workflow_async(child, 1)
        assert isinstance(handle, WorkflowHandleAsync)
        enqueued = await DBOS.enqueue_workflow_async("q", child, 2)
        await DBOS.send_async("c", 10)
        await DBOS.send_bulk_async([SendMessage(enqueued.workflow_id, 20)])
        found: list[Any] = [await handle.get_result(), await enqueued.get_result()]
        found.append(await DBOS.get_event_async("c", "number"))
        found.append(await DBOS.get_all_events_async("c"))
        found.append([value async for value in DBOS.read_stream_async("c", "numbers")])
        found.append(await DBOS.read_stream_offset_async("c", "numbers", 0))
        found.append((await handle.get_status()).status)
        found.append(len(await DBOS.list_workflows_async()))
        found.append(len(await DBOS.list_workflow_steps_async("c")))
        fork = await DBOS.fork_workflow_async("c", 9)
        found.append(await fork.get_result())
        again = await DBOS.retrieve_workflow_async("c")
        found.append(await (await DBOS.wait_first_async([again])).get_result())
        found.append(await DBOS.get_result_async("c"))
        await DBOS.delete_workflows_async([fork.workflow_id], delete_children=True)
        found.append(await DBOS.get_workflow_status_async(fork.workflow_id))
        found.append([queue.name for queue in await DBOS.list_queues_async()])
        return found

    assert async_to_sync(main)() == [
        11, 22, 1, {"number": 1}, [1], 1, "SUCCESS", 2, 5, 11, 11, 11, None, ["q"],
    ]  # fmt: skip


def test_sync_functions_on_a_loop(dbos):
    """A coroutine may call sync steps, transactions and workflows, as the seed's may; the loop waits."""

    @DBOS.step()
    def step(value):
        return value, threading.current_thread().name

    @DBOS.transaction()
    def transaction(number):
        Order.objects.create(number=number)
        return Order.objects.count()

    @DBOS.workflow()
    def child(value):
        return DBOS.run_step({"name": "inner"}, lambda: value)

    @DBOS.workflow()
    async def later(value):
        return value

    @DBOS.workflow()
    async def whole():
        value, _ = step(1)
        count = transaction(DBOS.workflow_id)
        handle = await DBOS.start_workflow_async(later, 4)
        return [value, count, child(3), await handle.get_result()]

    handle = DBOS.start_workflow(whole)
    assert handle.get_result() == [1, 1, 3, 4]
    execute_again(handle.workflow_id)
    assert handle.get_result() == [1, 1, 3, 4]
    assert Order.objects.count() == 1
    with SetWorkflowID("direct"):
        assert async_to_sync(whole)() == [1, 2, 3, 4]

    async def main() -> Any:
        return child(5), DBOS.start_workflow(child, 6)

    called, started = async_to_sync(main)()
    assert called == 5
    assert isinstance(started, WorkflowHandle) and started.get_result() == 6


def test_an_error_of_a_sync_function_arrives_on_the_loop(dbos):
    """44. With its class, and recorded."""

    @DBOS.step()
    def fails():
        raise KeyError("gone")

    @DBOS.workflow()
    async def parent():
        with pytest.raises(KeyError, match="gone"):
            fails()
        return "went on"

    handle = DBOS.start_workflow(parent)
    assert handle.get_result() == "went on"
    (found,) = DBOS.list_workflow_steps(handle.workflow_id)
    assert isinstance(found["error"], KeyError)


BLOCKING = {
    "sleep": lambda: DBOS.sleep(1),
    "send": lambda: DBOS.send("w", 1),
    "recv": lambda: DBOS.recv(),
    "set_event": lambda: DBOS.set_event("a", 1),
    "get_event": lambda: DBOS.get_event("w", "a"),
    "get_result": lambda: DBOS.get_result("w"),
    "list_workflows": lambda: DBOS.list_workflows(),
    "cancel_workflow": lambda: DBOS.cancel_workflow("w"),
    "register_queue": lambda: DBOS.register_queue("q"),
    "update_workflow_attributes": lambda: DBOS.update_workflow_attributes("w", {}),
    "create_schedule": lambda: DBOS.create_schedule(schedule_name="s", workflow_fn=len, schedule="* * * * *"),
    "read_stream": lambda: DBOS.read_stream("w", "k"),
    "patch": lambda: DBOS.patch("p"),
    "write_stream": lambda: DBOS.write_stream("k", 1),
}


@pytest.mark.parametrize("verb", BLOCKING)
def test_blocking_verbs_name_their_twin(dbos, verb):
    """65. A RuntimeError, in a workflow and outside."""

    async def main() -> None:
        BLOCKING[verb]()

    with pytest.raises(RuntimeError, match=rf"await DBOS\.{verb}_async\(\)"):
        async_to_sync(main)()
    with pytest.raises(error.DBOSException):
        async_to_sync(main)()


def test_blocking_handles_name_their_twin(dbos):
    """65."""

    @DBOS.workflow()
    def one():
        return 1

    handle = DBOS.start_workflow(one)

    async def main(call: Any) -> None:
        call()

    for call in (handle.get_result, handle.get_status):
        with pytest.raises(RuntimeError, match=r"WorkflowHandleAsync\.get_"):
            async_to_sync(main)(call)
    assert handle.get_result() == 1


def test_run_step_knows_its_colour(dbos):
    """55. The sync one refuses a loop, the async one needs one."""

    async def main() -> Any:
        with pytest.raises(RuntimeError):
            DBOS.run_step(None, lambda: 1)
        return await DBOS.run_step_async(None, lambda: 2)

    assert async_to_sync(main)() == 2
    with pytest.raises(RuntimeError):
        DBOS.run_step_async(None, lambda: 1)
    assert DBOS.run_step(None, lambda: 3) == 3


def test_reserved_steps_run_later(dbos):
    """64. `run_async` is the twin of `run`."""

    @DBOS.workflow()
    async def workflow():
        reserved = DBOS.reserve_step()
        second = await DBOS.run_step_async({"name": "second"}, lambda: 2)
        return second, await reserved.run_async({"name": "first"}, lambda: 1)

    handle = DBOS.start_workflow(workflow)
    assert tuple(handle.get_result()) == (2, 1)
    steps = DBOS.list_workflow_steps(handle.workflow_id)
    assert [one["function_name"] for one in steps] == ["first", "second"]


def test_asyncio_wait(dbos):
    """289. Which were done is recorded by index, and a replay finds the same."""
    quick = ["b"]

    @DBOS.step()
    async def wait_for(name):
        if name not in quick:
            await asyncio.sleep(0.2)
        return name

    @DBOS.workflow()
    async def workflow():
        calls = [wait_for("a"), wait_for("b")]
        done, pending = await DBOS.asyncio_wait(calls, return_when=asyncio.FIRST_COMPLETED)
        first = sorted(task.result() for task in done)
        rest = sorted([await task for task in pending])
        return first, rest

    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(workflow)
    assert [list(one) for one in handle.get_result()] == [["b"], ["a"]]
    names = [one["function_name"] for one in DBOS.list_workflow_steps("w")]
    assert names == [wait_for.__qualname__, wait_for.__qualname__, "DBOS.asyncio_wait"]
    execute_again("w")
    assert [list(one) for one in handle.get_result()] == [["b"], ["a"]]


def test_asyncio_wait_outside_a_workflow():
    """289. It is asyncio's own."""

    async def main() -> Any:
        async def value(number):
            return number

        done, pending = await DBOS.asyncio_wait([value(1), value(2)], timeout=30)
        return sorted(task.result() for task in done), len(pending)

    assert asyncio.run(main()) == ([1, 2], 0)


def test_many_waiting_coroutines_need_no_threads(dbos):
    """160, 287. A hundred of them wait for messages at once."""

    @DBOS.workflow()
    async def waits():
        return await DBOS.recv_async(timeout_seconds=60)

    handles = [DBOS.start_workflow(waits) for _ in range(100)]
    before = threading.active_count()
    DBOS.send_bulk([SendMessage(handle.workflow_id, number) for number, handle in enumerate(handles)])
    assert [handle.get_result() for handle in handles] == list(range(100))
    assert threading.active_count() < before + 30
