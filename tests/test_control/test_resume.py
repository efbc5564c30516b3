"""Resuming: a run goes on after its last recorded step, under a new attempt."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from durable_app import (
    AwaitedWorkflowMaxRecoveryAttemptsExceeded,
    NonExistentWorkflowError,
    SetWorkflowID,
    SetWorkflowTimeout,
    aresume_workflow,
    cancel_workflow,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    recv,
    resume_workflow,
    resume_workflows,
    send,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, status, step_names, wait_for_status, wait_until

calls: list[str] = []
gates = [threading.Event(), threading.Event()]
entered: list[threading.Event] = [threading.Event(), threading.Event()]
tries: list[int] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet(settings: Any) -> Iterator[None]:
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    calls.clear()
    tries.clear()
    for event in [*gates, *entered]:
        event.clear()
    yield


@pytest.fixture
def worker(worker: Worker) -> Iterator[Worker]:
    """Open the gates before the worker waits for its runs to end."""
    yield worker
    for gate in gates:
        gate.set()


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@step
def own_gate() -> int:
    """Pass the gate of this try: the first execution has one, the second another."""
    number = len(tries)
    tries.append(number)
    entered[number].set()
    assert gates[number].wait(60)
    return number


@workflow(name="resume.gated")
def gated() -> str:
    note("first")
    number = own_gate()
    return note(f"passed gate {number}")


@workflow(name="resume.quick")
def quick(what: str = "quick") -> str:
    return note(what)


@workflow(name="resume.fails")
def fails() -> None:
    raise ValueError("no")


@workflow(name="resume.receives")
def receives() -> Any:
    note("before")
    return recv("go", timeout_seconds=3600)


@pytest.mark.django_db
def test_resuming_resets_the_row() -> None:
    """107, 300. Attempts, deadline, dedup, start and end are cleared; the row is ENQUEUED again."""
    with SetWorkflowID("r"), SetWorkflowTimeout(3600):
        start_workflow(quick)
    long_ago = timezone.now() - timedelta(days=1)
    Workflow.objects.filter(workflow_id="r").update(
        status="MAX_RECOVERY_ATTEMPTS_EXCEEDED",
        recovery_attempts=101,
        deadline_at=long_ago,
        deduplication_id="key",
        started_at=long_ago,
        finished_at=long_ago,
    )
    assert resume_workflow("r").workflow_id == "r"
    found = get_workflow_status("r")
    assert found is not None
    assert (found.status, found.recovery_attempts) == ("ENQUEUED", 0)
    assert found.queue_name is not None
    cleared = (found.deadline_at, found.deduplication_id, found.started_at, found.finished_at, found.worker)
    assert cleared == (None,) * 5


@pytest.mark.django_db
def test_a_run_may_be_resumed_onto_a_queue() -> None:
    """107. queue_name says where the run waits for its worker."""
    with SetWorkflowID("r"):
        start_workflow(quick)
    cancel_workflow("r")
    resume_workflow("r", queue_name="line")
    found = get_workflow_status("r")
    assert found is not None
    assert (found.status, found.queue_name) == ("ENQUEUED", "line")


@pytest.mark.django_db
def test_a_completed_run_is_left_alone() -> None:
    """108. Resuming SUCCESS or ERROR changes nothing and returns a handle with the outcome."""
    with SetWorkflowID("good"):
        quick()
    with SetWorkflowID("bad"), pytest.raises(ValueError, match="no"):
        fails()
    rows = Workflow.objects.order_by("pk")
    before = list(rows.values())
    assert resume_workflow("good").get_result() == "quick"
    with pytest.raises(ValueError, match="no"):
        resume_workflow("bad").get_result()
    assert list(rows.values()) == before
    assert calls == ["quick"]


@pytest.mark.django_db
def test_one_missing_id_changes_nothing() -> None:
    """108. A missing run raises; in bulk nothing at all is resumed then."""
    for name in ("a", "b"):
        with SetWorkflowID(name):
            start_workflow(quick)
    cancel_workflow("a")
    cancel_workflow("b")
    with pytest.raises(NonExistentWorkflowError) as raised:
        resume_workflow("nobody")
    assert raised.value.workflow_id == "nobody"
    with pytest.raises(NonExistentWorkflowError):
        resume_workflows(["a", "nobody", "b"])
    assert (status("a"), status("b")) == ("CANCELLED", "CANCELLED")


@pytest.mark.django_db(transaction=True)
def test_several_runs_are_resumed_at_once(worker: Worker) -> None:
    """107. Bulk resume returns a handle for each, in the order given."""
    for name in ("a", "b", "c"):
        with SetWorkflowID(name):
            start_workflow(receives)
        wait_for_status(name, "WAITING")
        cancel_workflow(name)
    handles = resume_workflows(["c", "a"])
    assert [handle.workflow_id for handle in handles] == ["c", "a"]
    for name in ("a", "b", "c"):
        send(name, name, "go")
    assert [handle.get_result(timeout=60) for handle in handles] == ["c", "a"]
    assert status("b") == "CANCELLED"


@pytest.mark.django_db(transaction=True)
def test_a_dead_lettered_run_is_revived(worker: Worker) -> None:
    """87. Awaiting a dead letter raises; resume runs it with fresh attempts."""
    with SetWorkflowID("r"):
        start_workflow(receives)
    wait_for_status("r", "WAITING")
    cancel_workflow("r")
    wait_until(lambda: worker.busy == 0)
    Workflow.objects.filter(workflow_id="r").update(
        status="MAX_RECOVERY_ATTEMPTS_EXCEEDED", recovery_attempts=101
    )
    with pytest.raises(AwaitedWorkflowMaxRecoveryAttemptsExceeded):
        get_result("r", timeout=60)
    handle = resume_workflow("r")
    send("r", "alive", "go")
    assert handle.get_result(timeout=60) == "alive"
    assert calls == ["before"]
    assert handle.get_status().recovery_attempts == 0


@pytest.mark.django_db(transaction=True)
def test_a_delayed_run_is_resumed_at_once(worker: Worker) -> None:
    """109. Resuming a DELAYED run does not wait for its time."""
    later = timezone.now() + timedelta(days=1)
    with SetWorkflowID("r"):
        start_workflow(receives)
    wait_for_status("r", "WAITING")
    cancel_workflow("r")
    Workflow.objects.filter(workflow_id="r").update(status="DELAYED", run_after=later, finished_at=None)
    send("r", "now", "go")
    assert resume_workflow("r").get_result(timeout=60) == "now"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["direct", "started"])
@pytest.mark.parametrize("first_to_end", ["old", "new"])
def test_the_stale_execution_changes_nothing(worker: Worker, how: str, first_to_end: str) -> None:
    """110, 95, 61. Resumed while the old execution runs: the new one counts; the old one's caller gets it."""
    with SetWorkflowID("r"):
        running = in_thread(gated) if how == "direct" else None
        if running is None:
            start_workflow(gated)
    assert entered[0].wait(60)
    resume_workflow("r")
    assert entered[1].wait(60)
    order = [0, 1] if first_to_end == "old" else [1, 0]
    for number in order:
        gates[number].set()
        if number == 1:
            assert get_result("r", timeout=60) == "passed gate 1"
    if running is not None:
        assert running.result(60) == "passed gate 1"
    wait_until(lambda: worker.busy == 0)
    assert calls == ["first", "passed gate 1"]
    assert step_names("r") == [(1, "note"), (2, "own_gate"), (3, "note")]
    assert list_workflow_steps("r")[1].output == 1


@pytest.mark.django_db(transaction=True)
def test_resuming_a_run_twice_runs_it_once() -> None:
    """107. Several operators resume a cancelled run at once: one run is there to be claimed."""
    with SetWorkflowID("r"):
        start_workflow(quick)
    cancel_workflow("r")
    futures = [in_thread(resume_workflow, "r") for _ in range(4)]
    assert {future.result(60).workflow_id for future in futures} == {"r"}
    with Worker(threads=4) as worker:
        assert get_result("r", timeout=60) == "quick"
        assert worker.run_until_idle(30)
    assert calls == ["quick"]
    assert step_names("r") == [(1, "note")]


@pytest.mark.django_db(transaction=True)
def test_the_async_twin(worker: Worker) -> None:
    """107. aresume_workflow does the same, awaited from an async workflow."""

    @workflow(name="resume.async_operator")
    async def operator(other: str) -> str:
        handle = await aresume_workflow(other)
        result: str = await handle.aget_result()
        return result

    with SetWorkflowID("r"):
        start_workflow(quick, "later")
    get_result("r", timeout=60)
    assert start_workflow(operator, "r").get_result(timeout=60) == "later"
