"""Patches: runs that began with the old code keep it, new ones take the new; replays agree."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    NotAllowedInStepError,
    NotInWorkflowError,
    PatchNondeterminismError,
    SetWorkflowID,
    Status,
    SynchronousCallError,
    UnexpectedStepError,
    adeprecate_patch,
    agather,
    apatch,
    arun_step,
    deprecate_patch,
    fork_workflow,
    gather,
    get_result,
    get_workflow_status,
    patch,
    recv,
    run_step,
    send,
    sleep,
    start_workflow,
    workflow,
)
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, execute_again, step_names, wait_for_status, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

done: list[str] = []
deployed: dict[str, Callable[[], Any]] = {}
dies_in: set[str] = set()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    done.clear()
    deployed.clear()
    dies_in.clear()
    yield


def act(what: str) -> str:
    if what in dies_in:
        raise Crash
    done.append(what)
    return what


def do(what: str) -> str:
    return run_step({"name": what}, act, what)


def ado(what: str) -> Awaitable[str]:
    return arun_step({"name": what}, act, what)


@workflow
def changing() -> Any:
    return deployed["code"]()


@workflow
async def achanging() -> Any:
    return await deployed["code"]()


def run_here(code: Callable[[], Any]) -> Any:
    """Run the workflow with this code, in this thread."""
    deployed["code"] = code
    with SetWorkflowID("run"):
        return changing()


def crash_here(code: Callable[[], Any], step: str) -> None:
    """Run the workflow with this code until the process dies in a step."""
    deployed["code"] = code
    dies_in.add(step)
    with SetWorkflowID("run"):
        crash(changing)
    dies_in.clear()


def recover(code: Callable[[], Any]) -> Any:
    """Let a worker with this code go on."""
    deployed["code"] = code
    with Worker(threads=2):
        return get_result("run", timeout=60)


def replay(code: Callable[[], Any]) -> Any:
    """Let a worker with this code execute the finished run once more."""
    execute_again("run")
    return recover(code)


def old() -> list[str]:
    return [do("a"), do("b"), do("c")]


def new() -> list[str]:
    return [do("a"), do("new b") if patch("b") else do("b"), do("c")]


MARKED = [(1, "a"), (2, "durable.patch-b"), (3, "new b"), (4, "c")]
UNMARKED = [(1, "a"), (2, "b"), (3, "c")]


def test_a_new_run_records_a_marker_and_takes_the_new_way() -> None:
    """253. A step of its own at the current position; True."""
    assert run_here(new) == ["a", "new b", "c"]
    assert step_names("run") == MARKED


def test_a_replay_finds_the_marker() -> None:
    """253. True again, and nothing is done twice."""
    run_here(new)
    assert replay(new) == ["a", "new b", "c"]
    assert done == ["a", "new b", "c"]
    assert step_names("run") == MARKED


@pytest.mark.parametrize("step", ["new b", "c"])
def test_a_crash_after_the_marker(step: str) -> None:
    """253. The marker is durable before its answer is used: the run goes on as it began."""
    crash_here(new, step)
    assert recover(new) == ["a", "new b", "c"]
    assert step_names("run") == MARKED


def test_a_run_that_went_past_keeps_the_old_way() -> None:
    """253. False, and no position is taken: what follows is found where it was recorded."""
    crash_here(old, "c")
    assert recover(new) == ["a", "b", "c"]
    assert done == ["a", "b", "c"]
    assert step_names("run") == UNMARKED
    assert replay(new) == ["a", "b", "c"]
    assert done == ["a", "b", "c"]


def test_a_run_that_crashed_right_before_the_patch_is_new_there() -> None:
    """253. Its history ends before: it takes the new way, and keeps to it."""
    crash_here(old, "b")
    assert recover(new) == ["a", "new b", "c"]
    assert step_names("run") == MARKED
    assert replay(new) == ["a", "new b", "c"]
    assert done == ["a", "new b", "c"]


def test_only_the_first_of_two_concurrent_steps_is_missing() -> None:
    """253. A position without a record does not make a run new if a later one has one."""

    async def before() -> list[str]:
        return await asyncio.gather(ado("b"), ado("c"))

    async def after() -> list[str]:
        return [await ado("new")] if await apatch("x") else await asyncio.gather(ado("b"), ado("c"))

    deployed["code"] = before
    with SetWorkflowID("run"):
        asyncio.run(achanging.acall())
    execute_again("run")
    get_row().steps.filter(name="b").delete()
    assert recover(after) == ["b", "c"]
    assert sorted(step_names("run")) == [(1, "b"), (2, "c")]


def get_row() -> Any:
    from durable_app.models import Workflow  # noqa: PLC0415

    return Workflow.objects.get(workflow_id="run")


def test_a_run_that_waits_at_the_place_has_come_to_it() -> None:
    """253. A parked receive has recorded only its deadline, which counts as well."""

    def before() -> Any:
        return [do("a"), recv(timeout_seconds=600)]

    def after() -> Any:
        return [do("a"), do("new")] if patch("x") else before()

    deployed["code"] = before
    with SetWorkflowID("run"):
        start_workflow(changing)
    with Worker(threads=1):
        wait_for_status("run", Status.WAITING)
    deployed["code"] = after
    send("run", "hello")
    assert recover(after) == ["a", "hello"]


def test_a_sleeper_is_woken_on_the_old_way() -> None:
    """253. A patch before the sleep is answered with False, one after it with True."""

    def before() -> Any:
        sleep(1.5)
        return do("old")

    def after() -> Any:
        first = patch("before")
        sleep(1.5)
        return [first, patch("after"), do("new")]

    deployed["code"] = before
    with SetWorkflowID("run"):
        start_workflow(changing)
    with Worker(threads=1):
        wait_for_status("run", Status.WAITING)
    assert recover(after) == [False, True, "new"]
    assert step_names("run") == [(1, "durable.sleep"), (2, "durable.patch-after"), (3, "new")]


def test_several_patches_of_one_place() -> None:
    """253. Each run keeps the way it took: the first code's, the second's, the third's."""

    def second() -> Any:
        return [do("two") if patch("2") else do("one"), do("end")]

    def third() -> Any:
        if patch("3"):
            return [do("three"), do("end")]
        return second()

    crash_here(lambda: [do("one"), do("end")], "end")
    assert recover(third) == ["one", "end"]
    with SetWorkflowID("second"):
        deployed["code"] = second
        dies_in.add("end")
        crash(changing)
        dies_in.clear()
    deployed["code"] = third
    with Worker(threads=1):
        assert get_result("second", timeout=60) == ["two", "end"]
    with SetWorkflowID("third"):
        assert changing() == ["three", "end"]
    assert step_names("second") == [(1, "durable.patch-2"), (2, "two"), (3, "end")]
    assert step_names("third") == [(1, "durable.patch-3"), (2, "three"), (3, "end")]


def test_each_turn_of_a_loop_has_an_answer_of_its_own() -> None:
    """253. The turns that were done stay old, those to come are new, and a replay says the same."""

    def before() -> list[str]:
        return [do(f"old {n}") for n in range(4)]

    def after() -> list[str]:
        return [do(f"new {n}") if patch("loop") else do(f"old {n}") for n in range(4)]

    crash_here(before, "old 2")
    assert recover(after) == ["old 0", "old 1", "new 2", "new 3"]
    assert replay(after) == ["old 0", "old 1", "new 2", "new 3"]
    assert done == ["old 0", "old 1", "new 2", "new 3"]


def two_branches(way: Callable[[str], str]) -> list[Any]:
    return gather(
        lambda: [do("a1"), way("b1"), do("c1")],
        lambda: [do("a2"), way("b2"), do("c2")],
    )


def patched(what: str) -> str:
    return do(f"new {what}") if patch("b") else do(what)


def test_branches_have_markers_of_their_own() -> None:
    """253. Each branch of a gather is a space of positions: what one has gone past says nothing of another."""
    crash_here(lambda: two_branches(do), "b2")
    expected = [["a1", "b1", "c1"], ["a2", "new b2", "c2"]]
    assert recover(lambda: two_branches(patched)) == expected
    assert step_names("run") == [
        ("1.1.1", "a1"),
        ("1.1.2", "b1"),
        ("1.1.3", "c1"),
        ("1.2.1", "a2"),
        ("1.2.2", "durable.patch-b"),
        ("1.2.3", "new b2"),
        ("1.2.4", "c2"),
    ]
    assert replay(lambda: two_branches(patched)) == expected
    assert sorted(done) == ["a1", "a2", "b1", "c1", "c2", "new b2"]


def test_a_gather_that_began_is_gone_past() -> None:
    """253. Only its branches have records; a patch before it is answered with False, a nested one too."""

    def nested() -> list[Any]:
        return gather(lambda: gather(lambda: do("x"), lambda: do("y")), lambda: do("z"))

    def after() -> list[Any]:
        return [patch("outer"), gather(lambda: [patch("inner"), gather(lambda: do("x"), lambda: do("y"))])]

    crash_here(nested, "y")
    assert recover(lambda: [patch("outer"), *nested()]) == [False, ["x", "y"], "z"]

    def inner() -> list[Any]:
        return gather(lambda: [patch("inner"), *gather(lambda: do("x"), lambda: do("y"))], lambda: do("z"))

    assert replay(inner) == [[False, "x", "y"], "z"]


async def aold() -> list[str]:
    return [await ado("a"), await ado("b"), await ado("c")]


async def anew() -> list[str]:
    return [await ado("a"), await ado("new b") if await apatch("b") else await ado("b"), await ado("c")]


@pytest.mark.parametrize("step", ["b", "c"])
def test_coroutines_are_patched_like_functions(step: str) -> None:
    """253. The twin gives the same answers."""
    deployed["code"] = aold
    dies_in.add(step)
    with SetWorkflowID("run"):
        start_workflow(achanging)
    with Worker(threads=1) as worker:
        wait_until(lambda: get_row().attempt > 0 and not worker.busy)
    dies_in.clear()
    expected = ["a", "new b", "c"] if step == "b" else ["a", "b", "c"]
    assert recover(anew) == expected
    assert replay(anew) == expected
    assert done == expected


def test_deprecating_passes_over_the_marker() -> None:
    """254. Runs with and without a marker go through the same code; new ones record nothing."""

    def deprecated() -> list[Any]:
        return [do("a"), deprecate_patch("b"), do("new b"), do("c")]

    crash_here(new, "c")
    assert recover(deprecated) == ["a", True, "new b", "c"]
    assert step_names("run") == MARKED
    with SetWorkflowID("later"):
        assert changing() == ["a", True, "new b", "c"]
    assert step_names("later") == [(1, "a"), (2, "new b"), (3, "c")]
    with SetWorkflowID("later"), Worker(threads=1):
        execute_again("later")
        assert get_result("later", timeout=60) == ["a", True, "new b", "c"]
    assert done.count("new b") == 2


def test_deprecating_in_a_coroutine() -> None:
    """254. The twin does the same."""

    async def deprecated() -> list[Any]:
        return [await ado("a"), await adeprecate_patch("b"), await ado("new b"), await ado("c")]

    deployed["code"] = anew
    with SetWorkflowID("run"):
        asyncio.run(achanging.acall())
    assert replay(deprecated) == ["a", True, "new b", "c"]


def test_removing_the_call_too_early_blocks_the_run() -> None:
    """254. A marker that the code does not ask for is an unexpected step; the call put back, it goes on."""

    def removed() -> list[str]:
        return [do("a"), do("new b"), do("c")]

    crash_here(new, "c")
    deployed["code"] = removed
    with Worker(threads=1):
        wait_for_status("run", Status.WAITING)
    found = get_workflow_status("run")
    assert found is not None
    assert "'durable.patch-b'" in found.waiting_for
    assert recover(new) == ["a", "new b", "c"]


def test_removing_the_call_too_early_is_an_error_of_the_caller() -> None:
    """254. UnexpectedStepError, with both names."""
    run_here(new)
    fork = fork_workflow("run", 4)
    deployed["code"] = lambda: [do("a"), do("new b")]
    with Worker(threads=1):
        wait_for_status(fork.workflow_id, Status.WAITING)
    found = get_workflow_status(fork.workflow_id)
    assert found is not None
    assert "'new b'" in found.waiting_for
    assert "'durable.patch-b'" in found.waiting_for


def test_forking_before_and_after_the_place() -> None:
    """253, 113. A fork whose copied history ends before the patch is new there."""
    run_here(old)
    deployed["code"] = new
    before, after = fork_workflow("run", 2), fork_workflow("run", 3)
    with Worker(threads=2):
        assert before.get_result(timeout=60) == ["a", "new b", "c"]
        assert after.get_result(timeout=60) == ["a", "b", "c"]


def test_the_verbs_need_a_workflow() -> None:
    """255. Outside, and in a step, they raise, and say which."""
    for verb in (patch, deprecate_patch, apatch, adeprecate_patch):
        with pytest.raises(NotInWorkflowError, match=rf"{verb.__name__}\(\)"):
            verb("x")

    def in_step() -> None:
        run_step(None, lambda: patch("x"))

    with pytest.raises(NotAllowedInStepError):
        run_here(in_step)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\x00b", None])
def test_a_name_that_cannot_be_recorded_is_refused(name: Any) -> None:
    """255. Before anything is recorded, and without a position."""

    def ask() -> str:
        for verb in (patch, deprecate_patch):
            with pytest.raises(InvalidOptionError, match="1 to 200"):
                verb(name)
        return do("a")

    assert run_here(ask) == "a"
    assert step_names("run") == [(1, "a")]


def test_blocking_verbs_refuse_an_event_loop() -> None:
    """65. They name the twin; nothing is recorded."""

    async def ask() -> str:
        with pytest.raises(SynchronousCallError, match="apatch"):
            patch("x")
        with pytest.raises(SynchronousCallError, match="adeprecate_patch"):
            deprecate_patch("x")
        return "asked"

    deployed["code"] = ask
    with SetWorkflowID("run"):
        assert asyncio.run(achanging.acall()) == "asked"
    assert step_names("run") == []


async def beside_a_step() -> Any:
    return await asyncio.gather(apatch("x"), ado("b"))


async def beside_a_patch() -> Any:
    return await asyncio.gather(apatch("x"), apatch("y"))


async def while_recording() -> Any:
    asking = asyncio.create_task(wait_for_patch())
    await asyncio.sleep(0)  # the marker is on its way
    await ado("b")
    return await asking


async def wait_for_patch() -> bool:
    return await apatch("x")


@pytest.mark.parametrize("code", [beside_a_step, beside_a_patch, while_recording])
def test_a_patch_beside_other_operations_is_refused(code: Callable[[], Any]) -> None:
    """255. After a crash the answer might be another one: PatchNondeterminismError says so at once."""
    deployed["code"] = code
    with SetWorkflowID("run"), pytest.raises(PatchNondeterminismError) as caught:
        asyncio.run(achanging.acall())
    assert (caught.value.workflow_id, caught.value.patch_name) == ("run", "x")


def test_a_patch_after_the_start_of_others_is_fine() -> None:
    """255. What took its position before cannot be recorded as if the patch had been gone past."""

    async def code() -> list[Any]:
        first = asyncio.ensure_future(ado("a"))
        return [await apatch("x"), await first]

    deployed["code"] = code
    with SetWorkflowID("run"):
        assert asyncio.run(achanging.acall()) == [True, "a"]
    assert step_names("run") == [(1, "a"), (2, "durable.patch-x")]


def test_patches_of_several_branches_may_be_concurrent() -> None:
    """255. Each branch of an agather has positions of its own."""

    async def branch(what: str) -> list[Any]:
        return [await apatch("x"), await ado(what)]

    async def code() -> list[Any]:
        return await agather(branch("a"), branch("b"))

    deployed["code"] = code
    with SetWorkflowID("run"):
        assert asyncio.run(achanging.acall()) == [[True, "a"], [True, "b"]]
    assert [name for _, name in step_names("run")] == ["durable.patch-x", "a", "durable.patch-x", "b"]


def test_the_error_of_a_removed_call_names_the_patch() -> None:
    """59, 254. As a caller of the workflow sees it when the run is another's child: the run is blocked."""
    error = UnexpectedStepError("run", 2, expected="b", recorded="durable.patch-b")
    assert "durable.patch-b" in str(error)
