"""Runs of dead workers are taken back, by any worker, once; and given up in the end."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from durable_app import (
    SetWorkflowID,
    Status,
    clock,
    delete_workflow,
    resume_workflow,
    retrieve_workflow,
    start_workflow,
    step,
    workflow,
    workflow_id,
)
from durable_app.engine.lease import Lease
from durable_app.errors import AwaitedWorkflowMaxRecoveryAttemptsExceeded, NonExistentWorkflowError
from durable_app.models import Step, Workflow
from durable_app.models import Worker as WorkerRow
from durable_app.store import claims, workers
from durable_app.worker.maintenance import Recovery
from durable_app.worker.worker import Worker
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

bodies: list[str] = []


@step
def body(word: str) -> str:
    bodies.append(f"{workflow_id()} {word}")
    return word


@workflow
def two_steps() -> list[str]:
    return [body("one"), body("two")]


@workflow(max_recovery_attempts=2)
def fragile() -> str:
    return body("fragile")


@workflow(max_recovery_attempts=None)
def immortal() -> str:
    return body("immortal")


@workflow
def unreadable(word: str) -> str:
    return body(word)


def a_worker(*, expires_in: float = 60, stopped: bool = False) -> WorkerRow:
    """Make the row of a worker on another host."""
    now = clock.now()
    return WorkerRow.objects.create(
        id=str(uuid4()),
        name="elsewhere",
        hostname="elsewhere",
        process_space="elsewhere",
        pid=1,
        pid_started="1",
        started_at=now,
        heartbeat_at=now,
        expires_at=now + timedelta(seconds=expires_in),
        stopped_at=now if stopped else None,
    )


def claimed_by(owner: WorkerRow, flow: Any = two_steps) -> Workflow:
    """Start a run and let a worker claim it that will never execute it."""
    handle = start_workflow(flow)
    [claimed] = claims.claim(claims.Claimer(worker_id=owner.pk), [flow.name], 1)
    assert claimed.workflow_id == handle.workflow_id
    return Workflow.objects.get(pk=claimed.run)


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Run functions in threads that start together; return their answers."""
    barrier = threading.Barrier(len(functions))
    answers: list[Any] = [None] * len(functions)

    def target(index: int) -> None:
        try:
            barrier.wait()
            answers[index] = functions[index]()
        except Exception as error:  # noqa: BLE001
            answers[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=target, args=[index]) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_dead_workers_run_goes_back_to_its_queue_and_is_finished() -> None:
    """79, 80, 84. Any worker takes it back; the attempt rises, and the crash is counted once."""
    run = claimed_by(a_worker(stopped=True))

    with Worker(threads=1):
        assert retrieve_workflow(run.workflow_id).get_result(timeout=45) == ["one", "two"]

    run.refresh_from_db()
    assert (run.attempt, run.recovery_attempts, run.queue_name) == (3, 1, "default")


def test_a_living_workers_run_is_left_alone() -> None:
    """79, 81. Neither a lease that is valid nor runs that nobody has claimed are anything to recover."""
    held = claimed_by(a_worker())
    waiting = start_workflow(two_steps)
    delayed = start_workflow(two_steps)
    later = clock.now() + timedelta(hours=1)
    Workflow.objects.filter(workflow_id=delayed.workflow_id).update(status=Status.DELAYED, run_after=later)
    before = list(Workflow.objects.order_by("pk").values())

    assert workers.recover(by_lease=True) == []

    assert list(Workflow.objects.order_by("pk").values()) == before
    assert {held.workflow_id, waiting.workflow_id} < {run["workflow_id"] for run in before}


def test_recovery_is_idempotent() -> None:
    """81. A second request finds nothing: the run belongs to the queue, or to its new owner."""
    run = claimed_by(a_worker(stopped=True))

    [taken] = workers.recover(by_lease=False)
    assert (taken.workflow_id, taken.status) == (run.workflow_id, Status.ENQUEUED)
    assert workers.recover(by_lease=True) == []
    claims.claim(claims.Claimer(worker_id=a_worker().pk), [two_steps.name], 1)
    assert workers.recover(by_lease=True) == []

    run.refresh_from_db()
    assert (run.attempt, run.recovery_attempts) == (3, 1)


def test_two_sweepers_at_once_take_each_run_back_once() -> None:
    """81, F07. What one takes the other does not: each attempt rises by one, each crash counts once."""
    owner = a_worker(stopped=True)
    taken = {claimed_by(owner).workflow_id for _ in range(12)}

    found = at_once(*[lambda: workers.recover(by_lease=True) for _ in range(3)])

    ids = [one.workflow_id for answer in found for one in answer]
    assert sorted(ids) == sorted(taken)
    assert {(run.attempt, run.recovery_attempts) for run in Workflow.objects.all()} == {(2, 1)}


def test_a_young_lease_judges_no_other() -> None:
    """F16. After an outage every lease looks expired: who has just come back takes nothing over."""
    run = claimed_by(a_worker(expires_in=-1))
    lease = Lease(30.0)
    lease.renewed(clock.boot_seconds())
    recovery = Recovery(1.0, lambda: lease)

    recovery.tick()
    run.refresh_from_db()
    assert run.status == Status.PENDING

    lease.began_at -= 31
    recovery.tick()
    run.refresh_from_db()
    assert run.status == Status.ENQUEUED


def test_a_run_that_kills_its_workers_is_given_up() -> None:
    """84, 85, 86. After max_recovery_attempts + 1 crashes more it is a dead letter; its id stays taken."""
    owner = a_worker(stopped=True)
    run = claimed_by(owner, fragile)
    Workflow.objects.filter(pk=run.pk).update(deduplication_id="one of a kind")

    for crashes in range(1, 4):
        [taken] = workers.recover(by_lease=False)
        assert taken.status != Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED
        Workflow.objects.filter(pk=run.pk).update(status=Status.ENQUEUED)
        claims.claim(claims.Claimer(worker_id=owner.pk), [fragile.name], 1)
        run.refresh_from_db()
        assert run.recovery_attempts == crashes
    [taken] = workers.recover(by_lease=False)

    run.refresh_from_db()
    assert taken.status == run.status == Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED
    assert run.deduplication_id is None
    assert run.finished_at is not None


def test_who_keeps_crashing_is_tried_later_and_later() -> None:
    """86. The first crashes are forgiven at once; then the next try is delayed."""
    owner = a_worker(stopped=True)
    run = claimed_by(owner, immortal)
    delays = []
    for crashes in range(1, 7):
        Workflow.objects.filter(pk=run.pk).update(recovery_attempts=crashes - 1, status=Status.PENDING)
        [taken] = workers.recover(by_lease=False)
        run.refresh_from_db()
        delays.append(run.run_after - run.updated_at if run.run_after else timedelta(0))
        assert (taken.status == Status.DELAYED) == (run.run_after is not None)
        Workflow.objects.filter(pk=run.pk).update(run_after=None)

    assert delays[:2] == [timedelta(0), timedelta(0)]
    assert delays[2:] == sorted(set(delays[2:]))
    assert delays[2] > timedelta(0)


def test_without_a_limit_a_run_is_never_given_up() -> None:
    """86. None is unlimited."""
    run = claimed_by(a_worker(stopped=True), immortal)
    Workflow.objects.filter(pk=run.pk).update(recovery_attempts=10_000)

    [taken] = workers.recover(by_lease=False)

    assert taken.status == Status.DELAYED


def dead_letter() -> str:
    """Return the id of a run that has been given up."""
    run = claimed_by(a_worker(stopped=True), fragile)
    Workflow.objects.filter(pk=run.pk).update(recovery_attempts=10)
    workers.recover(by_lease=False)
    return str(run.workflow_id)


def test_a_dead_letter_does_not_run_again_and_is_an_error_to_await() -> None:
    """87. Calling it by its id, or awaiting it, tells what has become of it."""
    name = dead_letter()
    bodies.clear()

    with SetWorkflowID(name), pytest.raises(AwaitedWorkflowMaxRecoveryAttemptsExceeded):
        fragile()
    with pytest.raises(AwaitedWorkflowMaxRecoveryAttemptsExceeded):
        retrieve_workflow(name).get_result()
    with SetWorkflowID(name):
        start_workflow(fragile)
    with Worker(threads=1) as worker:
        assert worker.run_until_idle(timeout=45)

    assert bodies == []


def test_a_dead_letter_that_is_resumed_starts_counting_anew() -> None:
    """87, 107. Its crashes are forgotten, and it runs."""
    name = dead_letter()

    resume_workflow(name)
    assert retrieve_workflow(name).get_status().recovery_attempts == 0
    with Worker(threads=1):
        assert retrieve_workflow(name).get_result(timeout=45) == "fragile"


def test_inputs_that_cannot_be_read_end_the_run_at_once() -> None:
    """89. No retry could help; the worker and the run behind it are unharmed."""
    broken = start_workflow(unreadable, "word")
    good = start_workflow(unreadable, "good")
    Workflow.objects.filter(workflow_id=broken.workflow_id).update(inputs="{not json")

    with Worker(threads=1):
        assert good.get_result(timeout=45) == "good"
        wait_until(lambda: broken.get_status().finished_at)

    assert broken.get_status().status == Status.ERROR
    assert broken.get_status().recovery_attempts == 0


def test_unknown_code_waits_and_holds_nobody_up() -> None:
    """90, 92, 297, F09. A dead worker's run of a function that nobody has waits; its neighbours finish."""
    owner = a_worker(stopped=True)
    strange = claimed_by(owner)
    known = claimed_by(owner)
    Workflow.objects.filter(pk=strange.pk).update(name="gone.with.the.release")

    with Worker(threads=1):
        assert retrieve_workflow(known.workflow_id).get_result(timeout=45) == ["one", "two"]

    strange.refresh_from_db()
    assert strange.status == Status.ENQUEUED
    Workflow.objects.filter(pk=strange.pk).update(name=two_steps.name)
    with Worker(threads=1):
        assert retrieve_workflow(strange.workflow_id).get_result(timeout=45) == ["one", "two"]


def test_a_version_that_nobody_runs_waits(settings: Any) -> None:
    """188, 297. With a version set a worker takes its own runs only; the others are not lost."""
    settings.DURABLE = {"APP_VERSION": "1"}
    old = claimed_by(a_worker(stopped=True))
    settings.DURABLE = {"APP_VERSION": "2"}
    new = start_workflow(two_steps)

    with Worker(threads=1):
        new.get_result(timeout=45)
        wait_until(lambda: retrieve_workflow(old.workflow_id).get_status().status == Status.ENQUEUED)
    settings.DURABLE = {"APP_VERSION": "1"}
    with Worker(threads=1):
        assert retrieve_workflow(old.workflow_id).get_result(timeout=45) == ["one", "two"]


def test_the_deadline_outlives_the_crash() -> None:
    """94, 296. It is set at the first claim by the database's clock, and never moved."""
    run = claimed_by(a_worker(stopped=True))
    deadline_at = clock.now() + timedelta(hours=1)
    Workflow.objects.filter(pk=run.pk).update(deadline_at=deadline_at, timeout=timedelta(hours=1))
    started_at = run.started_at

    with Worker(threads=1):
        retrieve_workflow(run.workflow_id).get_result(timeout=45)

    run.refresh_from_db()
    assert (run.deadline_at, run.started_at) == (deadline_at, started_at)


def test_calling_or_starting_an_existing_run_is_no_recovery() -> None:
    """12, 84, 88. Only crashes count."""
    with SetWorkflowID("counted"):
        two_steps()
    for _ in range(3):
        with SetWorkflowID("counted"):
            two_steps()
        with SetWorkflowID("counted"):
            start_workflow(two_steps)

    run = Workflow.objects.get(workflow_id="counted")
    assert (run.attempt, run.recovery_attempts, run.status) == (1, 0, Status.SUCCESS)


@step
def delete_own_row() -> None:
    delete_workflow(workflow_id() or "")


@workflow
def self_deleting() -> list[str]:
    delete_own_row()
    return [body("after the end")]


def test_the_outcome_of_a_deleted_run_is_that_it_does_not_exist() -> None:
    """95, 111. Its execution ends at the next record, and its caller is told."""
    bodies.clear()
    with pytest.raises(NonExistentWorkflowError):
        self_deleting()

    assert bodies == []
    assert not Step.objects.exists()


gate = threading.Event()
inside = threading.Event()


@step
def wait_inside() -> str:
    inside.set()
    assert gate.wait(45)
    return "done"


@workflow
def interrupted() -> list[str]:
    return [wait_inside(), body("after")]


def test_a_worker_that_lost_its_lease_starts_no_step_and_another_finishes() -> None:
    """61, 96, F05. It drops the run without a trace, and its thread is free."""
    inside.clear()
    gate.clear()
    bodies.clear()
    handle = start_workflow(interrupted)
    with Worker(threads=1) as worker:
        wait_until(inside.is_set)
        owner = worker.incarnation.lease.id
        workers.stop(owner)
        worker.incarnation.beat()
        assert worker.incarnation.lease.id != owner
        gate.set()
        assert handle.get_result(timeout=45) == ["done", "after"]

    assert len(bodies) == 1
    run = Workflow.objects.get(workflow_id=handle.workflow_id)
    assert run.attempt > 1
    assert Step.objects.get(workflow=run, name="body").attempt == run.attempt
