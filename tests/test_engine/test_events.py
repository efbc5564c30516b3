"""Events: a key's latest value, published once, seen by whoever waits for it."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from durable_app import (
    NotInWorkflowError,
    OpenTransactionError,
    SetWorkflowID,
    SynchronousCallError,
    aget_all_events,
    aget_event,
    aset_event,
    get_all_events,
    get_event,
    set_event,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Event, EventHistory, Status
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, in_thread, status, step_names, wait_for_status, wait_until
from tests.shop import talk

PUBLISHERS = pytest.mark.parametrize("publisher", [talk.publish, talk.apublish])
WATCHERS = pytest.mark.parametrize("watcher", [talk.watch, talk.awatch])

TRIES: list[int] = []


@step(retries_allowed=True, interval_seconds=0.01)
def publish_and_fail_twice() -> int:
    TRIES.append(len(TRIES))
    set_event("progress", len(TRIES))
    if len(TRIES) < 3:
        raise ValueError("not yet")
    return len(TRIES)


@workflow
def publish_from_a_step() -> int:
    set_event("progress", 0)
    return publish_and_fail_twice()


def run_directly(workflow_id: str, func: Any, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return func(*args)


def awaited(twin: Any, *args: Any) -> Any:
    """Call an async twin on an event loop of its own."""

    async def call() -> Any:
        return await twin(*args)

    return async_to_sync(call)()


def result_of(handle: Any, threads: int = 2) -> Any:
    with Worker(threads=threads):
        return handle.get_result(timeout=60)


@pytest.mark.django_db
def test_setting_an_event_is_a_step_and_the_history_keeps_every_value():
    """153, 157. One row a key with the latest value; the history says which step set what."""
    run_directly("w", talk.publish, "progress", 1, None, {"done": 3})
    run_directly("other", talk.publish, "progress", "another run's")
    assert step_names("w") == [(1, "durable.setEvent"), (2, "durable.setEvent"), (3, "durable.setEvent")]
    assert get_event("w", "progress", 0) == {"done": 3}
    history = EventHistory.objects.filter(workflow__workflow_id="w").order_by("position")
    assert [(row.position, row.value) for row in history] == [(1, "1"), (2, "null"), (3, '{"done":3}')]
    assert Event.objects.filter(workflow__workflow_id="w").count() == 1


@pytest.mark.django_db(transaction=True)
@PUBLISHERS
def test_a_replay_publishes_nothing(publisher):
    """153. From a workflow exactly once: a replay neither repeats nor resets the value."""
    handle = start_workflow(publisher, "progress", 1, 2)
    assert result_of(handle) == 2
    Event.objects.update(value='"newer"')
    execute_again(handle.workflow_id)
    assert result_of(handle) == 2
    assert get_event(handle.workflow_id, "progress", 0) == "newer"
    assert EventHistory.objects.count() == 2


@pytest.mark.django_db
def test_an_event_set_in_a_step_is_published_at_every_try_and_not_recorded():
    """153. From a step: upserted, no step of its own, no history."""
    TRIES.clear()
    assert run_directly("w", publish_from_a_step) == 3
    assert step_names("w") == [(1, "durable.setEvent"), (2, "publish_and_fail_twice")]
    assert get_event("w", "progress", 0) == 3
    assert EventHistory.objects.count() == 1


@pytest.mark.django_db
def test_only_a_workflow_or_its_steps_may_set_an_event():
    """154. Outside of a workflow there is nobody to publish for."""
    with pytest.raises(NotInWorkflowError, match=r"^set_event\(\) must be called from within a workflow"):
        set_event("key", 1)
    with pytest.raises(NotInWorkflowError, match=r"^aset_event\(\) must be called from within a workflow"):
        aset_event("key", 1)
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_an_event_is_none_after_the_timeout_and_there_after_its_run_ended():
    """155. The target need not exist; zero seconds look once."""
    assert get_event("nobody", "key", 0) is None
    assert get_event("nobody", "key", timedelta(milliseconds=20)) is None
    assert awaited(aget_event, "nobody", "key", 0.02) is None
    run_directly("w", talk.publish, "key", "value")
    assert get_event("w", "key", 3600) == "value"
    assert awaited(aget_event, "w", "key", 3600) == "value"
    assert get_event("w", "other key", 0) is None


@pytest.mark.django_db
def test_none_is_a_value_of_an_event():
    """157. A key whose value is None is set: nobody waits for it until the timeout."""
    run_directly("w", talk.publish, "key", None)
    assert get_event("w", "key", 3600) is None
    run_directly("watcher", talk.watch, "w", "key")
    assert step_names("watcher") == [(1, "durable.getEvent"), (3, "mark")]


@pytest.mark.django_db(transaction=True)
@WATCHERS
def test_a_workflow_keeps_the_value_it_saw(watcher):
    """156. The value is recorded: the replay returns it although the event has changed."""
    publisher = start_workflow(talk.publish, "key", "old")
    result_of(publisher)
    handle = start_workflow(watcher, publisher.workflow_id, "key")
    assert result_of(handle) == ("old", "watched")
    Event.objects.update(value='"new"')
    execute_again(handle.workflow_id)
    assert result_of(handle) == ("old", "watched")
    assert get_event(publisher.workflow_id, "key", 0) == "new"
    assert step_names(handle.workflow_id) == [(1, "durable.getEvent"), (3, "mark")]


@pytest.mark.django_db(transaction=True)
@WATCHERS
def test_a_workflow_keeps_the_timeout_it_met(watcher):
    """155, 156. None after the timeout is recorded, in two steps, and stays None."""
    handle = start_workflow(watcher, "later", "key", 0.05)
    assert result_of(handle) == (None, "watched")
    run_directly("later", talk.publish, "key", "too late")
    execute_again(handle.workflow_id)
    assert result_of(handle) == (None, "watched")
    assert step_names(handle.workflow_id) == [
        (1, "durable.getEvent"),
        (2, "durable.sleep"),
        (3, "mark"),
    ]


@pytest.mark.django_db(transaction=True)
@PUBLISHERS
@WATCHERS
def test_every_parked_watcher_is_woken_by_the_event(publisher, watcher, settings):
    """151, 155, 159. Two runs wait for one key of a run that does not exist yet; both get its value."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(0)}
    watchers = [start_workflow(watcher, "later", "key") for _ in range(2)]
    bystander = start_workflow(watcher, "later", "another key")
    with Worker(threads=1):
        for handle in [*watchers, bystander]:
            wait_for_status(handle.workflow_id, Status.WAITING)
        with SetWorkflowID("later"):
            start_workflow(publisher, "key", "news")
        for handle in watchers:
            assert handle.get_result(timeout=60) == ("news", "watched")
        wait_for_status(bystander.workflow_id, Status.WAITING)


@pytest.mark.django_db(transaction=True)
def test_all_events_are_read_at_once_and_recorded(worker):
    """158. A dict of the latest values, {} if there are none; in a workflow the step durable.get_events."""
    publisher = start_workflow(talk.publish, "a", 1, 2)
    publisher.get_result(timeout=60)
    assert get_all_events(publisher.workflow_id) == {"a": 2}
    assert awaited(aget_all_events, publisher.workflow_id) == {"a": 2}
    assert get_all_events("nobody") == {}
    for survey in (talk.survey, talk.asurvey):
        handle = start_workflow(survey, publisher.workflow_id)
        assert handle.get_result(timeout=60) == {"a": 2}
        Event.objects.update(value="3")
        execute_again(handle.workflow_id)
        assert handle.get_result(timeout=60) == {"a": 2}
        assert step_names(handle.workflow_id) == [(1, "durable.get_events")]
        Event.objects.update(value="2")


@pytest.mark.django_db(transaction=True)
def test_a_thread_outside_waits_for_an_event(worker):
    """155, 159. get_event outside of a workflow blocks its thread until the run publishes."""
    waiting = in_thread(get_event, "later", "key", 60)
    with SetWorkflowID("later"):
        start_workflow(talk.publish, "key", "news")
    assert waiting.result(timeout=60) == "news"


@pytest.mark.django_db(transaction=True)
def test_waiting_in_an_open_transaction_is_refused():
    """155. What is waited for could not be seen: a clear error instead of a long wait."""
    with transaction.atomic(), pytest.raises(OpenTransactionError, match=r"get_event\(\)"):
        get_event("w", "key", 60)


@pytest.mark.django_db(transaction=True)
def test_two_hundred_coroutines_that_wait_hold_no_threads(worker):
    """160. Waiters in async code share the loop; their looks share a few threads."""
    before = threading.active_count()
    found, most = awaited(two_hundred_waiters)
    assert found == ["news"] * 200
    assert most - before < 20


async def two_hundred_waiters() -> tuple[list[Any], int]:
    waiters = [asyncio.ensure_future(aget_event("later", "key", 60)) for _ in range(200)]
    await asyncio.sleep(0)
    most = threading.active_count()
    with SetWorkflowID("later"):
        await talk.apublish("key", "news")
    pending = set(waiters)
    while pending:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        most = max(most, threading.active_count())
    return [waiter.result() for waiter in waiters], most


@pytest.mark.django_db(transaction=True)
def test_forty_waiting_workflows_leave_the_only_thread_free(settings):
    """160. Sync runs park, coroutine runs await: one thread and one loop serve another run meanwhile."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(hours=1)}
    sync_ones = [start_workflow(talk.watch, "later", "key") for _ in range(20)]
    async_ones = [start_workflow(talk.awatch, "later", "key") for _ in range(20)]
    with Worker(threads=1, async_concurrency=60) as worker:
        wait_until(lambda: worker.loop.slots.busy == 20)
        for handle in sync_ones:
            wait_for_status(handle.workflow_id, Status.WAITING)
        assert {status(handle.workflow_id) for handle in async_ones} == {Status.PENDING}
        with SetWorkflowID("later"):
            start_workflow(talk.publish, "key", "news")
        for handle in sync_ones + async_ones:
            assert handle.get_result(timeout=60) == ("news", "watched")


@pytest.mark.django_db
def test_the_blocking_form_on_an_event_loop_names_its_twin():
    """156. get_event() on a loop would stop all its coroutines."""

    async def blocked() -> None:
        get_event("w", "key", 60)

    with pytest.raises(SynchronousCallError, match="use `await aget_event"):
        asyncio.run(blocked())
