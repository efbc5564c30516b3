"""`manage.py durable_worker`: what its options do, in real processes."""

import os
import signal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from durable_app import SetWorkflowID, get_event, send, start_workflow
from durable_app.models import Status, Worker, Workflow
from tests.helpers import status, wait_for_status, wait_until
from tests.shop import hold, talk, workflows

RUNNING = "is running"


def count(status: str) -> int:
    return Workflow.objects.filter(status=status).count()


def notes(folder: Path, what: str) -> list[list[str]]:
    log = folder / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split() for line in lines if f" {what} " in line]


def release(folder: Path) -> None:
    (folder / "release").touch()


def test_burst_runs_what_is_ready_and_ends(manage):
    """--burst: every ready run of both colours is executed, then the process ends with status 0."""
    handles = [start_workflow(workflows.sum_of_three, number, 1, 1) for number in range(5)]
    letter = start_workflow(talk.areceive)
    send(letter.workflow_id, "there")
    worker = manage("durable_worker", "--burst", "--name", "bursting")
    assert worker.ended() == 0, worker.output
    assert [handle.get_result(timeout=0) for handle in handles] == [2, 3, 4, 5, 6]
    assert letter.get_result(timeout=0) == ["there"]
    assert "Worker bursting is running." in worker.output
    assert "Worker bursting has stopped; 0 runs were handed back." in worker.output
    row = Worker.objects.get(name="bursting")
    assert row.pid == worker.pid
    assert row.stopped_at is not None


def test_threads_bound_the_sync_runs_and_leave_the_others_in_line(manage, tmp_path):
    """--threads 2: two of five sync runs execute; the others follow as soon as these end."""
    handles = [start_workflow(hold.hold, str(tmp_path)) for _ in range(5)]
    manage("durable_worker", "--threads", "2")
    wait_until(lambda: len(notes(tmp_path, "begins")) == 2)
    assert (count(Status.PENDING), count(Status.ENQUEUED)) == (2, 3)
    assert [status(handle.workflow_id) for handle in handles[:2]] == [Status.PENDING] * 2
    release(tmp_path)
    for handle in handles:
        handle.get_result(timeout=60)
    assert len(notes(tmp_path, "begins")) == 5


def test_async_concurrency_bounds_the_coroutine_runs_only(manage, tmp_path):
    """--async-concurrency 3: three of five coroutine runs execute, beside a sync run on its thread."""
    handles = [start_workflow(hold.ahold, str(tmp_path)) for _ in range(5)]
    handles.append(start_workflow(hold.hold, str(tmp_path)))
    manage("durable_worker", "--threads", "1", "--async-concurrency", "3")
    wait_until(lambda: len(notes(tmp_path, "begins")) == 4)
    assert (count(Status.PENDING), count(Status.ENQUEUED)) == (4, 2)
    assert status(handles[-1].workflow_id) == Status.PENDING
    release(tmp_path)
    for handle in handles:
        handle.get_result(timeout=60)


def test_processes_share_the_work_and_dead_ones_are_replaced(manage, tmp_path):
    """--processes 2: a supervisor starts again what dies, its run goes on; SIGTERM ends all, status 0."""
    supervisor = manage("durable_worker", "--processes", "2", "--threads", "1")
    supervisor.wait_for(RUNNING, times=2)
    handles = [start_workflow(hold.hold, str(tmp_path)) for _ in range(2)]
    wait_until(lambda: len(notes(tmp_path, "begins")) == 2)
    victims = {int(pid) for *_, pid in notes(tmp_path, "begins")}
    assert len(victims) == 2
    assert supervisor.pid not in victims
    os.kill(victims.pop(), signal.SIGKILL)
    supervisor.wait_for(RUNNING, times=3)
    release(tmp_path)
    for handle in handles:
        handle.get_result(timeout=60)
    supervisor.signal()
    assert supervisor.ended() == 0, supervisor.output
    assert supervisor.output.count("has stopped") == 2


def test_unknown_workflows_wait_in_sight_and_block_nobody(manage):
    """A run of code that no worker has stays ENQUEUED at the head of the line; what follows is executed."""
    for name in ("vanished.first", "vanished.second"):
        with SetWorkflowID(name):
            start_workflow(workflows.sum_of_three, 1, 2, 3)
        Workflow.objects.filter(workflow_id=name).update(name=name)
    followers = [start_workflow(workflows.sum_of_three, number, 0, 0) for number in range(20)]
    worker = manage("durable_worker", "--threads", "1", "--async-concurrency", "1")
    assert [handle.get_result(timeout=60) for handle in followers] == list(range(20))
    vanished = Workflow.objects.filter(name__startswith="vanished").values_list("status", "attempt")
    assert list(vanished) == [(Status.ENQUEUED, 0)] * 2
    worker.signal()
    assert worker.ended() == 0, worker.output


def test_a_burst_ends_although_unknown_workflows_wait(manage):
    """--burst: what no worker of this code can take does not keep the process alive."""
    start_workflow(workflows.sum_of_three, 1, 2, 3)
    Workflow.objects.update(name="vanished")
    known = start_workflow(workflows.sum_of_three, 1, 2, 3)
    worker = manage("durable_worker", "--burst")
    assert worker.ended() == 0, worker.output
    assert known.get_result(timeout=0) == 6


def test_a_burst_of_several_processes_ends(manage):
    """--burst --processes 2: the supervisor ends with its last process, and starts none again."""
    handles = [start_workflow(workflows.sum_of_three, number, 0, 0) for number in range(10)]
    supervisor = manage("durable_worker", "--burst", "--processes", "2")
    assert supervisor.ended() == 0, supervisor.output
    assert [handle.get_result(timeout=0) for handle in handles] == list(range(10))
    assert supervisor.output.count(RUNNING) == 2


def test_processes_talk_to_each_other(manage):
    """159. An event set in a worker process reaches a waiter here; a message from here reaches it."""
    manage("durable_worker")
    publisher = start_workflow(talk.publish, "key", "news")
    assert get_event(publisher.workflow_id, "key", 60) == "news"
    receiver = start_workflow(talk.receive_and_mark, "letters")
    wait_for_status(receiver.workflow_id, Status.WAITING)
    send(receiver.workflow_id, "hello", "letters")
    assert receiver.get_result(timeout=60) == ("hello", "received")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threads", "0"],
        ["--threads", "many"],
        ["--async-concurrency", "-1"],
        ["--processes", "0"],
        ["--graceful-timeout", "-1"],
        ["--graceful-timeout", "nan"],
    ],
)
def test_a_nonsensical_argument_is_refused(arguments):
    """The error names the argument and the value."""
    with pytest.raises(CommandError, match=f"argument {arguments[0]}: '{arguments[1]}' is not a"):
        call_command("durable_worker", *arguments)
