"""Timeouts and deadlines: a run that takes too long is cancelled, and with it its children."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from durable_app import (
    AwaitedWorkflowCancelledError,
    InvalidOptionError,
    SetWorkflowID,
    SetWorkflowTimeout,
    get_result,
    get_workflow_status,
    list_workflows,
    recv,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, in_thread, status, wait_for_status, wait_until

calls: list[str] = []
dies = threading.Event()
gate = threading.Event()
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    dies.clear()
    gate.clear()
    yield
    gate.set()


@pytest.fixture
def parks_at_once(settings: Any) -> None:
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@step
def pass_the_gate() -> None:
    assert gate.wait(60)


@step
def maybe_die() -> None:
    if dies.is_set():
        dies.clear()
        raise Crash


@workflow(name="timeouts.waits")
def waits() -> Any:
    return recv("never", timeout_seconds=3600)


@workflow(name="timeouts.quick")
def quick() -> str:
    return note("quick")


@workflow(name="timeouts.busy")
def busy() -> None:
    try:
        while True:
            pass_the_gate()
            note("on")
    except Exception:  # noqa: BLE001  (a cancellation passes this)
        note("caught")


@workflow(name="timeouts.parent_of_waiting")
def parent_of_waiting(how: str) -> Any:
    return waits() if how == "called" else start_workflow(waits).get_result()


@workflow(name="timeouts.own_timeout")
def own_timeout(seconds: float | None) -> str:
    with SetWorkflowTimeout(seconds):
        inside = start_workflow(quick)
    outside = start_workflow(quick)
    return f"{inside.workflow_id} {outside.workflow_id}"


@workflow(name="timeouts.handles_it")
def handles_it() -> str:
    try:
        with SetWorkflowTimeout(0.3):
            start_workflow(waits).get_result()
    except AwaitedWorkflowCancelledError as error:
        return f"{error.workflow_id} took too long"
    return "in time"


@workflow(name="timeouts.dies")
def dies_once() -> str:
    maybe_die()
    return "recovered"


@pytest.mark.django_db
def test_a_direct_call_starts_its_clock_at_once() -> None:
    """127, 128. Timeout and deadline are stored and shown; the deadline counts from the start."""
    with SetWorkflowID("t"), SetWorkflowTimeout(3600):
        assert quick() == "quick"
    found = get_workflow_status("t")
    assert found is not None
    assert found.timeout == HOUR
    assert found.deadline_at == found.created_at + HOUR


@pytest.mark.django_db(transaction=True)
def test_an_enqueued_run_starts_its_clock_when_it_is_claimed() -> None:
    """127. While a run waits in the queue it has a timeout, but no deadline."""
    with SetWorkflowID("t"), SetWorkflowTimeout(HOUR):
        start_workflow(quick)
    found = get_workflow_status("t")
    assert found is not None
    assert (found.timeout, found.deadline_at) == (HOUR, None)
    with Worker(threads=1):
        get_result("t", timeout=60)
    found = get_workflow_status("t")
    assert found is not None
    assert found.started_at is not None
    assert found.deadline_at == found.started_at + HOUR


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parks", [True, False])
def test_a_timeout_is_a_cancellation(worker: Worker, settings: Any, parks: bool) -> None:
    """131. The waiter gets AwaitedWorkflowCancelledError, whether the run was parked or not."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0) if parks else HOUR}
    with SetWorkflowTimeout(0.3):
        handle = start_workflow(waits)
    with pytest.raises(AwaitedWorkflowCancelledError):
        handle.get_result(timeout=60)
    found = handle.get_status()
    assert found.status == "CANCELLED"
    assert found.deadline_at is not None
    assert found.finished_at is not None
    assert found.finished_at >= found.deadline_at


@pytest.mark.django_db(transaction=True)
def test_a_direct_caller_gets_the_cancellation_too(worker: Worker) -> None:
    """102, 131. A run called directly is cancelled at its deadline like any other."""
    with SetWorkflowTimeout(0.3):
        running = in_thread(waits)
    with pytest.raises(AwaitedWorkflowCancelledError):
        running.result(60)


@pytest.mark.django_db(transaction=True)
def test_a_busy_run_ends_at_its_next_step(worker: Worker) -> None:
    """100, 131. The step that runs at the deadline is the last; `except Exception` sees nothing."""
    with SetWorkflowTimeout(0.3):
        handle = start_workflow(busy)
    wait_for_status(handle.workflow_id, "CANCELLED")
    gate.set()
    assert worker.run_until_idle(30)
    assert calls == []
    assert handle.get_status().status == "CANCELLED"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["called", "started"])
def test_children_are_cancelled_at_the_parents_deadline(
    parks_at_once: None, worker: Worker, how: str
) -> None:
    """129. The child has the parent's deadline, and both end."""
    with SetWorkflowID("t"), SetWorkflowTimeout(1):
        handle = start_workflow(parent_of_waiting, how)
    with pytest.raises(AwaitedWorkflowCancelledError):
        handle.get_result(timeout=60)
    wait_for_status("t-1", "CANCELLED")
    parent, child = list_workflows(workflow_ids=["t", "t-1"])
    assert parent.status == "CANCELLED"
    assert child.deadline_at == parent.deadline_at


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seconds", [60.0, None])
def test_a_childs_own_timeout_replaces_the_deadline(worker: Worker, seconds: float | None) -> None:
    """130. In a block the child has that timeout; None detaches it; outside the block it inherits."""
    with SetWorkflowID("t"), SetWorkflowTimeout(3600):
        inside_id, outside_id = own_timeout(seconds).split()
    get_result(inside_id, timeout=60)
    get_result(outside_id, timeout=60)
    parent, inside, outside = (get_workflow_status(one) for one in ("t", inside_id, outside_id))
    assert parent is not None and inside is not None and outside is not None
    assert outside.deadline_at == parent.deadline_at
    if seconds is None:
        assert (inside.timeout, inside.deadline_at) == (None, None)
    else:
        assert inside.started_at is not None
        assert inside.deadline_at == inside.started_at + timedelta(seconds=seconds)


@pytest.mark.django_db(transaction=True)
def test_a_parent_may_outlive_its_childs_timeout(worker: Worker) -> None:
    """103, 130. The child's timeout is an ordinary exception to its parent, which goes on."""
    with SetWorkflowID("t"):
        assert start_workflow(handles_it).get_result(timeout=60) == "t-1 took too long"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["ENQUEUED", "DELAYED", "WAITING", "PENDING"])
def test_the_sweep_cancels_runs_that_nobody_executes(state: str) -> None:
    """132. Overdue rows in every unfinished state are cancelled, those of vanished workers, too."""
    with SetWorkflowID("t"):
        start_workflow(waits)
    later = timezone.now() + HOUR
    Workflow.objects.filter(workflow_id="t").update(
        status=state,
        name="timeouts.nobody_has_this_code",
        worker="gone" if state == "PENDING" else None,
        deadline_at=timezone.now() - HOUR,
        run_after=later,
        wake_at=later,
    )
    with Worker(threads=1):
        wait_for_status("t", "CANCELLED")
        with pytest.raises(AwaitedWorkflowCancelledError):
            get_result("t", timeout=60)


@pytest.mark.django_db(transaction=True)
def test_the_sweep_leaves_others_alone(worker: Worker) -> None:
    """132, 135. Neither finished runs past their deadline, nor runs before it, are touched."""
    with SetWorkflowID("done"), SetWorkflowTimeout(3600):
        quick()
    with SetWorkflowID("early"), SetWorkflowTimeout(3600):
        start_workflow(waits)
    with SetWorkflowID("late"):
        start_workflow(waits)
    wait_for_status("early", "PENDING", "WAITING")
    past = timezone.now() - HOUR
    Workflow.objects.filter(workflow_id__in=["done", "late"]).update(deadline_at=past)
    wait_for_status("late", "CANCELLED")
    assert status("done") == "SUCCESS"
    assert status("early") in ("PENDING", "WAITING")


@pytest.mark.django_db(transaction=True)
def test_the_deadline_survives_a_crash(worker: Worker) -> None:
    """94. Recovery keeps the deadline that was recorded at the first start."""
    dies.set()
    with SetWorkflowID("t"), SetWorkflowTimeout(3600):
        crash(dies_once)
    deadline_at = Workflow.objects.get(workflow_id="t").deadline_at
    assert deadline_at is not None
    assert get_result("t", timeout=60) == "recovered"
    assert Workflow.objects.get(workflow_id="t").deadline_at == deadline_at


@pytest.mark.django_db
@pytest.mark.parametrize("timeout", [-1, 0, timedelta(seconds=-1), float("nan"), "1"])
def test_a_timeout_is_above_zero(timeout: Any) -> None:
    """133. Anything else raises before a run exists."""
    with pytest.raises(InvalidOptionError):
        SetWorkflowTimeout(timeout)


@pytest.mark.django_db
def test_a_timeout_does_not_leak() -> None:
    """133, 288. Behind the block, and in the body of the run, there is no timeout."""
    bodies: list[str] = []

    @workflow(name="timeouts.inner")
    def inner() -> None:
        bodies.append("inner")

    @workflow(name="timeouts.outer")
    def outer() -> None:
        inner()

    with SetWorkflowTimeout(3600), SetWorkflowID("inside"):
        outer()
    with SetWorkflowID("behind"):
        outer()
    inside, its_child, behind = (get_workflow_status(one) for one in ("inside", "inside-1", "behind"))
    assert inside is not None and its_child is not None and behind is not None
    assert (inside.timeout, its_child.timeout, behind.timeout) == (HOUR, None, None)
    assert behind.deadline_at is None
    assert bodies == ["inner", "inner"]


@pytest.mark.django_db
def test_every_run_of_a_block_has_its_timeout() -> None:
    """127. A block's timeout is for all runs started in it, not only for the first."""
    with SetWorkflowTimeout(3600):
        handles = [start_workflow(quick) for _ in range(2)]
    assert [handle.get_status().timeout for handle in handles] == [HOUR, HOUR]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("timeout", [2**63, float("inf"), timedelta.max])
def test_a_huge_timeout_is_as_good_as_none(worker: Worker, timeout: Any) -> None:
    """134. It saturates instead of overflowing, called and enqueued; the run ends normally."""
    with SetWorkflowTimeout(timeout):
        assert quick() == "quick"
        handle = start_workflow(quick)
    assert handle.get_result(timeout=60) == "quick"
    found = handle.get_status()
    assert found.deadline_at is not None
    assert found.deadline_at > timezone.now() + timedelta(days=3650)


@pytest.mark.django_db(transaction=True)
def test_a_run_in_time_is_not_affected(worker: Worker) -> None:
    """135. A deadline that is not reached changes nothing."""
    with SetWorkflowTimeout(3600):
        handles = [start_workflow(quick) for _ in range(5)]
    assert [handle.get_result(timeout=60) for handle in handles] == ["quick"] * 5
    wait_until(lambda: worker.busy == 0)
    assert {handle.get_status().status for handle in handles} == {"SUCCESS"}
