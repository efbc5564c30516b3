"""Blocking verbs on an event loop: refused at once, with the name to use instead."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    SynchronousCallError,
    WorkflowHandle,
    cancel_workflow,
    delete_workflow,
    fork_workflow,
    gather,
    get_all_events,
    get_event,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    recv,
    resume_workflow,
    retrieve_workflow,
    rewind_workflow,
    run_step,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    transaction,
    wait_first,
    workflow,
)
from durable_app.models import Workflow


@workflow
def quiet() -> str:
    return "quiet"


@step
def quiet_step() -> str:
    return "step"


@transaction
def quiet_transaction() -> str:
    return "transaction"


HANDLE: WorkflowHandle[Any] = WorkflowHandle("unknown")

ANYWHERE: dict[str, Callable[[], Any]] = {
    "asend": lambda: send("unknown", 1),
    "aget_event": lambda: get_event("unknown", "key", 0),
    "aget_all_events": lambda: get_all_events("unknown"),
    "astart_workflow": lambda: start_workflow(quiet),
    "aretrieve_workflow": lambda: retrieve_workflow("unknown"),
    "aget_result": lambda: get_result("unknown", timeout=0),
    "aget_result ": lambda: HANDLE.get_result(timeout=0),
    "aget_status": HANDLE.get_status,
    "await_first": lambda: wait_first([HANDLE]),
    "arun_step": lambda: run_step(None, len, "abc"),
    "astart": lambda: quiet.start(),
    "acall": lambda: quiet(),
    "acancel_workflow": lambda: cancel_workflow("unknown"),
    "aresume_workflow": lambda: resume_workflow("unknown"),
    "afork_workflow": lambda: fork_workflow("unknown", 1),
    "arewind_workflow": lambda: rewind_workflow("unknown"),
    "adelete_workflow": lambda: delete_workflow("unknown"),
    "aget_workflow_status": lambda: get_workflow_status("unknown"),
    "alist_workflows": lambda: list_workflows(),
    "alist_workflow_steps": lambda: list_workflow_steps("unknown"),
}

IN_A_WORKFLOW: dict[str, Callable[[], Any]] = {
    "asleep": lambda: sleep(1),
    "arecv": lambda: recv(timeout_seconds=0),
    "aset_event": lambda: set_event("key", 1),
    "agather": lambda: gather(quiet_step),
    "quiet_step.acall": quiet_step,
    "quiet_transaction.acall": quiet_transaction,
}


@pytest.mark.parametrize("twin", ANYWHERE)
def test_a_blocking_call_on_a_loop_names_its_twin(twin: str) -> None:
    """65. SynchronousCallError is a RuntimeError; nothing was done (no database may be touched here)."""

    async def main() -> None:
        ANYWHERE[twin]()

    with pytest.raises(SynchronousCallError, match=rf"\b{twin.strip()}\b") as raised:
        asyncio.run(main())
    assert isinstance(raised.value, RuntimeError)


@workflow
async def blocking(twin: str) -> str:
    with pytest.raises(SynchronousCallError, match=rf"\b{twin.strip()}\b"):
        {**ANYWHERE, **IN_A_WORKFLOW}[twin]()
    return "refused"


@pytest.mark.django_db
@pytest.mark.parametrize("twin", [*ANYWHERE, *IN_A_WORKFLOW])
def test_a_blocking_call_in_an_async_workflow_names_its_twin(twin: str) -> None:
    """65. Nothing is recorded of it."""
    assert async_to_sync(blocking)(twin) == "refused"
    assert Workflow.objects.get().steps.count() == 0


@step
async def block_in_step(twin: str) -> str:
    with pytest.raises(SynchronousCallError, match=rf"\b{twin}\b"):
        ANYWHERE[twin]()
    return "refused"


@workflow
async def blocking_in_step(twin: str) -> str:
    return await block_in_step(twin)


@pytest.mark.django_db
@pytest.mark.parametrize("twin", ["asend", "aget_event", "aget_status", "acancel_workflow", "arun_step"])
def test_a_blocking_call_in_an_async_step_names_its_twin(twin: str) -> None:
    """65. Inside a step as well."""
    assert async_to_sync(blocking_in_step)(twin) == "refused"
