"""Waiting for the first of several runs, in a workflow and outside."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    NonExistentWorkflowError,
    SetWorkflowID,
    WorkflowHandle,
    await_first,
    cancel_workflow,
    fork_workflow,
    start_workflow,
    step,
    wait_first,
    workflow,
)
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, step_names, wait_for_status

gates = {name: threading.Event() for name in "abc"}


@pytest.fixture
def worker(worker: Worker) -> Iterator[Worker]:
    """Open all gates before the worker waits for its runs to end."""
    for gate in gates.values():
        gate.clear()
    yield worker
    for gate in gates.values():
        gate.set()


@pytest.fixture
def parks_at_once(settings: Any) -> None:
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(0)}


@step
def pass_the_gate(name: str) -> str:
    assert gates[name].wait(60)
    return name


@workflow(name="first.gated")
def gated(name: str) -> str:
    return pass_the_gate(name)


@workflow(name="first.in_order")
def in_order() -> list[str]:
    left = [start_workflow(gated, name) for name in "ab"]
    results = []
    while left:
        first = wait_first(left)
        left = [handle for handle in left if handle.workflow_id != first.workflow_id]
        results.append(first.get_result())
    return results


@workflow(name="first.in_order_async")
async def in_order_async() -> list[str]:
    left = [await gated.astart(name) for name in "ab"]
    results = []
    while left:
        first = await await_first(left)
        left = [handle for handle in left if handle.workflow_id != first.workflow_id]
        results.append(await first.aget_result())
    return results


@workflow(name="first.of_ids")
def first_of_ids(*ids: str) -> str:
    try:
        return wait_first([WorkflowHandle(one) for one in ids]).workflow_id
    except NonExistentWorkflowError as error:
        return f"no {error.workflow_id}"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", [in_order, in_order_async])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_parked_run_goes_on_with_whichever_ends_first(
    parks_at_once: None, worker: Worker, order: str, run: Any
) -> None:
    """201. The run parks for both and is woken by the first; steps alternate, a replay is the same."""
    with SetWorkflowID("w"):
        handle = start_workflow(run)
    wait_for_status("w", "WAITING")
    for name in order:
        gates[name].set()
        wait_for_status({"a": "w-1", "b": "w-2"}[name], "SUCCESS")
        wait_for_status("w", "WAITING", "SUCCESS")
    assert handle.get_result(timeout=60) == list(order)
    assert step_names("w") == [
        (1, "first.gated"),
        (2, "first.gated"),
        (3, "durable.waitFirst"),
        (4, "durable.getResult"),
        (5, "durable.waitFirst"),
        (6, "durable.getResult"),
    ]
    assert fork_workflow("w", 99).get_result(timeout=60) == list(order)


@pytest.mark.django_db(transaction=True)
def test_outside_a_workflow_nothing_is_recorded(worker: Worker) -> None:
    """201. Outside, the handle of the first to end is returned; a cancelled run has ended, too."""
    handles = [start_workflow(gated, name) for name in "abc"]
    waiting = in_thread(wait_first, handles)
    gates["b"].set()
    assert waiting.result(60) is handles[1]
    cancel_workflow(handles[2].workflow_id)
    assert wait_first([handles[0], handles[2]]) is handles[2]


@pytest.mark.django_db(transaction=True)
def test_of_several_that_have_ended_the_first_in_the_list_counts(worker: Worker) -> None:
    """201. The answer depends on the list, not on chance."""
    for gate in gates.values():
        gate.set()
    handles = [start_workflow(gated, name) for name in "abc"]
    for handle in handles:
        handle.get_result(timeout=60)
    assert wait_first(handles[::-1]) is handles[2]
    assert wait_first(handles) is handles[0]


@pytest.mark.django_db(transaction=True)
def test_a_run_that_does_not_exist_is_not_waited_for(parks_at_once: None, worker: Worker) -> None:
    """201, 295. A handle of a deleted run raises, outside and (as a recorded step) inside a workflow."""
    alive = start_workflow(gated, "a")
    with pytest.raises(NonExistentWorkflowError):
        in_thread(wait_first, [alive, WorkflowHandle("deleted")]).result(20)
    with SetWorkflowID("w"):
        handle = start_workflow(first_of_ids, alive.workflow_id, "deleted")
    assert handle.get_result(timeout=20) == "no deleted"
    assert step_names("w") == [(1, "durable.waitFirst")]
    assert fork_workflow("w", 99).get_result(timeout=60) == "no deleted"


@pytest.mark.django_db
def test_handles_must_be_given_and_differ() -> None:
    """201. An empty list would wait for ever, and two handles of one run are a mistake."""
    with pytest.raises(InvalidOptionError):
        wait_first([])
    with pytest.raises(InvalidOptionError):
        wait_first([WorkflowHandle("one"), WorkflowHandle("one")])
