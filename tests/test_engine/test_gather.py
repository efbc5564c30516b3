"""Parallel branches in threads: positions of their own, deterministic replay, waiting, errors."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from durable_app import (
    AwaitedWorkflowCancelledError,
    NotAllowedInStepError,
    NotInWorkflowError,
    SetWorkflowID,
    SynchronousCallError,
    cancel_workflow,
    fork_workflow,
    gather,
    get_result,
    list_workflow_steps,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, status, step_names, wait_until

calls: list[str] = []
dies = threading.Event()
parties = threading.Barrier(2)
other_is_done = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    dies.clear()
    parties.reset()
    other_is_done.clear()
    yield
    other_is_done.set()


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@step
def meet(who: str) -> str:
    parties.wait(30)
    return who


@step
def fail(what: str) -> None:
    raise ValueError(what)


@step
def wait_for_the_other() -> None:
    assert other_is_done.wait(30)


@step
def last_one_done() -> None:
    other_is_done.set()


@step
def maybe_die() -> None:
    if dies.is_set():
        dies.clear()
        raise Crash


def chain(name: str, length: int) -> list[str]:
    return [note(f"{name}{number}") for number in range(1, length + 1)]


@workflow(name="gather.chains")
def chains() -> list[list[str]]:
    first = note("first")
    both = gather(lambda: chain("a", 2), lambda: chain("b", 1))
    return [[first], *both, [note("last")]]


@workflow(name="gather.meets")
def meets() -> list[str]:
    return gather(lambda: meet("a"), lambda: meet("b"))


@workflow(name="gather.fails_in_time_order")
def fails_twice() -> list[Any]:
    def first() -> None:
        wait_for_the_other()
        note("late")
        fail("first by argument")

    def second() -> None:
        try:
            fail("first in time")
        finally:
            last_one_done()

    return gather(first, second, lambda: note("third"))


@workflow(name="gather.dies_in_a_branch")
def dies_in_a_branch() -> list[list[str]]:
    def slow() -> list[str]:
        found = chain("a", 1)
        wait_for_the_other()
        maybe_die()
        return found + chain("c", 1)

    def quick() -> list[str]:
        found = chain("b", 3)
        last_one_done()
        return found

    return gather(slow, quick)


@workflow(name="gather.child")
def child(what: str) -> str:
    return note(what).upper()


@workflow(name="gather.children_in_branches")
def children_in_branches() -> list[str]:
    return gather(lambda: child("a"), lambda: start_workflow(child, "b").get_result())


@workflow(name="gather.wide")
def wide() -> list[int]:
    return gather(*[lambda number=number: int(note(str(number))) for number in range(40)])


@workflow(name="gather.nothing")
def nothing() -> list[Any]:
    return gather()


@pytest.mark.django_db
def test_values_come_in_argument_order_and_positions_name_the_branch() -> None:
    """63. Branches are numbered by argument order; a branch counts its own steps."""
    with SetWorkflowID("g"):
        assert chains() == [["first"], ["a1", "a2"], ["b1"], ["last"]]
    assert [(s.step_id, s.output) for s in list_workflow_steps("g")] == [
        (1, "first"),
        ("2.1.1", "a1"),
        ("2.1.2", "a2"),
        ("2.2.1", "b1"),
        (3, "last"),
    ]


@pytest.mark.django_db(transaction=True)
def test_branches_run_in_parallel(worker: Worker) -> None:
    """63. Two branches meet at a barrier, called directly and on a worker."""
    assert meets() == ["a", "b"]
    assert start_workflow(meets).get_result(timeout=60) == ["a", "b"]


@pytest.mark.django_db(transaction=True)
def test_the_first_error_by_argument_order_is_raised_after_all_branches_ended() -> None:
    """63. The error raised does not depend on which branch failed first, and no branch is cut off."""
    with SetWorkflowID("g"), pytest.raises(ValueError, match="first by argument"):
        fails_twice()
    assert sorted(calls) == ["late", "third"]
    assert status("g") == "ERROR"
    assert len(list_workflow_steps("g")) == 6


@pytest.mark.django_db(transaction=True)
def test_a_crash_in_one_branch_repeats_nothing_that_is_recorded(worker: Worker) -> None:
    """43, 63. Replay finds every branch's steps at their positions, whatever the order in time was."""
    dies.set()
    with SetWorkflowID("g"):
        crash(dies_in_a_branch)
    assert get_result("g", timeout=60) == [["a1", "c1"], ["b1", "b2", "b3"]]
    assert sorted(calls) == ["a1", "b1", "b2", "b3", "c1"]


@pytest.mark.django_db(transaction=True)
def test_a_fork_replays_all_branches(worker: Worker) -> None:
    """113. A fork beyond the end replays a gather from its records alone."""
    with SetWorkflowID("g"):
        expected = chains()
    before = list(calls)
    assert fork_workflow("g", 99).get_result(timeout=60) == expected
    assert calls == before


@pytest.mark.django_db(transaction=True)
def test_a_fork_at_the_gather_runs_all_its_branches_again(worker: Worker) -> None:
    """113. A gather is one position: a fork from it copies none of its branches, from behind it all."""
    with SetWorkflowID("g"):
        chains()
    calls.clear()
    fork_workflow("g", 2).get_result(timeout=60)
    assert sorted(calls) == ["a1", "a2", "b1", "last"]
    calls.clear()
    fork_workflow("g", 3).get_result(timeout=60)
    assert calls == ["last"]


@pytest.mark.django_db(transaction=True)
def test_children_in_branches_have_ids_of_their_branch(worker: Worker) -> None:
    """30, 63. A branch's child is named after its position in the branch."""
    with SetWorkflowID("g"):
        handle = start_workflow(children_in_branches)
    assert handle.get_result(timeout=60) == ["A", "B"]
    assert status("g-1.1.1") == "SUCCESS"
    assert status("g-1.2.1") == "SUCCESS"


@pytest.mark.django_db(transaction=True)
def test_cancelling_a_running_gather_ends_all_branches(worker: Worker) -> None:
    """100. After the cancellation no branch records a step, and the caller learns of it."""

    @workflow(name="gather.cancelled_inside")
    def cancelled_inside() -> list[Any]:
        def cancels() -> None:
            cancel_workflow("g")

        def goes_on() -> None:
            wait_until(lambda: status_outside("g") == "CANCELLED")
            note("too late")
            note("much too late")

        return gather(cancels, goes_on)

    with SetWorkflowID("g"):
        handle = start_workflow(cancelled_inside)
    with pytest.raises(AwaitedWorkflowCancelledError):
        handle.get_result(timeout=60)
    wait_until(lambda: worker.busy == 0)
    assert "much too late" not in calls
    assert list_workflow_steps("g") == []


def status_outside(workflow_id: str) -> str:
    """Look at the row itself: inside a workflow the public function would be a step."""
    return str(Workflow.objects.get(workflow_id=workflow_id).status)


@pytest.mark.django_db(transaction=True)
def test_more_branches_than_threads(worker: Worker) -> None:
    """63. Forty branches run, each once, in fewer threads; values keep their order."""
    assert start_workflow(wide).get_result(timeout=60) == list(range(40))
    assert len(calls) == 40


@pytest.mark.django_db
def test_an_empty_gather_returns_an_empty_list() -> None:
    """63. Nothing to run is nothing to wait for."""
    with SetWorkflowID("g"):
        assert nothing() == []
    assert step_names("g") == []


@pytest.mark.django_db
def test_gather_belongs_into_a_workflow() -> None:
    """38, 65. Outside a workflow, in a step, and on an event loop it is refused."""
    with pytest.raises(NotInWorkflowError):
        gather(lambda: 1)

    @step(name="gather.step")
    def in_a_step() -> None:
        gather(lambda: 1)

    @workflow(name="gather.step_parent")
    def parent() -> None:
        in_a_step()

    with pytest.raises(NotAllowedInStepError):
        parent()


@pytest.mark.django_db(transaction=True)
def test_gather_on_an_event_loop_names_its_twin(worker: Worker) -> None:
    """65. In an async workflow the sync form raises, naming `agather`."""

    @workflow(name="gather.on_a_loop")
    async def on_a_loop() -> None:
        gather(lambda: 1)

    with pytest.raises(SynchronousCallError, match=r"agather\(\)"):
        start_workflow(on_a_loop).get_result(timeout=60)
