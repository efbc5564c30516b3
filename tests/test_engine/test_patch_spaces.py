"""Patches beside other operations: in branches, in coroutines, at once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable_app import (
    PatchNondeterminismError,
    SetWorkflowID,
    SynchronousCallError,
    adeprecate_patch,
    agather,
    apatch,
    deprecate_patch,
    gather,
    patch,
    start_workflow,
)
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.deployments import (
    achanging,
    ado,
    arun,
    crash_here,
    deployed,
    died,
    dies_in,
    do,
    done,
    forget,
    recover,
    replay,
)
from tests.helpers import execute_again, step_names, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> None:
    forget()


def two_branches(way: Callable[[str], str]) -> list[Any]:
    return gather(
        lambda: [do("a1"), way("b1"), do("c1")],
        lambda: [do("a2"), way("b2"), do("c2")],
    )


def patched(what: str) -> str:
    return do(f"new {what}") if patch("b") else do(what)


def test_branches_have_markers_of_their_own() -> None:
    """253. Each branch of a gather is a space of positions: what one has come by is news to another."""
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
        wait_until(lambda: died and not worker.busy)
    dies_in.clear()
    expected = ["a", "new b", "c"] if step == "b" else ["a", "b", "c"]
    assert recover(anew) == expected
    assert replay(anew) == expected
    assert done == expected


def test_deprecating_in_a_coroutine() -> None:
    """254. The twin does the same."""

    async def deprecated() -> list[Any]:
        return [await ado("a"), await adeprecate_patch("b"), await ado("new b"), await ado("c")]

    deployed["code"] = anew
    with SetWorkflowID("run"):
        arun()
    assert replay(deprecated) == ["a", True, "new b", "c"]


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
        assert arun() == "asked"
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
        arun()
    assert (caught.value.workflow_id, caught.value.patch_name) == ("run", "x")
    is_marked = "durable.patch-x" in [name for _, name in step_names("run")]
    assert is_marked is (code is while_recording)


def test_a_patch_after_the_start_of_others_is_fine() -> None:
    """255. What took its position before cannot be recorded as if the patch had been gone past."""

    async def code() -> list[Any]:
        first = asyncio.ensure_future(ado("a"))
        return [await apatch("x"), await first]

    deployed["code"] = code
    with SetWorkflowID("run"):
        assert arun() == [True, "a"]
    assert step_names("run") == [(1, "a"), (2, "durable.patch-x")]


def test_patches_of_several_branches_may_be_concurrent() -> None:
    """255. Each branch of an agather has positions of its own."""

    async def branch(what: str) -> list[Any]:
        return [await apatch("x"), await ado(what)]

    async def code() -> list[Any]:
        return await agather(branch("a"), branch("b"))

    deployed["code"] = code
    with SetWorkflowID("run"):
        assert arun() == [[True, "a"], [True, "b"]]
    assert [name for _, name in step_names("run")] == ["durable.patch-x", "a", "durable.patch-x", "b"]


def test_only_the_first_of_two_concurrent_steps_is_missing() -> None:
    """253. A position without a record does not make a run new if a later one has one."""

    async def before() -> Any:
        return await asyncio.gather(ado("b"), ado("c"))

    async def after() -> Any:
        return [await ado("new")] if await apatch("x") else await asyncio.gather(ado("b"), ado("c"))

    deployed["code"] = before
    with SetWorkflowID("run"):
        arun()
    execute_again("run")
    Workflow.objects.get().steps.filter(name="b").delete()
    assert recover(after) == ["b", "c"]
    assert sorted(step_names("run")) == [(1, "b"), (2, "c")]
