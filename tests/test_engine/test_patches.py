"""Patches: runs that began with the old code keep it, new ones take the new; replays agree."""

from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    NotAllowedInStepError,
    NotInWorkflowError,
    SetWorkflowID,
    Status,
    adeprecate_patch,
    apatch,
    deprecate_patch,
    fork_workflow,
    get_result,
    get_workflow_status,
    patch,
    recv,
    run_step,
    send,
    sleep,
    start_workflow,
)
from durable_app.worker.worker import Worker
from tests.deployments import (
    changing,
    crash_here,
    deployed,
    dies_in,
    do,
    done,
    forget,
    recover,
    replay,
    run_here,
)
from tests.helpers import crash, execute_again, step_names, wait_for_status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> None:
    forget()


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


def test_the_reason_names_the_marker_and_the_step_that_came_instead() -> None:
    """254, 59. The fork's copied history is checked like the original's."""
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
