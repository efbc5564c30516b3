"""Debouncing in workflows, where each bounce is a step; and many callers at the same moment."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    Debouncer,
    QueueDeduplicatedError,
    SetEnqueueOptions,
    SetWorkflowID,
    SetWorkflowTimeout,
    cancel_workflow,
    clock,
    enqueue,
    step,
    workflow,
)
from durable_app.debouncing import STEP, debounce_key
from durable_app.models import Status, Workflow
from durable_app.store import delays
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, in_thread, status, step_names, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600.0
dies = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    dies.clear()
    yield


@workflow
def reindex(what: str) -> str:
    return what


@workflow
def bounce_twice(key: str) -> list[str]:
    debouncer = Debouncer(reindex)
    ids = [debouncer.debounce(key, HOUR, what).workflow_id for what in ("one", "two")]
    if dies.is_set():
        dies.clear()
        raise Crash
    return ids


@workflow
async def abounce(key: str) -> str:
    handle = await Debouncer(reindex).adebounce(key, HOUR, "inside")
    return handle.workflow_id


@step
def bounce_in_a_step() -> str:
    return Debouncer(reindex).debounce("key", HOUR, "step").workflow_id


@workflow
def bounce_from_a_step() -> str:
    return bounce_in_a_step()


def bounce(what: str = "x", key: str = "key", period: float = HOUR, **options: Any) -> str:
    return Debouncer(reindex, **options).debounce(key, period, what).workflow_id


def only() -> Workflow:
    return Workflow.objects.get()


def make_due() -> None:
    """Let all delayed runs be due, and release them."""
    Workflow.objects.update(run_after=clock.now())
    delays.release_delayed()


def test_in_a_workflow_each_bounce_is_one_step_and_is_not_repeated():
    """221. The parent dies; its key has been released meanwhile; the replay finds the recorded run."""
    dies.set()
    with SetWorkflowID("parent"):
        crash(bounce_twice, "key")
    (waiting,) = Workflow.objects.filter(name="reindex").values_list("workflow_id", flat=True)
    make_due()
    with SetWorkflowID("parent"), Worker(threads=2):
        assert bounce_twice("key") == [waiting, waiting]
    assert step_names("parent") == [(1, STEP), (2, STEP)]
    assert Workflow.objects.filter(name="reindex").count() == 1


def test_a_child_is_no_heir_of_its_parents_deadline():
    """221. It may run long after it."""
    with SetWorkflowTimeout(30):
        bounce_twice("key")
    child = Workflow.objects.get(name="reindex")
    assert child.deadline_at is None
    assert child.parent_workflow_id


def test_a_refusal_in_a_workflow_is_recorded(worker: Worker):
    """221, 211. And replayed though the key is free."""
    with SetEnqueueOptions(deduplication_id=debounce_key("reindex", "key")):
        holder = enqueue("nowhere", reindex, "ordinary")
    Workflow.objects.update(queue_name="default", status=Status.WAITING)
    with SetWorkflowID("parent"), pytest.raises(QueueDeduplicatedError):
        bounce_twice("key")
    cancel_workflow(holder.workflow_id)
    Workflow.objects.filter(workflow_id="parent").update(
        status=Status.ENQUEUED, error=None, finished_at=None, queue_name="default"
    )
    wait_until(lambda: status("parent") == Status.ERROR)
    assert step_names("parent") == [(1, STEP)]


def test_a_coroutine_workflow_bounces_too():
    """221, 224."""

    async def call() -> str:
        return await abounce("key")

    assert async_to_sync(call)() == Workflow.objects.get(name="reindex").workflow_id


def test_a_step_cannot_bounce():
    """221. It may be repeated."""
    with pytest.raises(Exception, match="cannot be used inside the step"):
        bounce_from_a_step()


# Races


def test_many_callers_bounce_one_run():
    """215. Eight threads, ten calls each: one run, with the inputs of the call that was last."""
    line_up = threading.Barrier(8)

    def call(number: int) -> set[str]:
        line_up.wait()
        return {bounce(f"{number}-{turn}") for turn in range(10)}

    found = [in_thread(call, number) for number in range(8)]
    ids = set().union(*(one.result(60) for one in found))
    assert ids == {only().workflow_id}
    assert bounce("the last") in ids
    assert "the last" in only().inputs


def test_bounces_against_the_release():
    """217. No call is lost, and none changes a run that has been released: it may be executing."""
    over = threading.Event()
    when_released: dict[str, str] = {}

    def release() -> None:
        while not over.is_set():
            if delays.release_delayed():
                released = Workflow.objects.filter(status=Status.ENQUEUED)
                for run, given in released.values_list("workflow_id", "inputs"):
                    when_released.setdefault(run, given)

    def call(number: int) -> list[str]:
        return [bounce(f"{number}-{turn}", period=0.001 * (turn % 3)) for turn in range(60)]

    releaser = in_thread(release)
    try:
        callers = [in_thread(call, number) for number in range(3)]
        answers = [one.result(60) for one in callers]
    finally:
        over.set()
    releaser.result(60)
    make_due()
    inputs = {row.workflow_id: row.inputs for row in Workflow.objects.all()}
    assert set().union(*answers) == set(inputs)
    assert when_released
    assert when_released == {run: inputs[run] for run in when_released}
    for number, ids in enumerate(answers):
        # The last of a caller's calls on each run is the last word on it, but for other callers' words.
        last = {run: turn for turn, run in enumerate(ids)}
        for run, turn in last.items():
            mine = f'"{number}-' in inputs[run]
            assert not mine or f'"{number}-{turn}"' in inputs[run]
    assert not Workflow.objects.exclude(status=Status.ENQUEUED).exists()
    assert not Workflow.objects.filter(deduplication_id__isnull=False).exists()
