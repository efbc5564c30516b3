"""Runs claimed ahead: how many, who gets those that wait too long, and how their ends are recorded."""

import asyncio
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from durable_app import SetWorkflowTimeout, clock, start_workflow, step, workflow
from durable_app.engine.context import Execution
from durable_app.engine.lease import Lease
from durable_app.models import Status, Step, Workflow
from durable_app.store import claims, database, workers
from durable_app.store.claims import Claimer
from durable_app.store.records import Outcome
from durable_app.worker.backlog import MOMENT, MOST, Backlog, Task
from durable_app.worker.worker import Worker
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

gate = threading.Event()


@pytest.fixture(autouse=True)
def closed_gate() -> Any:
    gate.clear()
    yield
    gate.set()


@workflow(name="backlog.brief")
def brief(number: int) -> int:
    return number


@workflow(name="backlog.fails")
def fails(number: int) -> int:
    raise ValueError(number)


@step
def wait_at_the_gate() -> None:
    assert gate.wait(60)


@workflow(name="backlog.gated")
def gated() -> None:
    wait_at_the_gate()


@workflow(name="backlog.abrief")
async def abrief(number: int) -> int:
    return number


@workflow(name="backlog.agated")
async def agated() -> None:
    while not gate.is_set():
        await asyncio.sleep(0.01)


@workflow(name="backlog.awaits_briefs")
def awaits_briefs(count: int) -> int:
    handles = [start_workflow(brief, number) for number in range(count)]
    return sum(handle.get_result() for handle in handles)


def nothing() -> Any:
    return
    yield


def task(run: int = 1) -> Task:
    execution = Execution(run=run, workflow_id=str(run), name="n", attempt=1, lease=Lease(None))
    return Task(execution, nothing())


def backlog_of_runs_that_take(seconds: float, slots: int = 8) -> Backlog:
    found = Backlog(slots)
    for _ in range(200):
        found.note(seconds)
    return found


@pytest.mark.parametrize(("seconds", "ahead"), [(0.0, MOST), (0.002, 100), (0.02, 10), (0.03, 0), (5.0, 0)])
def test_as_many_runs_are_claimed_ahead_as_end_within_a_moment(seconds, ahead):
    """Of runs that take longer than a moment none is: they stay in the queue for whoever has room."""
    assert backlog_of_runs_that_take(seconds).ahead == pytest.approx(ahead, abs=2)


def test_nothing_is_claimed_ahead_before_anything_is_known():
    assert Backlog(8).ahead == 0


def test_one_long_run_ends_the_claiming_ahead_for_a_while():
    found = backlog_of_runs_that_take(0.001)
    assert found.ahead > 0
    found.note(60.0)
    assert found.ahead == 0


def test_runs_that_waited_too_long_are_taken_back_and_none_is_claimed_ahead_then():
    found = backlog_of_runs_that_take(0.001)
    found.add([task(1)])
    time.sleep(0.03)
    found.add([task(2)])
    assert [one.execution.run for one in found.take_back(longer_than=0.02)] == [1]
    assert (found.ahead, len(found)) == (0, 1)


def test_the_first_come_begin_first():
    found = Backlog(2)
    found.add([task(1), task(2)])
    found.add([task(3)])
    taken = [found.take() for _ in range(4)]
    assert [one and one.execution.run for one in taken] == [1, 2, 3, None]


def claimed(count: int) -> list[Any]:
    for number in range(count):
        start_workflow(brief, number)
    return claims.claim(Claimer(worker_id="w"), [brief.name], count)


def test_a_run_handed_back_is_ready_for_anybody_and_no_crash():
    """F12. The next claim has an attempt of its own; what happened meanwhile to a run is left alone."""
    first, second, third = claimed(3)
    Workflow.objects.filter(pk=second.run).update(attempt=2)
    Workflow.objects.filter(pk=third.run).update(status=Status.CANCELLED)

    workers.hand_back([(one.run, one.attempt) for one in (first, second, third)])

    found = {one.pk: (one.status, one.attempt, one.recovery_attempts) for one in Workflow.objects.all()}
    assert found == {
        first.run: (Status.ENQUEUED, 1, 0),
        second.run: (Status.PENDING, 2, 0),
        third.run: (Status.CANCELLED, 1, 0),
    }
    [again] = claims.claim(Claimer(worker_id="other"), [brief.name], 3)
    assert (again.run, again.attempt) == (first.run, 2)


def test_a_timeout_begins_with_the_run_and_not_with_the_claim_that_was_handed_back():
    """94, 127, 129. A deadline that is not counted from the claim stays: a parent's, one before a crash."""
    with SetWorkflowTimeout(60):
        claimed_ahead, crashed, begun = [start_workflow(brief, number) for number in range(3)]
    inherits = start_workflow(brief, 3)
    for handle, changes in (
        (inherits, {"deadline_at": clock.now() + timedelta(hours=1)}),
        (crashed, {"recovery_attempts": 1}),
    ):
        Workflow.objects.filter(workflow_id=handle.workflow_id).update(**changes)
    found = claims.claim(Claimer(worker_id="w"), [brief.name], 4)
    run = Workflow.objects.get(workflow_id=begun.workflow_id)
    Step.objects.create(
        workflow=run, position=1, name="s", started_at=clock.now(), finished_at=clock.now(), attempt=1
    )
    before = dict(Workflow.objects.values_list("workflow_id", "deadline_at"))
    assert None not in before.values()

    workers.hand_back([(one.run, one.attempt) for one in found])

    after = dict(Workflow.objects.values_list("workflow_id", "deadline_at"))
    assert after == {**before, claimed_ahead.workflow_id: None}


def test_runs_that_were_claimed_behind_long_ones_go_back_to_the_queue():
    """184. Brief runs made the worker claim ahead; the long ones it got so are free for another worker."""
    with Worker(threads=2) as worker:
        for number in range(300):
            start_workflow(brief, number)
        wait_until(lambda: Workflow.objects.filter(status=Status.SUCCESS).count() == 300)
        for _ in range(40):
            start_workflow(gated)
        wait_until(lambda: Workflow.objects.filter(status=Status.PENDING).count() == 2 and worker.busy == 2)
        assert Workflow.objects.filter(status=Status.ENQUEUED).count() == 38
        gate.set()
        wait_until(lambda: Workflow.objects.filter(status=Status.SUCCESS).count() == 340)
    assert set(Workflow.objects.values_list("recovery_attempts", flat=True)) == {0}
    assert Step.objects.count() == 40


@pytest.mark.parametrize("colour", ["threads", "loop"])
def test_what_has_not_begun_goes_back_when_the_worker_is_to_take_no_more(colour, monkeypatch):
    """87, 221. Another worker need not wait for this one's runs to end."""
    monkeypatch.setattr("durable_app.worker.claimer.TOO_LONG", 3600.0)
    held, behind = (gated, brief) if colour == "threads" else (agated, abrief)
    worker = Worker(threads=1, async_concurrency=1)
    worker.start()
    try:
        start_workflow(held)
        wait_until(lambda: worker.busy == 1)
        backlog = getattr(worker, colour).backlog
        while backlog.ahead < 3:
            backlog.note(MOMENT / 4)
        for number in range(3):
            start_workflow(behind, number)
        wait_until(lambda: len(backlog) == 3)
        worker.quiet()
        assert (len(backlog), worker.busy) == (0, 1)
        back = Workflow.objects.filter(status=Status.ENQUEUED, name=behind.name)
        assert list(back.values_list("attempt", "recovery_attempts", "started_at")) == [(1, 0, None)] * 3
    finally:
        gate.set()
        worker.stop()
    assert Workflow.objects.get(name=held.name).status == Status.SUCCESS


def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the outcomes in each batch that the committer writes."""
    found: list[int] = []
    writer: Any = database.committer()._writer
    write = writer.write

    def counting(records: list[Any]) -> list[Any]:
        found.append(sum(isinstance(record, Outcome) for record in records))
        return write(records)  # type: ignore[no-any-return]

    monkeypatch.setattr(writer, "write", counting)
    return found


@pytest.mark.parametrize("flow", [brief, fails])
def test_brief_runs_share_the_commit_of_their_ends(flow, monkeypatch):
    """10. One thread executes 200 runs one after another, and waits for the commit of few of them."""
    handles = [start_workflow(flow, number) for number in range(200)]
    batches = outcomes(monkeypatch)
    with Worker(threads=1):
        wait_until(lambda: not Workflow.objects.filter(finished_at__isnull=True).exists())
    assert sum(batches) == 200
    assert max(batches) > 1
    ends = Counter(Workflow.objects.values_list("status", "attempt"))
    assert ends == {(Status.SUCCESS if flow is brief else Status.ERROR, 1): 200}
    if flow is brief:
        assert [handle.get_result() for handle in handles] == list(range(200))


def test_an_end_that_is_refused_harms_no_other(monkeypatch):
    """F04. A run was cancelled while its end waited for the commit: it stays cancelled, and alone."""
    handles = [start_workflow(brief, number) for number in range(100)]
    victim = handles[50].workflow_id
    commit_all = database.commit_all

    def cancel_first(records: list[Any]) -> list[Any]:
        Workflow.objects.filter(workflow_id=victim, status=Status.PENDING).update(status=Status.CANCELLED)
        return commit_all(records)

    monkeypatch.setattr("durable_app.worker.ends.database.commit_all", cancel_first)
    with Worker(threads=1) as worker:
        wait_until(lambda: Workflow.objects.filter(status=Status.SUCCESS).count() >= 99)
        wait_until(lambda: worker.busy == 0)
    found = Counter(Workflow.objects.values_list("status", flat=True))
    assert found[Status.SUCCESS] + found[Status.CANCELLED] == 100
    assert found[Status.CANCELLED] <= 1


def test_an_end_that_could_not_be_recorded_is_executed_again(monkeypatch, settings):
    """95, F02. Whatever has failed, the runs of the batch are found astray, and no thread is lost."""
    settings.DURABLE = {"LEASE": timedelta(seconds=2)}
    handles = [start_workflow(brief, number) for number in range(60)]
    commit_all = database.commit_all
    failed: list[int] = []

    def fail_once(records: list[Any]) -> list[Any]:
        if not failed:
            failed.append(len(records))
            raise RuntimeError("no answer")
        return commit_all(records)

    monkeypatch.setattr("durable_app.worker.ends.database.commit_all", fail_once)
    monkeypatch.setattr(Backlog, "ahead", MOST)
    with Worker(threads=1):
        wait_until(lambda: not Workflow.objects.filter(finished_at__isnull=True).exists())
    assert [handle.get_result() for handle in handles] == list(range(60))
    crashed = Workflow.objects.filter(recovery_attempts=1).count()
    assert crashed == sum(failed) > 0


def test_a_worker_that_stops_loses_no_end():
    """95, 177. What has executed is recorded, the rest goes back: no run is left to a worker that is gone."""
    handles = [start_workflow(brief, number) for number in range(150)]
    with Worker(threads=2):
        wait_until(Workflow.objects.filter(status=Status.SUCCESS).exists)
    found = Counter(Workflow.objects.values_list("status", flat=True))
    assert found[Status.SUCCESS] + found[Status.ENQUEUED] == 150, found
    with Worker(threads=2):
        assert [handle.get_result(timeout=60) for handle in handles] == list(range(150))
    assert set(Workflow.objects.values_list("recovery_attempts", flat=True)) == {0}


def test_a_waiting_parent_hears_of_ends_that_share_a_commit(settings):
    """F20. A parked parent's children end in batches: each wakes it that it waits for."""
    parent = start_workflow(awaits_briefs, 60)
    with Worker(threads=2):
        assert parent.get_result(timeout=60) == sum(range(60))
