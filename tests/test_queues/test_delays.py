"""Delays: set, set anew, released when due; and both at the same moment."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    InvalidOptionError,
    InvalidTransitionError,
    NonExistentWorkflowError,
    SetEnqueueOptions,
    aset_workflow_delay,
    cancel_workflow,
    clock,
    enqueue,
    get_workflow_status,
    list_workflows,
    register_queue,
    resume_workflow,
    set_workflow_delay,
    start_workflow,
    workflow,
)
from durable_app.models import Status, Workflow
from durable_app.store import delays
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, in_thread, status, step_names
from tests.shop.queues import say

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def frozen() -> Iterator[None]:
    clock.freeze()
    yield
    clock.release()


@workflow
def put_off(workflow_id: str) -> str:
    set_workflow_delay(workflow_id, delay_seconds=7200)
    try:
        set_workflow_delay("nobody", delay_seconds=1)
    except NonExistentWorkflowError as error:
        return str(error)
    return ""


def delayed(span: timedelta = HOUR, queue: str = "line", **options: Any) -> str:
    with SetEnqueueOptions(delay_seconds=span, **options):
        return enqueue(queue, say, 1).workflow_id


def due() -> datetime | None:
    first: Workflow = Workflow.objects.order_by("pk")[0]
    return first.run_after


def test_a_delayed_run_starts_when_it_is_due_and_not_before(worker: Worker):
    """190. DELAYED until then, and among the queued runs all the time."""
    register_queue("line")
    with SetEnqueueOptions(delay_seconds=timedelta(seconds=0.4)):
        handle = enqueue("line", say, "late")
    row = Workflow.objects.get(workflow_id=handle.workflow_id)
    assert row.status == Status.DELAYED
    assert [one.workflow_id for one in list_workflows(queues_only=True)] == [handle.workflow_id]
    assert handle.get_result(timeout=60) == "late"
    found = get_workflow_status(handle.workflow_id)
    row.refresh_from_db()
    assert found is not None
    assert row.started_at is not None
    assert row.run_after is not None
    assert row.started_at >= row.run_after


def test_only_what_is_due_is_released(frozen: None):
    """190. To the moment; it is enqueued from then on."""
    early, late = delayed(HOUR), delayed(2 * HOUR)
    assert delays.release_delayed() == 0
    clock.advance(HOUR)
    assert delays.release_delayed() == 1
    assert (status(early), status(late)) == (Status.ENQUEUED, Status.DELAYED)
    assert Workflow.objects.get(workflow_id=early).enqueued_at == clock.now()


def test_a_due_run_keeps_its_deduplication_id(frozen: None):
    """190, 210. It is active still; only a debounced one gives its key up."""
    run = delayed(HOUR, deduplication_id="key")
    clock.advance(HOUR)
    delays.release_delayed()
    assert Workflow.objects.get(workflow_id=run).deduplication_id == "key"


def test_released_runs_stand_in_the_order_of_their_insertion(frozen: None):
    """179, 190. Not in that of their due times: delay is no priority."""
    late, early = delayed(2 * HOUR, queue="default"), delayed(HOUR, queue="default")
    clock.advance(2 * HOUR)
    delays.release_delayed()
    clock.release()
    with Worker(threads=1) as worker:
        assert worker.run_until_idle(timeout=60)
    starts = dict(Workflow.objects.values_list("workflow_id", "started_at"))
    assert starts[late] <= starts[early]


@pytest.mark.parametrize("how", [5, 5.0, timedelta(seconds=5)])
def test_a_delay_is_set_anew(how: Any, frozen: None):
    """190. In seconds or as a span, from now; or to a time."""
    run = delayed()
    set_workflow_delay(run, delay_seconds=how)
    assert due() == clock.now() + timedelta(seconds=5)
    time = datetime(2100, 1, 1, tzinfo=UTC)
    async_to_sync(aset_workflow_delay)(run, delay_until=time)
    assert due() == time


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"delay_seconds": 1, "delay_until": datetime(2100, 1, 1, tzinfo=UTC)},
        {"delay_seconds": -1},
        {"delay_seconds": float("nan")},
        {"delay_seconds": "later"},
        {"delay_until": datetime(2100, 1, 1)},  # noqa: DTZ001
    ],
)
def test_delays_that_make_no_sense_are_refused(given: dict[str, Any], frozen: None):
    """190. Exactly one argument, not below zero, and a time with a zone; nothing is changed."""
    run = delayed()
    with pytest.raises(InvalidOptionError):
        set_workflow_delay(run, **given)
    assert due() == clock.now() + HOUR


def test_an_endless_delay_ends_in_a_hundred_years(frozen: None):
    """134, 190. No overflow."""
    delayed(timedelta.max)
    found = due()
    assert found is not None
    assert found - clock.now() > timedelta(days=36_000)


def test_only_delayed_runs_have_a_delay():
    """190. Anything else is told what it is."""
    with pytest.raises(NonExistentWorkflowError):
        set_workflow_delay("nobody", delay_seconds=1)
    ready = enqueue("line", say, 1).workflow_id
    ended = delayed()
    cancel_workflow(ended)
    for run, found in ((ready, Status.ENQUEUED), (ended, Status.CANCELLED)):
        with pytest.raises(InvalidTransitionError) as caught:
            set_workflow_delay(run, delay_seconds=1)
        assert caught.value.status == found


def test_resuming_a_delayed_run_runs_it_at_once():
    """109. The delay is dropped."""
    run = delayed(queue="default")
    resume_workflow(run)
    row = Workflow.objects.get(workflow_id=run)
    assert (row.status, row.run_after) == (Status.ENQUEUED, None)


def test_in_a_workflow_it_is_a_step(worker: Worker):
    """106, 190. Errors are recorded too, and nothing is done again on replay."""
    run = delayed()
    handle = start_workflow(put_off, run)
    found = handle.get_result(timeout=60)
    assert "nobody" in found
    set_workflow_delay(run, delay_seconds=60)
    before = due()
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == found
    assert due() == before
    assert [name for _, name in step_names(handle.workflow_id)] == ["durable.setWorkflowDelay"] * 2


def test_a_new_delay_and_the_release_at_the_same_moment():
    """190. Either the run is released and the new delay refused, or it waits for its new time."""
    runs = [delayed(timedelta(0)) for _ in range(60)]
    line_up = threading.Barrier(2)

    def put_them_off() -> dict[str, bool]:
        line_up.wait()
        done = {}
        for run in runs:
            try:
                delays.set_delay(run, clock.now() + HOUR)
                done[run] = True
            except InvalidTransitionError:
                done[run] = False
        return done

    def release() -> int:
        line_up.wait()
        return sum(delays.release_delayed(limit=3) for _ in range(25))

    setting, releasing = in_thread(put_them_off), in_thread(release)
    put_off_, released = setting.result(60), releasing.result(60)
    for run, was_put_off in put_off_.items():
        row = Workflow.objects.get(workflow_id=run)
        assert row.status == (Status.DELAYED if was_put_off else Status.ENQUEUED)
        assert row.run_after is not None
        assert (row.run_after > clock.now()) is was_put_off
    assert released == list(put_off_.values()).count(False)
