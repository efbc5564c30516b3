"""Sagas beside others: a step in flight, a dead worker, branches, children, forks."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    AwaitedWorkflowCancelledError,
    SetWorkflowID,
    SetWorkflowTimeout,
    WorkflowHandle,
    acompensate,
    cancel_workflow,
    clock,
    compensate,
    fork_workflow,
    gather,
    get_result,
    recv,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Status, Step, Wait, Workflow
from durable_app.store import compensation
from durable_app.store import workers as worker_store
from durable_app.worker.worker import Worker
from tests.helpers import status, step_names, wait_for_status, wait_until
from tests.shop.trips import BROKEN, LOG, book, fail, unbook

pytestmark = pytest.mark.django_db(transaction=True)

gate = threading.Event()
reached = threading.Event()


@pytest.fixture(autouse=True)
def new_world() -> Iterator[None]:
    LOG.clear()
    BROKEN.clear()
    gate.clear()
    reached.clear()
    yield
    gate.set()


def started(workflow_id: str, func: Any, *args: Any) -> None:
    with SetWorkflowID(workflow_id):
        start_workflow(func, *args)


def finish(workflow_id: str) -> Any:
    with Worker(threads=2):
        return get_result(workflow_id, timeout=60)


@step(name="races.slow_book")
def slow_book(what: str) -> None:
    """Book at the end of a long call."""
    reached.set()
    assert gate.wait(60)
    LOG.append(f"book {what}")


@workflow(name="races.slow")
def slow() -> None:
    compensate(unbook, "flight")
    slow_book("flight")


@workflow(name="races.aslow")
async def aslow() -> None:
    await acompensate(unbook, "flight")
    await slow_book.acall("flight")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Collect what the compensating runs see when they look whether their run is still executed."""
    found: list[bool] = []
    look = compensation.is_executed

    def looking(run: int) -> bool:
        found.append(look(run))
        return found[-1]

    monkeypatch.setattr(compensation, "is_executed", looking)
    return found


@pytest.mark.parametrize("func", [slow, aslow])
def test_a_step_in_flight_is_undone_after_it_is_done(func: Any, looks: list[bool]) -> None:
    """100. It goes on in its thread: what is undone before it is done would stay done."""
    started("w", func)
    with Worker(threads=2):
        assert reached.wait(45)
        cancel_workflow("w")
        wait_until(lambda: len(looks) > 1)
        assert LOG == []
        gate.set()
        assert get_result("w-compensation", timeout=60) == 1
    assert LOG == ["book flight", "unbook flight"]
    assert not Wait.objects.exists()


def test_a_deadline_in_the_midst_of_a_step_waits_for_it_too(looks: list[bool]) -> None:
    """131. A timeout is a cancellation."""
    with SetWorkflowTimeout(600):
        started("w", slow)
    with Worker(threads=2):
        assert reached.wait(45)
        Workflow.objects.update(deadline_at=clock.now())
        wait_until(lambda: looks)
        assert LOG == []
        gate.set()
        assert get_result("w-compensation", timeout=60) == 1
    assert LOG == ["book flight", "unbook flight"]


@pytest.fixture
def seldom_beats(settings: Any) -> None:
    settings.DURABLE = {"LEASE": timedelta(hours=1)}


def executed_by(worker_id: str) -> int:
    """Make a cancelled run that a worker seems to be executing; return its row."""
    started("w", slow)
    Workflow.objects.update(status=Status.CANCELLED)
    run = int(Workflow.objects.get(workflow_id="w").pk)
    Wait.objects.create(key=f"{compensation.EXECUTING}{worker_id}", workflow_id=run)
    return run


def test_nobody_waits_for_a_dead_worker(seldom_beats: None) -> None:
    """F01. Its step is in flight no more."""
    run = executed_by("gone")
    assert not compensation.is_executed(run)
    with Worker(threads=1) as worker:
        Wait.objects.update(key=f"{compensation.EXECUTING}{worker.incarnation.lease.id}")
        assert compensation.is_executed(run)
    assert not compensation.is_executed(run)


def test_a_heartbeat_lets_go_of_what_its_process_does_not_execute(seldom_beats: None) -> None:
    """F02. Whatever has ended the execution, its compensation goes on while the worker lives."""
    with Worker(threads=1) as worker:
        lease = worker.incarnation.lease
        run = executed_by(lease.id)
        compensation.let_go_of_others(lease.id, [run])
        assert compensation.is_executed(run)
        compensation.let_go_of_others("another", [])
        assert compensation.is_executed(run)
        assert worker_store.is_alive(lease.id)
        worker.incarnation.beat()
        assert not compensation.is_executed(run)


class SealedError(Exception):
    """Lets nobody write a note on it."""

    def add_note(self, note: str, /) -> None:
        raise TypeError("sealed")


@workflow(name="races.sealed")
def raises_sealed() -> None:
    compensate(unbook, "flight")
    compensate(unbook, "hotel")
    raise SealedError("no seat left")


def test_an_error_that_bears_no_note_stops_no_compensation() -> None:
    """The failure is lost to the error, and recorded as the step's."""
    BROKEN.add("hotel")
    started("w", raises_sealed)
    with pytest.raises(SealedError, match="no seat left"):
        finish("w")
    assert LOG == ["unbook hotel", "unbook flight"]
    assert Step.objects.get(branch="0.1", position=2).error is not None


@workflow(name="races.child")
def child(what: str, ends: str) -> str:
    compensate(unbook, what)
    book(what)
    if ends == "waits":
        recv("go", 3600)
    if ends == "fails":
        fail()
    return what


@workflow(name="races.parent")
def parent(how: str, ends: str) -> str:
    compensate(unbook, "own")
    book("own")
    if how == "called":
        child("child's", ends)
    else:
        with SetWorkflowID("child"):
            start_workflow(child, "child's", ends).get_result()
    raise AssertionError("never reached")


@pytest.mark.parametrize("how", ["called", "started"])
def test_a_childs_failure_undoes_the_child_and_then_its_parent(how: str) -> None:
    """103. Each run undoes what it has registered itself; the child's error goes through both."""
    started("w", parent, how, "fails")
    with pytest.raises(RuntimeError, match="no seat left"):
        finish("w")
    assert LOG == ["book own", "book child's", "unbook child's", "unbook own"]


def test_a_cancelled_family_is_undone_by_a_companion_each(settings: Any) -> None:
    """105. Parent and child are cancelled in one call; what undoes them runs once each."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    started("w", parent, "started", "waits")
    with Worker(threads=2):
        wait_for_status("child", Status.WAITING)
        wait_for_status("w", Status.WAITING)
        cancel_workflow("w", cancel_children=True)
        assert get_result("w-compensation", timeout=60) == 1
        assert get_result("child-compensation", timeout=60) == 1
    assert sorted(LOG) == ["book child's", "book own", "unbook child's", "unbook own"]


def test_a_childs_cancellation_is_its_parents_failure(settings: Any) -> None:
    """103. The child is undone by its companion, the parent, which fails of it, by itself."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    started("w", parent, "started", "waits")
    with Worker(threads=2):
        wait_for_status("child", Status.WAITING)
        cancel_workflow("child")
        with pytest.raises(AwaitedWorkflowCancelledError):
            get_result("w", timeout=60)
        assert get_result("child-compensation", timeout=60) == 1
    assert sorted(LOG) == ["book child's", "book own", "unbook child's", "unbook own"]


@workflow(name="races.branches_that_wait")
def branches_that_wait() -> None:
    def branch(what: str) -> None:
        compensate(unbook, what)
        book(what)
        recv(what, 3600)

    gather(lambda: branch("left"), lambda: branch("right"))


def test_cancelled_branches_are_undone(settings: Any) -> None:
    """99. What stands in branches is found as what stands in the trunk."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    started("w", branches_that_wait)
    with Worker(threads=2):
        wait_for_status("w", Status.WAITING)
        cancel_workflow("w")
        assert get_result("w-compensation", timeout=60) == 2
    assert LOG[2:] == ["unbook right", "unbook left"]


@step(name="races.stubborn", retries_allowed=True, max_attempts=2, interval_seconds=2)
def stubborn(what: str) -> None:
    LOG.append(f"try {what}")
    if LOG.count(f"try {what}") < 2:
        raise ValueError("not yet")


@workflow(name="races.parks_while_it_undoes")
def parks_while_it_undoes() -> None:
    compensate(unbook, "flight")
    compensate(stubborn, "hotel")
    fail()


def test_a_compensation_that_is_tried_again_later_parks_the_run(settings: Any) -> None:
    """F16. Its pause costs no thread; the replayed run fails of the same error and goes on undoing."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    started("w", parks_while_it_undoes)
    with Worker(threads=1):
        wait_for_status("w", Status.WAITING)
        assert LOG == ["try hotel"]
        with pytest.raises(RuntimeError, match="no seat left"):
            get_result("w", timeout=60)
    assert LOG == ["try hotel", "try hotel", "unbook flight"]
    assert step_names("w") == [
        (1, "durable.compensate"),
        ("1.0.1", "trips.unbook"),
        (2, "durable.compensate"),
        ("2.0.1", "races.stubborn"),
        ("2.0.1.0.1", "durable.retry"),
        (3, "trips.fail"),
    ]


@workflow(name="races.forked")
def forked(ends: str = "well") -> str:
    compensate(unbook, "flight")
    book("flight")
    recv("go", 3600)
    return ends


def test_a_fork_that_is_cancelled_undoes_what_it_has_taken_over(settings: Any) -> None:
    """112. It continues its original's history, with the duties that stand in it."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    started("w", forked)
    with Worker(threads=1):
        wait_for_status("w", Status.WAITING)
    fork: WorkflowHandle[Any] = fork_workflow("w", 3)
    cancel_workflow(fork.workflow_id)
    assert finish(f"{fork.workflow_id}-compensation") == 1
    assert LOG == ["book flight", "unbook flight"]
    assert status("w") == Status.WAITING
