"""Durable sleep: the wake time is recorded first, and only the rest is slept after a crash."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    NotAllowedInStepError,
    NotInWorkflowError,
    SetWorkflowID,
    SynchronousCallError,
    asleep,
    fork_workflow,
    get_result,
    list_workflow_steps,
    sleep,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Step, Workflow
from durable_app.serialization import encode
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, status, step_names, wait_for_status, wait_until

calls: list[str] = []
dies = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    dies.clear()
    yield


@pytest.fixture
def parks_at_once(settings: Any) -> None:
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(0)}


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@step
def maybe_die() -> None:
    if dies.is_set():
        dies.clear()
        raise Crash


@workflow(name="sleep.naps")
def naps(seconds: Any) -> str:
    note("before")
    sleep(seconds)
    return note("after")


@workflow(name="sleep.naps_for_ever")
def naps_for_ever(seconds: str) -> None:
    sleep(float(seconds))


@workflow(name="sleep.naps_async")
async def naps_async(seconds: Any) -> str:
    await note.acall("before")
    await asleep(seconds)
    return str(await note.acall("after"))


@workflow(name="sleep.dies_after_sleeping")
def dies_after_sleeping() -> str:
    sleep(0.05)
    maybe_die()
    return "awake"


def shift_back(workflow_id: str, span: timedelta) -> None:
    """Let time pass for a sleeper: what it recorded lies that much further in the past."""
    run = Workflow.objects.get(workflow_id=workflow_id)
    slept = Step.objects.get(workflow=run, name="durable.sleep")
    due = slept.finished_at - span
    Step.objects.filter(workflow=run, name="durable.sleep").update(output=encode(due), finished_at=due)
    Workflow.objects.filter(pk=run.pk).update(wake_at=due)


@pytest.mark.django_db
def test_a_sleep_is_a_step_that_ends_when_the_sleeper_wakes() -> None:
    """62, 136. The wake time is the step's output and its end; it lies the sleep's length after the start."""
    with SetWorkflowID("s"):
        assert naps(0.05) == "after"
    before, slept, after = list_workflow_steps("s")
    assert slept.name == "durable.sleep"
    assert slept.output == slept.finished_at
    assert slept.finished_at - slept.started_at >= timedelta(seconds=0.05)
    assert before.finished_at <= slept.started_at
    assert slept.finished_at <= after.started_at


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", [naps, naps_async])
def test_the_wake_time_is_recorded_before_the_sleep(parks_at_once: None, worker: Worker, run: Any) -> None:
    """136. While the run sleeps, its wake time stands in its steps, and in its row."""
    with SetWorkflowID("s"):
        start_workflow(run, timedelta(hours=1))
    wait_for_status("s", "WAITING")
    slept = list_workflow_steps("s")[1]
    assert (slept.step_id, slept.name) == (2, "durable.sleep")
    assert Workflow.objects.get(workflow_id="s").wake_at == slept.output
    assert slept.output - slept.started_at >= timedelta(minutes=59)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", [naps, naps_async])
def test_a_recovered_run_sleeps_only_the_rest(parks_at_once: None, worker: Worker, run: Any) -> None:
    """136. An hour after it was recorded an hour's sleep is over, whatever happened meanwhile."""
    with SetWorkflowID("s"):
        start_workflow(run, 3600)
    wait_for_status("s", "WAITING")
    shift_back("s", timedelta(hours=1))
    assert get_result("s", timeout=60) == "after"
    assert calls == ["before", "after"]


@pytest.mark.django_db(transaction=True)
def test_half_an_hour_of_a_days_sleep_is_not_a_day(parks_at_once: None, worker: Worker) -> None:
    """136. Woken too early, a run finds that its time has not come, and parks for the rest."""
    with SetWorkflowID("s"):
        start_workflow(naps, 24 * 3600)
    wait_for_status("s", "WAITING")
    shift_back("s", timedelta(minutes=30))
    due = Workflow.objects.get(workflow_id="s").wake_at
    attempt = Workflow.objects.get(workflow_id="s").attempt
    Workflow.objects.filter(workflow_id="s").update(wake_at="2001-01-01T00:00:00Z")
    wait_until(lambda: Workflow.objects.filter(workflow_id="s", attempt__gt=attempt, status="WAITING"))
    assert Workflow.objects.get(workflow_id="s").wake_at == due
    assert calls == ["before"]


@pytest.mark.django_db(transaction=True)
def test_a_finished_sleep_is_skipped_on_replay(worker: Worker) -> None:
    """136. After a crash behind the sleep, the replay does not sleep, nor record, again."""
    dies.set()
    with SetWorkflowID("s"):
        crash(dies_after_sleeping)
    slept = list_workflow_steps("s")[0]
    assert get_result("s", timeout=60) == "awake"
    assert list_workflow_steps("s")[0] == slept
    assert fork_workflow("s", 99).get_result(timeout=60) == "awake"


@pytest.mark.django_db(transaction=True)
def test_a_short_sleep_keeps_its_thread(worker: Worker, settings: Any) -> None:
    """136. A sleep shorter than PARK_AFTER does not park: the first attempt is the last."""
    handle = start_workflow(naps, 0.05)
    assert handle.get_result(timeout=60) == "after"
    assert handle.get_status().attempt == 1


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [0, -1, -0.5, timedelta(0), timedelta(days=-1)])
def test_no_time_to_sleep_is_no_step(seconds: Any) -> None:
    """137. Zero or less is a no-op and takes no position."""
    with SetWorkflowID("s"):
        assert naps(seconds) == "after"
    assert step_names("s") == [(1, "note"), (2, "note")]


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", ["1", None, True])
def test_what_is_no_span_is_refused(seconds: Any) -> None:
    """137. Only numbers and timedeltas are times to sleep."""
    with pytest.raises(InvalidOptionError):
        naps(seconds)
    with pytest.raises(InvalidOptionError):
        naps_for_ever("nan")


@pytest.mark.django_db(transaction=True)
def test_endless_sleep_is_bounded_by_what_the_database_can_store(parks_at_once: None, worker: Worker) -> None:
    """134, 136. An infinite sleep parks with a wake time far away, instead of failing."""
    with SetWorkflowID("s"):
        start_workflow(naps_for_ever, "inf")
    wait_for_status("s", "WAITING")
    assert Workflow.objects.get(workflow_id="s").wake_at is not None


@pytest.mark.django_db
def test_sleep_belongs_into_a_workflow_and_outside_of_steps() -> None:
    """138. Outside a workflow it raises NotInWorkflowError, inside a step NotAllowedInStepError."""

    @step(name="sleep.in_a_step")
    def in_a_step() -> None:
        sleep(0.01)

    @workflow(name="sleep.step_parent")
    def parent() -> None:
        in_a_step()

    with pytest.raises(NotInWorkflowError):
        sleep(0.01)
    with SetWorkflowID("s"), pytest.raises(NotAllowedInStepError):
        parent()
    assert status("s") == "ERROR"


@pytest.mark.django_db(transaction=True)
def test_a_blocking_sleep_on_an_event_loop_names_its_twin(worker: Worker) -> None:
    """65. In an async workflow sleep() raises, naming asleep()."""

    @workflow(name="sleep.on_a_loop")
    async def on_a_loop() -> None:
        sleep(0.01)

    with pytest.raises(SynchronousCallError, match=r"asleep\(\)"):
        start_workflow(on_a_loop).get_result(timeout=60)
