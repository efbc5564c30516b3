"""Parallel branches on the event loop, and what parking means to concurrent waits of a coroutine run."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    SetWorkflowID,
    agather,
    arecv,
    asleep,
    fork_workflow,
    list_workflow_steps,
    send,
    start_workflow,
    step,
    workflow,
)
from durable_app.worker.worker import Worker
from tests.helpers import status, step_names, wait_for_status, wait_until

calls: list[str] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    yield


@pytest.fixture
def parks_at_once(settings: Any) -> None:
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(0)}


@step
async def note(what: str) -> str:
    calls.append(what)
    return what


@step
async def note_slowly(what: str) -> str:
    calls.append(f"{what} begins")
    for _ in range(20):
        await asyncio.sleep(0.01)
    calls.append(f"{what} ends")
    return what


@step
def note_in_a_thread(what: str) -> str:
    calls.append(what)
    return what


@step
async def fail(what: str) -> None:
    raise ValueError(what)


async def chain(name: str, length: int) -> list[str]:
    return [await note(f"{name}{number}") for number in range(1, length + 1)]


@workflow(name="agather.chains")
async def chains() -> list[list[str]]:
    first = await note("first")
    both = await agather(chain("a", 2), lambda: chain("b", 1))
    return [[first], *both, [await note_in_a_thread.acall("last")]]


@workflow(name="agather.fails")
async def fails() -> list[Any]:
    met = asyncio.Event()

    async def first() -> None:
        await met.wait()
        await note("late")
        await fail("first by argument")

    async def second() -> None:
        try:
            await fail("first in time")
        finally:
            met.set()

    return await agather(first, second(), lambda: note("third"))


@workflow(name="agather.one_waits")
async def one_waits() -> list[Any]:
    async def waits() -> list[Any]:
        return [await note("before"), await arecv("go", 3600), await note("after")]

    return await agather(waits, chain("b", 3))


@workflow(name="agather.slow_beside_a_wait")
async def slow_beside_a_wait() -> list[Any]:
    async def waits() -> Any:
        return await arecv("go", 3600)

    return await agather(waits, lambda: note_slowly("slow"))


@workflow(name="agather.bare_steps")
async def bare_steps() -> list[Any]:
    return await agather(arecv("go", 3600), note_slowly("slow"))


@workflow(name="agather.plain_gather")
async def plain_gather() -> list[Any]:
    return list(await asyncio.gather(arecv("go", 3600), note_slowly("slow")))


@workflow(name="agather.first_of_two_waits")
async def first_of_two_waits() -> list[Any]:
    sleeping = asyncio.ensure_future(asleep(3600))
    receiving = asyncio.ensure_future(arecv("go", 3600))
    done, left = await asyncio.wait({sleeping, receiving}, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    return [task.result() for task in done]


@workflow(name="agather.swallows")
async def swallows() -> list[Any]:
    async def stubborn() -> Any:
        try:
            return await arecv("go", 3600)
        except BaseException:  # noqa: BLE001  (what bare `except:` in user code does)
            return "swallowed"

    return await agather(stubborn, lambda: note("b"))


@workflow(name="agather.nested")
async def nested() -> list[Any]:
    async def inner() -> list[Any]:
        return await agather(lambda: note("x"), lambda: agather(lambda: note("y"), lambda: arecv("go", 3600)))

    return await agather(lambda: note("w"), inner)


@pytest.mark.django_db(transaction=True)
def test_values_come_in_argument_order_and_positions_name_the_branch(worker: Worker) -> None:
    """63. Awaitables and callables alike are branches, numbered by argument order."""
    with SetWorkflowID("g"):
        handle = start_workflow(chains)
    assert handle.get_result(timeout=60) == [["first"], ["a1", "a2"], ["b1"], ["last"]]
    assert [(s.step_id, s.output) for s in list_workflow_steps("g")] == [
        (1, "first"),
        ("2.1.1", "a1"),
        ("2.1.2", "a2"),
        ("2.2.1", "b1"),
        (3, "last"),
    ]
    before = list(calls)
    assert fork_workflow("g", 99).get_result(timeout=60) == handle.get_result()
    assert calls == before


@pytest.mark.django_db
def test_agather_works_when_called_directly() -> None:
    """1, 63. An async workflow awaited by its caller has branches too, in a test's transaction."""

    async def main() -> list[list[str]]:
        return await chains()

    assert async_to_sync(main)() == [["first"], ["a1", "a2"], ["b1"], ["last"]]


@pytest.mark.django_db(transaction=True)
def test_the_first_error_by_argument_order_is_raised_after_all_branches_ended(worker: Worker) -> None:
    """63. The error raised does not depend on which branch failed first, and no branch is cut off."""
    with SetWorkflowID("g"):
        handle = start_workflow(fails)
    with pytest.raises(ValueError, match="first by argument"):
        handle.get_result(timeout=60)
    assert sorted(calls) == ["late", "third"]
    assert len(list_workflow_steps("g")) == 4


@pytest.mark.django_db(transaction=True)
def test_a_waiting_branch_parks_the_run_and_loses_nothing(parks_at_once: None, worker: Worker) -> None:
    """63, 148. The other branch's steps are recorded; the message wakes the run; nothing repeats."""
    handle = start_workflow(one_waits)
    wait_for_status(handle.workflow_id, "WAITING")
    wait_until(lambda: worker.busy == 0)
    send(handle.workflow_id, "now", "go")
    assert handle.get_result(timeout=60) == [["before", "now", "after"], ["b1", "b2", "b3"]]
    assert sorted(calls) == ["after", "b1", "b2", "b3", "before"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", [slow_beside_a_wait, bare_steps, plain_gather])
def test_a_step_beside_a_parking_wait_runs_once(parks_at_once: None, worker: Worker, run: Any) -> None:
    """43, 63. A run does not park away a step that executes beside the wait: it is not repeated."""
    handle = start_workflow(run)
    wait_until(lambda: status(handle.workflow_id) == "WAITING" or "slow ends" in calls)
    send(handle.workflow_id, "now", "go")
    assert handle.get_result(timeout=60) == ["now", "slow"]
    assert calls == ["slow begins", "slow ends"]


@pytest.mark.django_db(transaction=True)
def test_of_two_waits_the_first_to_end_wakes_the_run(parks_at_once: None, worker: Worker) -> None:
    """151. A run that waits for a message beside a sleep goes on with the message, parked or not."""
    handle = start_workflow(first_of_two_waits)
    wait_until(lambda: status(handle.workflow_id) == "WAITING" or len(step_names(handle.workflow_id)) == 2)
    send(handle.workflow_id, "now", "go")
    assert handle.get_result(timeout=30) == ["now"]


@pytest.mark.django_db(transaction=True)
def test_a_branch_that_swallows_its_suspension_still_waits(parks_at_once: None, worker: Worker) -> None:
    """100, 294. Whatever a branch catches, a wait that was not over delivers nothing."""
    handle = start_workflow(swallows)
    wait_for_status(handle.workflow_id, "WAITING", "SUCCESS")
    send(handle.workflow_id, "news", "go")
    assert handle.get_result(timeout=60) == ["news", "b"]


@pytest.mark.django_db(transaction=True)
def test_gathers_nest(parks_at_once: None, worker: Worker) -> None:
    """63. Each level has its own positions; a wait three levels down parks and wakes the run."""
    with SetWorkflowID("g"):
        handle = start_workflow(nested)
    wait_for_status("g", "WAITING")
    send("g", "late", "go")
    assert handle.get_result(timeout=60) == ["w", ["x", ["y", "late"]]]
    assert sorted(calls) == ["w", "x", "y"]
    noted = [s.step_id for s in list_workflow_steps("g") if s.name == "note"]
    assert noted == ["1.1.1", "1.2.1.1.1", "1.2.1.2.1.1.1"]


@workflow(name="agather.chain_beside_a_wait")
async def chain_beside_a_wait() -> list[Any]:
    async def two() -> list[str]:
        return [await note_slowly("a"), await note_slowly("b")]

    return list(await asyncio.gather(arecv("go", 3600), two()))


@pytest.mark.django_db(transaction=True)
def test_a_wait_does_not_hold_up_what_runs_beside_it(parks_at_once: None, worker: Worker) -> None:
    """63. Steps in another task go on, each once, while one task waits for a message."""
    handle = start_workflow(chain_beside_a_wait)
    wait_until(lambda: "b ends" in calls, what="the other task to end", timeout=20)
    send(handle.workflow_id, "now", "go")
    assert handle.get_result(timeout=60) == ["now", ["a", "b"]]
    assert calls == ["a begins", "a ends", "b begins", "b ends"]
