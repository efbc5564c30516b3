"""The time as a workflow may use it: once recorded, the same for ever."""

from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import async_to_sync

from durable_app import SetWorkflowID, anow, clock, get_result, now, start_workflow, step, workflow
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, step_names


@step(name="now.in_a_step")
def in_a_step() -> datetime:
    return now()


@workflow(name="now.looks")
def looks() -> list[datetime]:
    return [now(), in_a_step()]


@workflow(name="now.alooks")
async def alooks() -> list[datetime]:
    return [await anow(), await in_a_step.acall()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("func", [looks, alooks])
def test_a_replay_sees_the_same_time(func) -> None:
    """264. In the body it is a step; in a step, and outside, it is just the time."""
    with SetWorkflowID("w"):
        start_workflow(func)
    with Worker(threads=1):
        seen = get_result("w", timeout=60)
    assert step_names("w") == [(1, "durable.now"), (2, "now.in_a_step")]
    assert all(one.tzinfo is not None for one in seen)
    clock.freeze(datetime(2031, 1, 1, tzinfo=UTC))
    try:
        execute_again("w")
        with Worker(threads=1):
            assert get_result("w", timeout=60) == seen
    finally:
        clock.release()


@pytest.mark.django_db
def test_outside_it_is_the_databases_time() -> None:
    """296. The one clock of the engine, moved on by tests."""
    clock.freeze(datetime(2031, 1, 1, tzinfo=UTC))
    try:
        clock.advance(timedelta(hours=1))
        assert now() == async_to_sync(anow)() == datetime(2031, 1, 1, 1, tzinfo=UTC)
    finally:
        clock.release()
