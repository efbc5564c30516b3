"""Async workflows and their steps: order, timeouts, cancellation."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from durable_app import (
    InvalidOptionError,
    MaxStepRetriesExceeded,
    SetWorkflowID,
    Status,
    StepOptions,
    StepTimeoutError,
    WorkflowCancelled,
    WorkflowHandle,
    arun_step,
    asleep,
    astart_workflow,
    cancel_workflow,
    control,
    fork_workflow,
    list_workflow_steps,
    resume_workflow,
    start_workflow,
    step,
    step_status,
    transaction,
    workflow,
    workflow_id,
)
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, status, step_names, wait_until
from tests.shop.models import Effect

executed: list[Any] = []
plan: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def clean_slate() -> None:
    executed.clear()
    plan.clear()


@step
async def atally(name: str) -> str:
    executed.append(name)
    await asyncio.sleep(0)
    return name


@step
def tally_in_thread(name: str) -> str:
    executed.append(name)
    return name


@transaction
def tally_in_table(name: str) -> int:
    Effect.objects.create(workflow_id=workflow_id() or "", step=name)
    return Effect.objects.count()


@workflow
async def mixed_colours() -> list[Any]:
    found: list[Any] = [await atally("a"), await tally_in_thread.acall("b"), await tally_in_table.acall("c")]
    await asleep(0.001)
    if plan.pop("die", False):
        raise Crash
    return [*found, await atally("d")]


@pytest.mark.django_db
def test_an_async_workflow_records_steps_of_both_colours() -> None:
    """42. 43. The same id again returns the recorded output."""
    for _ in range(2):
        with SetWorkflowID("mixed"):
            assert async_to_sync(mixed_colours)() == ["a", "b", 1, "d"]
    assert step_names("mixed") == [
        (1, "atally"),
        (2, "tally_in_thread"),
        (3, "tally_in_table"),
        (4, "durable.sleep"),
        (5, "atally"),
    ]
    assert executed == ["a", "b", "d"]


@pytest.mark.django_db(transaction=True)
def test_an_async_workflow_recovers_after_its_last_recorded_step() -> None:
    """43. On a worker's event loop, whatever called it first."""
    plan["die"] = True
    with SetWorkflowID("mixed"):
        crash(async_to_sync(mixed_colours))
    assert executed == ["a", "b"]
    with Worker(threads=1), SetWorkflowID("mixed"):
        handle: WorkflowHandle[Any] = start_workflow(mixed_colours)
        assert handle.get_result(timeout=60) == ["a", "b", 1, "d"]
    assert executed == ["a", "b", "d"]
    assert Effect.objects.count() == 1


@step
async def wait_turn(name: str, waits_for: str | None) -> str:
    executed.append(f"{name} began")
    turns: dict[str, asyncio.Event] = plan["turns"]
    if waits_for:
        await turns[waits_for].wait()
    turns[name].set()
    executed.append(f"{name} ended")
    return name


@workflow
async def take_turns() -> list[str]:
    plan["turns"] = {name: asyncio.Event() for name in "abc"}
    return list(await asyncio.gather(wait_turn("a", "b"), wait_turn("b", "c"), wait_turn("c", None)))


@pytest.mark.django_db(transaction=True)
def test_parallel_steps_are_numbered_in_the_order_they_were_started() -> None:
    """63. Though they end in another; a replay runs none of them again."""
    with SetWorkflowID("turns"):
        assert async_to_sync(take_turns)() == ["a", "b", "c"]
    assert [line for line in executed if line.endswith("ended")] == ["c ended", "b ended", "a ended"]
    assert [(one.step_id, one.output) for one in list_workflow_steps("turns")] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]
    executed.clear()
    with Worker(threads=1):
        assert fork_workflow("turns", 4).get_result(timeout=60) == ["a", "b", "c"]
        assert executed == []
        fork = fork_workflow("turns", 3)
        assert fork.get_result(timeout=60) == ["a", "b", "c"]
    assert executed == ["c began", "c ended"]


@step(timeout_seconds=0.05)
async def hang_once() -> str:
    executed.append("began")
    try:
        if len(executed) == 1 or plan.get("always"):
            await asyncio.Event().wait()
        return "returned"
    finally:
        await asyncio.sleep(0)
        executed.append("cleaned up")


@workflow
async def hanging() -> str:
    return await hang_once()


@pytest.mark.django_db
def test_a_step_that_takes_too_long_is_cancelled_and_recorded() -> None:
    """56. It cleans up; StepTimeoutError replays, and the step does not run again."""
    for _ in range(2):
        with SetWorkflowID("hangs"), pytest.raises(StepTimeoutError) as raised:
            async_to_sync(hanging)()
        assert (raised.value.step_name, raised.value.timeout_seconds) == ("hang_once", 0.05)
    assert executed == ["began", "cleaned up"]
    (found,) = list_workflow_steps("hangs")
    assert isinstance(found.error, StepTimeoutError)


@pytest.mark.django_db
def test_each_try_has_a_timeout_of_its_own() -> None:
    """56. 50. A try that times out is followed by a fresh one."""
    options = StepOptions(retries_allowed=True, interval_seconds=0, timeout_seconds=0.05)

    @workflow
    async def retried_hanging() -> str:
        return str(await arun_step(options, hang_once.func))

    assert async_to_sync(retried_hanging)() == "returned"
    assert executed == ["began", "cleaned up"] * 2

    plan["always"] = True
    with pytest.raises(MaxStepRetriesExceeded) as raised:
        async_to_sync(retried_hanging)()
    assert [type(one) for one in raised.value.errors] == [StepTimeoutError] * 3


@step(timeout_seconds=60)
async def raise_own_timeout() -> None:
    raise TimeoutError("the step's own")


@pytest.mark.django_db
def test_a_timeout_of_the_steps_own_is_an_error_like_any_other() -> None:
    """56."""

    @workflow
    async def own_timeout() -> None:
        await raise_own_timeout()

    with pytest.raises(TimeoutError, match="the step's own"):
        async_to_sync(own_timeout)()


def test_a_timeout_is_inert_outside_of_a_workflow() -> None:
    """56. 41. Awaited plainly, the step takes as long as it takes; no database is touched."""

    @step(timeout_seconds=0.001)
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "slow"

    assert asyncio.run(slow()) == "slow"


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_timeout_is_positive_and_finite(seconds: float) -> None:
    """56. Refused at decoration."""
    with pytest.raises(InvalidOptionError, match="timeout_seconds"):
        step(timeout_seconds=seconds)(atally.func)


@pytest.mark.parametrize("options", [{"timeout_seconds": 1.0}, {"preemptible": True}], ids=str)
def test_a_thread_cannot_be_ended(options: dict[str, Any]) -> None:
    """56. 58. Timeouts and preemption are for async steps: refused at decoration."""
    with pytest.raises(InvalidOptionError, match="needs an async function"):
        step(**options)(tally_in_thread.func)


@workflow
async def cancelled_while_hanging() -> str:
    await atally("before")
    await sync_to_async(control.cancel)([workflow_id() or ""])
    try:
        return await hang_once()
    except Exception as error:  # noqa: BLE001
        executed.append(error)
    return "swallowed"


@pytest.mark.django_db(transaction=True)
def test_a_cancellation_outranks_a_timeout() -> None:
    """57. 294. The timeout of a cancelled run is not recorded, and not even raised in it."""
    plan["always"] = True
    with Worker(threads=1) as worker:
        handle = start_workflow(cancelled_while_hanging)
        wait_until(lambda: "cleaned up" in executed and not worker.busy)
    assert executed == ["before", "began", "cleaned up"]
    assert handle.get_status().status == Status.CANCELLED
    assert step_names(handle.workflow_id) == [(1, "atally")]


@step(preemptible=True)
async def preemptible_hang() -> str:
    executed.append("began")
    if plan.get("resumed"):
        return "second time"
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        executed.append("preempted")
        await asyncio.sleep(0)
        executed.append("cleaned up")
        raise
    return "never"


@workflow
async def preempted() -> str:
    await atally("before")
    try:
        return await preemptible_hang()
    except WorkflowCancelled:
        executed.append(WorkflowCancelled)
        raise


@pytest.mark.django_db(transaction=True)
def test_a_preemptible_step_ends_soon_after_its_workflow_is_cancelled() -> None:
    """58. It cleans up, its outcome is not recorded, and a resumed run executes it again."""
    with Worker(threads=1) as worker:
        handle = start_workflow(preempted)
        wait_until(lambda: "began" in executed)
        cancel_workflow(handle.workflow_id)
        wait_until(lambda: WorkflowCancelled in executed and not worker.busy)
        assert executed == ["before", "began", "preempted", "cleaned up", WorkflowCancelled]
        assert step_names(handle.workflow_id) == [(1, "atally")]
        plan["resumed"] = True
        assert resume_workflow(handle.workflow_id).get_result(timeout=60) == "second time"
    assert executed.count("before") == 1
    assert executed.count("began") == 2


@step(retries_allowed=True, interval_seconds=0, should_retry=lambda error: False)
async def never_retried() -> None:
    executed.append("tried")
    raise ValueError("original")


async def agree_once(error: BaseException) -> bool:
    await asyncio.sleep(0)
    executed.append(str(error))
    return len(executed) < 4


@step(retries_allowed=True, interval_seconds=0, max_attempts=9, should_retry=agree_once)
async def retried_while_agreed() -> None:
    now = step_status()
    assert now is not None
    executed.append(now.current_attempt)
    raise ValueError(f"try {now.current_attempt}")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("func", "message", "expected"),
    [
        (never_retried, "^original$", ["tried"]),
        (retried_while_agreed, "^try 1$", [0, "try 0", 1, "try 1"]),
    ],
)
def test_a_predicate_of_either_colour_decides_about_an_async_step(
    func: Callable[[], Any], message: str, expected: list[Any]
) -> None:
    """51. 52. Its refusal raises the original error, also after some tries."""

    @workflow
    async def choosy() -> None:
        await func()

    with pytest.raises(ValueError, match=message):
        async_to_sync(choosy)()
    assert executed == expected


@workflow
async def start_and_wait() -> list[Any]:
    handle = await astart_workflow(mixed_colours)
    return [handle.workflow_id, await handle.aget_result()]


@pytest.mark.django_db(transaction=True)
def test_an_async_workflow_waits_for_an_async_child() -> None:
    """30. 32. 63."""
    with Worker(threads=1), SetWorkflowID("parent"):
        found: Any = start_workflow(start_and_wait).get_result(timeout=60)
    assert found == ["parent-1", ["a", "b", 1, "d"]]
    assert step_names("parent") == [(1, "mixed_colours"), (2, "durable.getResult")]
    assert status("parent-1") == Status.SUCCESS
