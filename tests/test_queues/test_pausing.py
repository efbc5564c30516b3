"""Pause and resume: nothing is taken meanwhile, others go on, and a pause with an end ends."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_app import InvalidOptionError, Queue, clock, enqueue, register_queue, step, workflow
from durable_app.models import Queue as Row
from durable_app.models import Status, Workflow
from durable_app.store import queues
from durable_app.worker.claimer import Claimer
from durable_app.worker.worker import Worker
from tests.helpers import status, step_names, wait_for_status
from tests.shop.queues import say
from tests.test_queues.rows import put, queue, take, taken

pytestmark = pytest.mark.django_db(transaction=True)

gate = threading.Event()
outages: list[int] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    gate.clear()
    outages.clear()
    yield
    gate.set()


@workflow
def held_open() -> str:
    assert gate.wait(60)
    return "passed"


class Unreachable(Exception):
    """The interface that all runs of the queue call is down."""


@step(retries_allowed=True, max_attempts=5, interval_seconds=0.01)
def call_interface(number: int) -> int:
    """Notice the outage, and pause the queue: the others need not find out by themselves."""
    if not outages:
        outages.append(number)
        Queue.named("line").pause(until=0.6, reason="interface down")
        raise Unreachable
    return number


@workflow
def call(number: int) -> int:
    return call_interface(number)


def test_nothing_is_taken_from_a_paused_queue(worker: Worker):
    """203. What runs goes on; what waits is taken after the resume."""
    line = register_queue("line")
    running = enqueue("line", held_open)
    wait_for_status(running.workflow_id, Status.PENDING)
    line.pause(reason="maintenance")
    waiting = enqueue("line", say, 1)
    gate.set()
    assert running.get_result(timeout=60) == "passed"
    register_queue("other")
    assert enqueue("other", say, 2).get_result(timeout=60) == 2
    assert status(waiting.workflow_id) == Status.ENQUEUED
    assert (line.is_paused, Row.objects.get(pk="line").pause_reason) == (True, "maintenance")
    line.resume()
    assert waiting.get_result(timeout=60) == 1
    assert (line.is_paused, Row.objects.get(pk="line").pause_reason) == (False, "")


def test_a_pause_with_an_end_ends_by_itself(worker: Worker):
    """203. Nobody resumes it."""
    line = register_queue("line")
    line.pause(until=0.5)
    until = Row.objects.get().paused_until
    handle = enqueue("line", say, 1)
    assert handle.get_result(timeout=60) == 1
    started = Workflow.objects.get().started_at
    assert until is not None
    assert started is not None
    assert started >= until
    assert not line.is_paused


def test_a_worker_looks_again_when_the_pause_ends():
    """203. Not one poll later."""
    clock.freeze()
    try:
        register_queue("line").pause(until=timedelta(seconds=0.25))
        (found,) = (state for state in queues.all_queues() if state.name == "line")
        assert found.look_again == 0.25
        clock.advance(timedelta(seconds=0.25))
        (found,) = (state for state in queues.all_queues() if state.name == "line")
        assert not found.is_paused
        assert found.look_again is None
    finally:
        clock.release()


def test_a_polling_interval_is_how_often_workers_look_at_the_least():
    """196. The shortest of the queues that a worker serves."""
    register_queue("slow", polling_interval=5)
    register_queue("quick", polling_interval=0.05)
    worker = Worker(threads=1)
    try:
        worker.incarnation.start()
        pause = _tick(worker.claimer)
    finally:
        worker.incarnation.stop()
    assert pause == 0.05


def _tick(claimer: Claimer) -> Any:
    return claimer.tick()


def test_a_step_pauses_its_own_queue_in_an_outage(worker: Worker):
    """The first run that notices it spares the others their retries; nothing of it is recorded."""
    register_queue("line", concurrency=1)
    handles = [enqueue("line", call, number) for number in range(4)]
    assert [handle.get_result(timeout=60) for handle in handles] == [0, 1, 2, 3]
    assert len(outages) == 1
    until = Row.objects.get().paused_until
    assert until is not None
    for handle in handles[1:]:
        started = Workflow.objects.get(workflow_id=handle.workflow_id).started_at
        assert started is not None
        assert started >= until
    assert step_names(handles[0].workflow_id) == [(1, "call_interface")]


def test_a_pause_that_comes_between_look_and_claim_counts():
    """203. The claim of a limited queue reads the row that it locks."""
    queue(concurrency=5)
    put(3)
    Queue.named("line").pause()
    assert take().runs == []
    Queue.named("line").resume()
    assert len(taken()) == 3


def test_the_default_queue_can_be_paused(worker: Worker):
    """203. It gets a row for that."""
    Queue.named("default").pause()
    handle = enqueue("default", say, 1)
    register_queue("line")
    assert enqueue("line", say, 2).get_result(timeout=60) == 2
    assert status(handle.workflow_id) == Status.ENQUEUED
    Queue.named("default").resume()
    assert handle.get_result(timeout=60) == 1


def test_a_pause_until_a_time():
    """203. Aware, or it is refused; one that is over is no pause."""
    line = register_queue("line")
    for year, is_paused in ((2100, True), (2000, False)):
        line.pause(until=datetime(year, 1, 1, tzinfo=UTC))
        assert line.is_paused is is_paused
    with pytest.raises(InvalidOptionError, match="time zone"):
        line.pause(until=datetime(2100, 1, 1))  # noqa: DTZ001
    with pytest.raises(InvalidOptionError):
        line.pause(until=-1)
