"""Executions that end from outside: user code cannot swallow it, and nothing more is recorded."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from durable_app import (
    SetWorkflowID,
    Status,
    WorkflowCancelled,
    cancel_workflow,
    list_workflow_steps,
    resume_workflow,
    sleep,
    start_workflow,
    step,
    workflow,
)
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, step_names, wait_for_status, wait_until

executed: list[Any] = []
gates: dict[str, threading.Event] = {}


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    executed.clear()
    yield
    for gate in gates.values():
        gate.set()
    gates.clear()


@step
def tick_off(name: str) -> str:
    executed.append(name)
    return name


@step
def gated(name: str) -> str:
    executed.append(f"{name} {threading.current_thread().name[:7]}")
    gates["reached"].set()
    assert gates["open"].wait(60)
    return threading.current_thread().name[:7]


@workflow
def behind_gate() -> str:
    found = gated("step")
    executed.append(f"after {threading.current_thread().name[:7]}")
    return found + tick_off("!")


@pytest.mark.django_db(transaction=True)
def test_an_execution_that_lost_its_run_records_nothing_and_gets_the_owners_outcome() -> None:
    """61. Its step's outcome is refused, nothing after it runs there, and its caller is served."""
    gates.update(reached=threading.Event(), open=threading.Event())
    with SetWorkflowID("contested"):
        stale = in_thread(behind_gate)
    assert gates["reached"].wait(60)
    gates["reached"].clear()
    with Worker(threads=1):
        resume_workflow("contested")
        assert gates["reached"].wait(60)
        gates["open"].set()
        assert stale.result(60) == "durable!"
    assert sorted(executed) == ["!", "after durable", "step durable", "step test"]
    assert step_names("contested") == [(1, "gated"), (2, "tick_off")]


@pytest.mark.django_db(transaction=True)
def test_except_exception_cannot_swallow_a_cancellation() -> None:
    """294. 100. 101. The running step's result is refused, no further step runs, nothing becomes SUCCESS."""
    gates.update(reached=threading.Event(), open=threading.Event())
    with Worker(threads=1) as worker:
        handle = start_workflow(stubborn_workflow)
        assert gates["reached"].wait(60)
        cancel_workflow(handle.workflow_id)
        gates["open"].set()
        wait_until(lambda: "unwound" in executed)
        assert worker.run_until_idle(60)
    assert executed == ["step durable", WorkflowCancelled, WorkflowCancelled, "unwound"]
    assert handle.get_status().status == Status.CANCELLED
    assert list_workflow_steps(handle.workflow_id) == []


@workflow
def stubborn_workflow() -> str:
    for call in (lambda: gated("step"), lambda: tick_off("never")):
        try:
            call()
        except Exception as error:  # noqa: BLE001
            executed.append(("swallowed", error))
        except BaseException as error:  # noqa: BLE001
            executed.append(type(error))
    executed.append("unwound")
    return "not cancelled at all"


@pytest.mark.django_db(transaction=True)
def test_nothing_runs_in_the_finally_blocks_of_a_run_that_parks() -> None:
    """294. A sleep that parks ends the execution, whatever the workflow catches."""
    with Worker(threads=1):
        handle = start_workflow(sleepless)
        wait_for_status(handle.workflow_id, Status.WAITING)
        wait_until(lambda: executed == ["before", "finally"])
        cancel_workflow(handle.workflow_id)
    assert step_names(handle.workflow_id) == [(1, "tick_off"), (2, "durable.sleep")]


@workflow
def sleepless() -> None:
    tick_off("before")
    try:
        sleep(3600)
    except Exception:  # noqa: BLE001
        executed.append("swallowed")
    finally:
        executed.append("finally")
        tick_off("must not run")
