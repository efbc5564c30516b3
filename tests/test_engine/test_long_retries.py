"""A long pause between two tries of a step parks the run, and its tries go on counting."""

from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    MaxStepRetriesExceeded,
    RetryAfter,
    list_workflow_steps,
    start_workflow,
    step,
    workflow,
)
from durable_app.worker.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)

tries: list[int] = []


@step(retries_allowed=True, max_attempts=3, interval_seconds=1.2, backoff_rate=1.0)
def fails(times: int) -> str:
    tries.append(len(tries))
    if len(tries) <= times:
        raise OSError(f"failure {len(tries)}")
    return "done"


@step(name="long_retries.backs_off", retries_allowed=True, max_attempts=3, interval_seconds=0.6)
def backs_off(times: int) -> str:
    return str(fails.func(times))


@workflow(name="long_retries.impatient")
def impatient(times: int) -> str:
    return backs_off(times)


@workflow
def patient(times: int) -> str:
    return fails(times)


@step(name="long_retries.asks", retries_allowed=True, interval_seconds=3600, max_attempts=3)
def asks_for_another_try(*pauses: Any) -> int:
    tries.append(len(tries))
    if len(tries) <= len(pauses):
        raise RetryAfter(pauses[len(tries) - 1], "too many requests")
    return len(tries)


@step(name="long_retries.asks_in_vain")
def asks_in_vain() -> None:
    raise RetryAfter(1)


@workflow(name="long_retries.obedient")
def obedient(*pauses: Any) -> int:
    return asks_for_another_try(*pauses)


@workflow(name="long_retries.helpless")
def helpless() -> None:
    asks_in_vain()


@pytest.fixture(autouse=True)
def fresh() -> None:
    tries.clear()


def test_tries_before_the_first_long_pause_count_too() -> None:
    """49, 50. A short pause is not recorded until a long one follows, which parks the run: then all are."""
    with Worker(threads=1):
        handle = start_workflow(impatient, 2)
        assert handle.get_result(timeout=60) == "done"
        assert len(tries) == 3
        steps = list_workflow_steps(handle.workflow_id)
        assert [found.step_id for found in steps] == [1, "1.0.1", "1.0.2"]
        assert [str(found.error) for found in steps[1:]] == ["failure 1", "failure 2"]
        tries.clear()
        handle = start_workflow(impatient, 3)
        with pytest.raises(MaxStepRetriesExceeded) as caught:
            handle.get_result(timeout=60)
    assert [str(one) for one in caught.value.errors] == ["failure 1", "failure 2", "failure 3"]
    assert len(tries) == 3


def test_a_step_may_say_when_it_is_to_be_tried_again() -> None:
    """49. In the place of its policy's pause, short or parked; its policy still says how often."""
    with Worker(threads=1):
        assert start_workflow(obedient, 0.01, timedelta(seconds=1.2)).get_result(timeout=60) == 3
        tries.clear()
        handle = start_workflow(obedient, 0, 0, 0)
        with pytest.raises(MaxStepRetriesExceeded) as caught:
            handle.get_result(timeout=60)
        assert "too many requests" in str(caught.value.errors[2])
        with pytest.raises(RetryAfter) as refused:
            start_workflow(helpless).get_result(timeout=60)
    assert (refused.value.seconds, refused.value.reason) == (1.0, "")


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), True, "5", None])
def test_a_time_to_try_again_is_a_span(bad: Any) -> None:
    """49. Anything else is a mistake of the step's, and told as one."""
    with pytest.raises(InvalidOptionError, match="RetryAfter: seconds must be"):
        RetryAfter(bad)


def test_a_parked_retry_continues_with_the_next_try() -> None:
    """design.md 4.4: a retry's back-off is recorded first, and parks the run; no try is repeated."""
    with Worker(threads=1):
        handle = start_workflow(patient, 2)
        assert handle.get_result(timeout=60) == "done"
    assert len(tries) == 3
    assert handle.get_status().attempt == 3  # two pauses, each parked and claimed again
    steps = list_workflow_steps(handle.workflow_id)
    assert [found.step_id for found in steps] == [1, "1.0.1", "1.0.2"]
    assert [str(found.error) for found in steps[1:]] == ["failure 1", "failure 2"]


def test_parked_retries_are_exhausted_with_every_error() -> None:
    """50. Exhausted retries raise with one error a try, those of earlier executions included."""
    with Worker(threads=1):
        handle = start_workflow(patient, 3)
        with pytest.raises(MaxStepRetriesExceeded) as caught:
            handle.get_result(timeout=60)
    assert len(caught.value.errors) == 3
    assert len(tries) == 3
