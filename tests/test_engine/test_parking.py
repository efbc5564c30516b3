"""A waiting run costs a row, not a thread: it parks, is woken by its news, and never misses them."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from durable_app import (
    AwaitedWorkflowCancelledError,
    SetWorkflowID,
    cancel_workflow,
    get_event,
    get_result,
    list_workflows,
    recv,
    resume_workflow,
    retrieve_workflow,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Wait
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, status, step_names, wait_for_status, wait_until

calls: list[str] = []
gate = threading.Event()


@pytest.fixture(autouse=True)
def parks_at_once(settings: Any) -> Iterator[None]:
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    calls.clear()
    gate.clear()
    yield
    gate.set()


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
def pass_the_gate() -> None:
    assert gate.wait(60)


@workflow(name="parking.sleeps")
def sleeps(seconds: float) -> str:
    note("before")
    sleep(seconds)
    return note("after")


@workflow(name="parking.receives")
def receives() -> Any:
    return recv("go", timeout_seconds=3600)


@workflow(name="parking.receives_two")
def receives_two() -> list[Any]:
    return [recv("go", timeout_seconds=3600), recv("go", timeout_seconds=3600)]


@workflow(name="parking.reads_event")
def reads_event(target: str) -> Any:
    return get_event(target, "key", timeout_seconds=3600)


@workflow(name="parking.sets_event")
def sets_event(value: str) -> None:
    set_event("key", value)


@workflow(name="parking.sets_event_behind_the_gate")
def sets_event_behind_the_gate(value: str) -> None:
    pass_the_gate()
    set_event("key", value)


@workflow(name="parking.awaits")
def awaits(target: str) -> Any:
    return get_result(target)


@workflow(name="parking.quick_child")
def quick_child(what: int) -> int:
    return what


@workflow(name="parking.awaits_quick_child")
def awaits_quick_child(what: int) -> int:
    return start_workflow(quick_child, what).get_result()


@workflow(name="parking.gated")
def gated() -> str:
    pass_the_gate()
    return "through"


@workflow(name="parking.times_out")
def times_out() -> list[Any]:
    return [recv("never", timeout_seconds=0.2), get_event("nobody", "key", timeout_seconds=0.2)]


@workflow(name="parking.cleans_up")
def cleans_up() -> Any:
    try:
        try:
            return recv("go", timeout_seconds=3600)
        except Exception:  # noqa: BLE001  (must not see the suspension)
            note("except")
    finally:
        note("finally")


@workflow(name="parking.swallows")
def swallows() -> Any:
    try:
        return recv("go", timeout_seconds=3600)
    except BaseException:  # noqa: BLE001  (what bare `except:` in user code does)
        return "swallowed"


@pytest.mark.django_db(transaction=True)
def test_fifty_waiting_runs_hold_no_thread() -> None:
    """136. Fifty sleepers wait on a worker with two threads, and another run passes them."""
    with Worker(threads=2) as worker:
        handles = [start_workflow(sleeps, 3600) for _ in range(50)]
        wait_until(lambda: len(list_workflows(status="WAITING")) == 50)
        wait_until(lambda: worker.busy == 0)
        assert start_workflow(quick_child, 7).get_result(timeout=60) == 7
        assert calls == ["before"] * 50
        assert {handle.get_status().waiting_for for handle in handles} == {"sleep"}


@pytest.mark.django_db(transaction=True)
def test_fifty_parked_runs_all_get_their_message() -> None:
    """148, 150. Fifty parked receivers on two threads are woken by fifty messages, each by its own."""
    with Worker(threads=2):
        handles = [start_workflow(receives) for _ in range(50)]
        wait_until(lambda: len(list_workflows(status="WAITING")) == 50)
        for number, handle in enumerate(handles):
            send(handle.workflow_id, number, "go")
        assert [handle.get_result(timeout=60) for handle in handles] == list(range(50))
    assert not Wait.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_parked_run_shows_what_it_waits_for(worker: Worker) -> None:
    """128. The row of a parked run says for what it waits, until when, and is nobody's."""
    start_workflow(receives)
    with SetWorkflowID("reader"):
        start_workflow(reads_event, "nobody-yet")
    wait_for_status("reader", "WAITING")
    found = wait_until(lambda: list_workflows(name="parking.receives", status="WAITING"))[0]
    assert (found.waiting_for, found.wake_at is not None) == ("message go", True)
    assert found.finished_at is None
    assert retrieve_workflow("reader").get_status().waiting_for == "event key"


@pytest.mark.django_db(transaction=True)
def test_a_due_time_wakes_the_run(worker: Worker) -> None:
    """136. A parked sleeper goes on when its time has come; its steps do not repeat."""
    handle = start_workflow(sleeps, 0.3)
    assert handle.get_result(timeout=60) == "after"
    assert calls == ["before", "after"]
    assert handle.get_status().attempt == 2


@pytest.mark.django_db(transaction=True)
def test_timeouts_of_parked_waits_deliver_none(worker: Worker) -> None:
    """148, 155. A parked recv and a parked get_event end with None at their deadlines."""
    assert start_workflow(times_out).get_result(timeout=60) == [None, None]


@pytest.mark.django_db(transaction=True)
def test_an_event_wakes_all_its_readers(worker: Worker) -> None:
    """151, 155. Several parked readers of one event are all woken by it."""
    with SetWorkflowID("setter"):
        start_workflow(sets_event_behind_the_gate, "news")
    readers = [start_workflow(reads_event, "setter") for _ in range(5)]
    for reader in readers:
        wait_for_status(reader.workflow_id, "WAITING")
    gate.set()
    assert [reader.get_result(timeout=60) for reader in readers] == ["news"] * 5


@pytest.mark.django_db(transaction=True)
def test_an_event_of_a_run_that_does_not_exist_yet(worker: Worker) -> None:
    """155. get_event may park before its target exists, and sees the event once it does."""
    reader = start_workflow(reads_event, "later")
    wait_for_status(reader.workflow_id, "WAITING")
    with SetWorkflowID("later"):
        sets_event("news")
    assert reader.get_result(timeout=60) == "news"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ending", ["success", "cancelled"])
def test_an_awaited_runs_end_wakes_its_waiters(worker: Worker, ending: str) -> None:
    """32, 102. Parked waiters learn of any end of the run they wait for."""
    with SetWorkflowID("awaited"):
        start_workflow(gated)
    waiters = [start_workflow(awaits, "awaited") for _ in range(3)]
    for waiter in waiters:
        wait_for_status(waiter.workflow_id, "WAITING")
    if ending == "success":
        gate.set()
        assert [waiter.get_result(timeout=60) for waiter in waiters] == ["through"] * 3
        return
    cancel_workflow("awaited")
    for waiter in waiters:
        with pytest.raises(AwaitedWorkflowCancelledError):
            waiter.get_result(timeout=60)
        assert status(waiter.workflow_id) == "ERROR"


@pytest.mark.django_db(transaction=True)
def test_a_direct_call_never_parks(worker: Worker) -> None:
    """1, 136. A run called directly belongs to its caller's thread: it waits there as PENDING."""
    with SetWorkflowID("direct"):
        running: Future[Any] = in_thread(receives)
    wait_until(lambda: "durable.sleep" in [name for _, name in step_names("direct")])
    assert status("direct") == "PENDING"
    send("direct", "hello", "go")
    assert running.result(60) == "hello"
    assert retrieve_workflow("direct").get_status().attempt == 1


@pytest.mark.django_db(transaction=True)
def test_no_step_runs_because_of_a_suspension(worker: Worker) -> None:
    """294. Steps in `finally` and `except Exception` do not run while the run unwinds to park."""
    handle = start_workflow(cleans_up)
    wait_for_status(handle.workflow_id, "WAITING")
    wait_until(lambda: worker.busy == 0)
    assert calls == []
    send(handle.workflow_id, "hello", "go")
    assert handle.get_result(timeout=60) == "hello"
    assert calls == ["finally"]


@pytest.mark.django_db(transaction=True)
def test_a_run_that_swallows_its_suspension_stays_parked(worker: Worker) -> None:
    """294. What a workflow returns after swallowing its suspension is not its result."""
    handle = start_workflow(swallows)
    wait_for_status(handle.workflow_id, "WAITING", "SUCCESS")
    wait_until(lambda: worker.busy == 0)
    assert handle.get_status().status == "WAITING"
    send(handle.workflow_id, "hello", "go")
    assert handle.get_result(timeout=60) == "hello"


@pytest.mark.django_db(transaction=True)
def test_a_resumed_sleeper_sleeps_only_the_rest(worker: Worker) -> None:
    """107, 136. Resuming a parked run replays it: it parks again with the same due time."""
    handle = start_workflow(sleeps, 3600)
    wait_for_status(handle.workflow_id, "WAITING")
    before = handle.get_status()
    resume_workflow(handle.workflow_id)
    wait_until(lambda: handle.get_status().attempt > before.attempt and handle.get_status().wake_at)
    assert handle.get_status().wake_at == before.wake_at
    assert calls == ["before"]


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_sleeper_is_not_woken(worker: Worker) -> None:
    """99, 104. A parked run is cancelled in the row; no news brings it back."""
    handle = start_workflow(receives)
    wait_for_status(handle.workflow_id, "WAITING")
    cancel_workflow(handle.workflow_id)
    send(handle.workflow_id, "hello", "go")
    assert worker.run_until_idle(30)
    found = handle.get_status()
    assert (found.status, found.wake_at, found.waiting_for) == ("CANCELLED", None, "")
    assert not Wait.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_message_wakes_nobody(worker: Worker) -> None:
    """177. A message whose transaction is rolled back was never sent: the run stays parked."""
    waiter = start_workflow(receives)
    wait_for_status(waiter.workflow_id, "WAITING")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        send(waiter.workflow_id, "never", "go")
        raise ZeroDivisionError
    assert worker.run_until_idle(30)
    assert waiter.get_status().status == "WAITING"
    send(waiter.workflow_id, "sent", "go")
    assert waiter.get_result(timeout=60) == "sent"
