"""Cancelling: what the row says, when the run notices, and what its waiters get."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from durable_app import (
    AwaitedWorkflowCancelledError,
    NonExistentWorkflowError,
    SetWorkflowID,
    WorkflowCancelled,
    acancel_workflow,
    aresume_workflow,
    cancel_workflow,
    cancel_workflows,
    fork_workflow,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    resume_workflow,
    start_workflow,
    step,
    transaction,
    workflow,
)
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, status, step_names, wait_for_status, wait_until
from tests.shop.models import Effect

calls: list[str] = []
gate = threading.Event()
reached = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    gate.clear()
    reached.clear()
    yield


@pytest.fixture
def worker(worker: Worker) -> Iterator[Worker]:
    """Open the gate before the worker waits for its runs to end."""
    yield worker
    gate.set()


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@step
def pass_the_gate(what: str = "gate") -> str:
    calls.append(what)
    reached.set()
    assert gate.wait(60)
    return what


@transaction
def book(what: str) -> None:
    Effect.objects.create(workflow_id=what, step="book")


@workflow(name="cancel.gated")
def gated() -> str:
    note("first")
    try:
        pass_the_gate()
        note("after")
    except Exception:  # noqa: BLE001  (a cancellation passes this)
        note("caught")
    return note("end")


@workflow(name="cancel.cancelled_at_the_end")
def cancelled_at_the_end() -> str:
    note("last step")
    reached.set()
    assert gate.wait(60)
    return "success"


@workflow(name="cancel.swallows")
def swallows() -> str:
    try:
        pass_the_gate()
        note("after")
    except BaseException:  # noqa: BLE001  (what bare `except:` in user code does)
        return "swallowed"
    return "not cancelled"


@workflow(name="cancel.cleans_up")
def cleans_up() -> None:
    try:
        pass_the_gate()
    finally:
        book("cleanup")
        note("cleanup")


@workflow(name="cancel.parent")
def parent() -> str:
    start_workflow(middle).get_result()
    return "parent went on"


@workflow(name="cancel.middle")
def middle() -> str:
    return start_workflow(gated).get_result()


@workflow(name="cancel.tolerant_parent")
def tolerant_parent() -> str:
    try:
        return start_workflow(gated).get_result()
    except AwaitedWorkflowCancelledError as error:
        return note(f"{error.workflow_id} was cancelled")


@workflow(name="cancel.cancels")
def cancels(other: str) -> str:
    cancel_workflow(other)
    return note("cancelled it")


@workflow(name="cancel.cancels_itself")
def cancels_itself() -> str:
    cancel_workflow("me")
    return note("still here")


@workflow(name="cancel.resumes_nobody")
def resumes_nobody() -> str:
    try:
        resume_workflow("nobody")
    except NonExistentWorkflowError as error:
        return f"no {error.workflow_id}"
    return "resumed"


@workflow(name="cancel.async_operator")
async def async_operator(other: str) -> str:
    await acancel_workflow(other)
    await aresume_workflow(other)
    return "done"


@workflow(name="cancel.quick")
def quick() -> str:
    return note("quick")


@pytest.mark.django_db
def test_a_cancelled_row_is_nobodys() -> None:
    """99, 104, 300. Cancelling clears queue, worker, dedup and start, and sets the end."""
    with SetWorkflowID("c"):
        start_workflow(quick)
    Workflow.objects.filter(workflow_id="c").update(deduplication_id="key", queue_name="line")
    cancel_workflow("c")
    found = get_workflow_status("c")
    assert found is not None
    assert found.status == "CANCELLED"
    assert (found.queue_name, found.deduplication_id, found.worker, found.started_at) == (None,) * 4
    assert found.finished_at is not None
    assert found.updated_at == found.finished_at


@pytest.mark.django_db
def test_finished_and_missing_runs_are_passed_over() -> None:
    """99. SUCCESS and ERROR rows stay as they are; unknown ids are no error; others are cancelled."""

    @workflow(name="cancel.fails")
    def fails() -> None:
        raise ValueError("no")

    with SetWorkflowID("good"):
        quick()
    with SetWorkflowID("bad"), pytest.raises(ValueError, match="no"):
        fails()
    with SetWorkflowID("waiting"):
        start_workflow(quick)
    finished = Workflow.objects.filter(workflow_id__in=["good", "bad"]).order_by("pk")
    before = list(finished.values())
    cancel_workflows(["good", "nobody", "bad", "waiting"])
    assert list(finished.values()) == before
    assert status("waiting") == "CANCELLED"
    ended = get_workflow_status("waiting")
    cancel_workflow("waiting")
    assert get_workflow_status("waiting") == ended


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_does_not_start() -> None:
    """104. An ENQUEUED run that was cancelled is not claimed any more."""
    with SetWorkflowID("c"):
        start_workflow(quick)
    cancel_workflow("c")
    with Worker(threads=1) as worker:
        start_workflow(quick).get_result(timeout=60)
        assert worker.run_until_idle(30)
    assert calls == ["quick"]
    with pytest.raises(AwaitedWorkflowCancelledError):
        get_result("c", timeout=60)


@pytest.mark.django_db(transaction=True)
def test_a_running_step_is_refused_and_runs_again_after_resume(worker: Worker) -> None:
    """100, 107. The step that runs while its run is cancelled is not recorded; resume runs it again."""
    with SetWorkflowID("c"):
        handle = start_workflow(gated)
    assert reached.wait(60)
    cancel_workflow("c")
    gate.set()
    wait_until(lambda: worker.busy == 0)
    assert calls == ["first", "gate"]
    assert step_names("c") == [(1, "note")]
    with pytest.raises(AwaitedWorkflowCancelledError):
        handle.get_result(timeout=60)
    resume_workflow("c")
    assert handle.get_result(timeout=60) == "end"
    assert calls == ["first", "gate", "gate", "after", "end"]


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_does_not_become_a_success(worker: Worker) -> None:
    """101. Cancelled between its last step and its end, a run stays CANCELLED; its caller is told."""
    with SetWorkflowID("c"):
        direct = in_thread(cancelled_at_the_end)
    assert reached.wait(60)
    cancel_workflow("c")
    gate.set()
    with pytest.raises(AwaitedWorkflowCancelledError):
        direct.result(60)
    assert status("c") == "CANCELLED"
    found = get_workflow_status("c")
    assert found is not None
    assert found.output is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["direct", "started"])
def test_a_run_that_swallows_its_cancellation_is_cancelled(worker: Worker, how: str) -> None:
    """100, 294. Even `except BaseException` does not turn a cancellation into a result."""
    with SetWorkflowID("c"):
        running = in_thread(swallows) if how == "direct" else None
        if running is None:
            start_workflow(swallows)
    assert reached.wait(60)
    cancel_workflow("c")
    gate.set()
    with pytest.raises(AwaitedWorkflowCancelledError):
        running.result(60) if running else get_result("c", timeout=60)
    wait_until(lambda: worker.busy == 0)
    assert status("c") == "CANCELLED"
    assert step_names("c") == []


def test_a_cancellation_is_no_exception() -> None:
    """294. User code that catches Exception lets a cancellation pass."""
    assert not issubclass(WorkflowCancelled, Exception)


@pytest.mark.django_db(transaction=True)
def test_no_step_of_the_clean_up_runs(worker: Worker) -> None:
    """100. Steps and transactions in `finally` do not run for a cancelled run."""
    with SetWorkflowID("c"):
        start_workflow(cleans_up)
    assert reached.wait(60)
    cancel_workflow("c")
    gate.set()
    wait_until(lambda: worker.busy == 0)
    assert calls == ["gate"]
    assert not Effect.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_frees_its_slot(worker: Worker) -> None:
    """104. Once the cancelled run has noticed, its thread works for others."""
    with Worker(threads=1) as single:
        with SetWorkflowID("c"):
            start_workflow(gated)
        assert reached.wait(60)
        cancel_workflow("c")
        gate.set()
        assert start_workflow(quick).get_result(timeout=60) == "quick"
        assert single.run_until_idle(30)


@pytest.mark.django_db(transaction=True)
def test_a_parent_may_go_on_when_its_child_is_cancelled(worker: Worker) -> None:
    """103, 295. The child's end is an ordinary exception, recorded as the parent's result step."""
    with SetWorkflowID("p"):
        handle = start_workflow(tolerant_parent)
    assert reached.wait(60)
    cancel_workflow("p-1")
    gate.set()
    assert handle.get_result(timeout=60) == "p-1 was cancelled"
    result = list_workflow_steps("p")[1]
    assert (result.name, result.child_workflow_id) == ("durable.getResult", "p-1")
    assert isinstance(result.error, AwaitedWorkflowCancelledError)
    assert fork_workflow("p", 99).get_result(timeout=60) == "p-1 was cancelled"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cascades", [True, False])
def test_children_are_cancelled_only_if_asked(worker: Worker, cascades: bool) -> None:
    """105. cancel_children ends all descendants, level by level; without it they go on."""
    with SetWorkflowID("p"):
        start_workflow(parent)
    assert reached.wait(60)
    cancel_workflow("p", cancel_children=cascades)
    gate.set()
    if cascades:
        assert {status(one) for one in ("p", "p-1", "p-1-1")} == {"CANCELLED"}
    else:
        assert get_result("p-1", timeout=60) == "end"
        assert status("p") == "CANCELLED"
    wait_until(lambda: worker.busy == 0)
    assert ("end" in calls) is not cascades


@pytest.mark.django_db(transaction=True)
def test_cancelling_inside_a_workflow_is_a_step_and_not_repeated(worker: Worker) -> None:
    """106. The cancellation is recorded; a replay does not cancel the run that was resumed since."""
    with SetWorkflowID("victim"):
        start_workflow(gated)
    with SetWorkflowID("c"):
        assert cancels("victim") == "cancelled it"
    assert step_names("c") == [(1, "durable.cancelWorkflow"), (2, "note")]
    assert status("victim") == "CANCELLED"
    resume_workflow("victim")
    assert fork_workflow("c", 99).get_result(timeout=60) == "cancelled it"
    gate.set()
    assert get_result("victim", timeout=60) == "end"


@pytest.mark.django_db(transaction=True)
def test_a_run_may_cancel_itself(worker: Worker) -> None:
    """100, 106. Its own cancellation takes effect at once: nothing more of it is recorded."""
    with SetWorkflowID("me"):
        handle = start_workflow(cancels_itself)
    with pytest.raises(AwaitedWorkflowCancelledError):
        handle.get_result(timeout=60)
    wait_until(lambda: worker.busy == 0)
    assert calls == []
    assert step_names("me") == []


@pytest.mark.django_db(transaction=True)
def test_a_failed_verb_is_recorded_and_raised_again_on_replay(worker: Worker) -> None:
    """106. The error of a management call is the step's outcome, even if it would succeed by now."""
    with SetWorkflowID("r"):
        assert resumes_nobody() == "no nobody"
    with SetWorkflowID("nobody"):
        quick()
    assert fork_workflow("r", 99).get_result(timeout=60) == "no nobody"


@pytest.mark.django_db(transaction=True)
def test_the_async_twins_are_steps_too(worker: Worker) -> None:
    """106. acancel_workflow and aresume_workflow record the same steps."""
    with SetWorkflowID("other"):
        start_workflow(gated)
    wait_for_status("other", "PENDING")
    with SetWorkflowID("c"):
        handle: Any = start_workflow(async_operator, "other")
    assert handle.get_result(timeout=60) == "done"
    assert step_names("c") == [(1, "durable.cancelWorkflow"), (2, "durable.resumeWorkflow")]
    gate.set()
    assert get_result("other", timeout=60) == "end"
