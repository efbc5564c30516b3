"""A long pause between two tries of a step parks the run, and its tries go on counting."""

import pytest

from durable_app import MaxStepRetriesExceeded, list_workflow_steps, start_workflow, step, workflow
from durable_app.worker.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)

tries: list[int] = []


@step(retries_allowed=True, max_attempts=3, interval_seconds=1.2, backoff_rate=1.0)
def fails(times: int) -> str:
    tries.append(len(tries))
    if len(tries) <= times:
        raise OSError(f"failure {len(tries)}")
    return "done"


@workflow
def patient(times: int) -> str:
    return fails(times)


@pytest.fixture(autouse=True)
def fresh() -> None:
    tries.clear()


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
