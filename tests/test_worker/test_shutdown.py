"""SIGTERM and SIGINT: a worker process drains, hands back what does not end, and goes."""

import os
import signal
from pathlib import Path

import pytest

from durable_app import list_workflow_steps, send, start_workflow
from durable_app.models import Status, Step, Workflow
from tests.helpers import status, wait_for_status, wait_until
from tests.shop import hold, workflows

RUNNING = "is running"
HOLDERS = pytest.mark.parametrize("holder", [hold.hold, hold.ahold])


def notes(folder: Path, what: str) -> list[int]:
    """Return the pids of the processes that noted something."""
    log = folder / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [int(line.split()[2]) for line in lines if line.split()[1] == what]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@HOLDERS
def test_a_signal_lets_running_steps_end_and_claims_nothing_more(manage, tmp_path, holder, number):
    """Drain: the run ends within the grace time, what was enqueued after the signal stays, status 0."""
    held = start_workflow(holder, str(tmp_path))
    worker = manage("durable_worker", "--graceful-timeout", "60")
    wait_until(lambda: notes(tmp_path, "begins"))
    worker.signal(number)
    worker.wait_for("is stopping; 1 runs have 60 seconds")
    late = start_workflow(workflows.sum_of_three, 1, 2, 3)
    (tmp_path / "release").touch()
    assert worker.ended() == 0, worker.output
    assert status(held.workflow_id) == Status.SUCCESS
    assert status(late.workflow_id) == Status.ENQUEUED
    assert "0 runs were handed back" in worker.output


@HOLDERS
def test_what_does_not_end_is_handed_back_and_another_worker_goes_on_at_once(manage, tmp_path, holder):
    """SIGTERM: attempt + 1, not counted as a crash; the old process records nothing more; status 0."""
    held = start_workflow(holder, str(tmp_path))
    first = manage("durable_worker", "--graceful-timeout", "0.2")
    wait_until(lambda: notes(tmp_path, "begins"))
    first.signal()
    assert first.ended() == 0, first.output
    assert "1 runs were handed back" in first.output
    assert "Traceback" not in first.output
    run = Workflow.objects.get(workflow_id=held.workflow_id)
    assert (run.status, run.attempt, run.recovery_attempts) == (Status.ENQUEUED, 2, 0)
    assert not Step.objects.exists()
    (tmp_path / "release").touch()
    second = manage("durable_worker")
    assert held.get_result(timeout=60) == [second.pid, second.pid]
    assert notes(tmp_path, "begins") == [first.pid, second.pid]
    run.refresh_from_db()
    assert (run.status, run.attempt, run.recovery_attempts) == (Status.SUCCESS, 3, 0)


def test_a_step_that_was_recorded_before_the_signal_is_not_repeated(manage, tmp_path):
    """SIGTERM between two steps: the next worker continues after the last recorded one."""
    held = start_workflow(hold.hold_after_step, str(tmp_path))
    first = manage("durable_worker", "--graceful-timeout", "0")
    wait_until(lambda: notes(tmp_path, "begins"))
    first.signal()
    assert first.ended() == 0, first.output
    (tmp_path / "release").touch()
    second = manage("durable_worker")
    assert held.get_result(timeout=60) == [first.pid, second.pid]
    assert notes(tmp_path, "last") == [first.pid]


def test_a_coroutine_that_only_waits_does_not_use_up_the_grace_time(manage, tmp_path):
    """SIGTERM: a coroutine run that waits in memory parks, or is handed back, without delay."""
    handle = start_workflow(hold.await_letter, str(tmp_path))
    first = manage("durable_worker", "--graceful-timeout", "600")
    wait_until(lambda: notes(tmp_path, "begins"))
    wait_until(lambda: list_workflow_steps(handle.workflow_id))
    assert status(handle.workflow_id) == Status.PENDING
    first.signal()
    assert first.ended(timeout=45) == 0, first.output
    assert status(handle.workflow_id) in (Status.ENQUEUED, Status.WAITING)
    send(handle.workflow_id, "hello", "letters")
    manage("durable_worker")
    assert handle.get_result(timeout=60) == "hello"
    assert Workflow.objects.get().recovery_attempts == 0


def test_a_second_signal_aborts_and_the_run_is_recovered(manage, tmp_path):
    """The second SIGTERM ends the process at once, status 143; a neighbour takes the run over."""
    held = start_workflow(hold.hold, str(tmp_path))
    first = manage("durable_worker", "--graceful-timeout", "600")
    wait_until(lambda: notes(tmp_path, "begins"))
    first.signal()
    first.wait_for("is stopping")
    first.signal()
    assert first.ended() == 128 + signal.SIGTERM
    assert status(held.workflow_id) == Status.PENDING
    (tmp_path / "release").touch()
    second = manage("durable_worker")
    assert held.get_result(timeout=60) == [second.pid, second.pid]
    assert Workflow.objects.get(workflow_id=held.workflow_id).recovery_attempts == 1


def test_an_idle_worker_ends_at_once_and_says_so(manage):
    """SIGTERM: no run, no waiting for the grace time; the worker's row is ended."""
    worker = manage("durable_worker", "--graceful-timeout", "600").wait_for(RUNNING)
    worker.signal()
    assert worker.ended(timeout=45) == 0
    assert "has stopped; 0 runs were handed back" in worker.output
    assert "Traceback" not in worker.output


def test_the_supervisor_hands_the_signal_on(manage, tmp_path):
    """--processes 2: every process drains or hands back; two signals abort all of them."""
    held = [start_workflow(hold.hold, str(tmp_path)) for _ in range(2)]
    supervisor = manage("durable_worker", "--processes", "2", "--threads", "1", "--graceful-timeout", "600")
    wait_until(lambda: len(notes(tmp_path, "begins")) == 2)
    supervisor.signal()
    supervisor.wait_for("is stopping", times=2)
    supervisor.signal()
    assert supervisor.ended() == 128 + signal.SIGTERM
    for pid in notes(tmp_path, "begins"):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    (tmp_path / "release").touch()
    manage("durable_worker")
    for handle in held:
        wait_for_status(handle.workflow_id, Status.SUCCESS)
