"""Failing steps: how often they are tried, what their caller sees, what a crash in between does."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    MaxStepRetriesExceeded,
    SetWorkflowID,
    Status,
    StepOptions,
    list_workflow_steps,
    run_step,
    signals,
    start_workflow,
    step,
    step_status,
    workflow,
)
from durable_app.incarnation import forget_callers
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, status, step_names, wait_until

tries: list[Any] = []
plan: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def clean_slate() -> None:
    tries.clear()
    plan.clear()


@pytest.fixture
def pauses() -> Iterator[list[float]]:
    """Collect the pauses that the engine announces before each further try."""
    found: list[float] = []

    def note(pause: float, **values: Any) -> None:
        found.append(pause)

    signals.step_retried.connect(note)
    yield found
    signals.step_retried.disconnect(note)


class Transient(Exception):
    pass


class Permanent(Exception):
    pass


def attempt() -> str:
    """Note the try; do what the plan says of it: raise, or return."""
    now = step_status()
    assert now is not None
    tries.append((now.current_attempt, now.max_attempts))
    outcome = plan.get("outcomes", [])[len(tries) - 1]
    if isinstance(outcome, BaseException):
        raise outcome
    return str(outcome)


def may_retry(error: BaseException) -> bool:
    return isinstance(error, Transient)


attempt_once = step(name="attempt_once")(attempt)
attempt_thrice = step(name="attempt_thrice", retries_allowed=True, interval_seconds=0)(attempt)
attempt_choosily = step(
    name="attempt_choosily", retries_allowed=True, interval_seconds=0, should_retry=may_retry
)(attempt)


@workflow
def attempting(which: str) -> str:
    steps = {"once": attempt_once, "thrice": attempt_thrice, "choosily": attempt_choosily}
    assert step_status() is None
    try:
        return steps[which]()
    finally:
        assert step_status() is None


def outcomes(*given: Any) -> None:
    plan["outcomes"] = list(given)


@pytest.mark.django_db
def test_a_step_is_tried_once_by_default() -> None:
    """49. 52. And then it does not count its tries."""
    outcomes(Transient("once"))
    with pytest.raises(Transient, match="once"):
        attempting("once")
    assert tries == [(None, None)]


@pytest.mark.django_db
def test_allowed_retries_stop_at_the_first_success() -> None:
    """49. 52. Tries are counted from zero, of three by default; they take one step id."""
    outcomes(Transient("a"), Transient("b"), "c")
    with SetWorkflowID("tried"):
        assert attempting("thrice") == "c"
    assert tries == [(0, 3), (1, 3), (2, 3)]
    (found,) = list_workflow_steps("tried")
    assert (found.step_id, found.name, found.output, found.tries) == (1, "attempt_thrice", "c", 3)


@pytest.mark.django_db
def test_exhausted_retries_raise_all_errors_and_replay() -> None:
    """50. One error a try; the recorded step raises the same again without a further try."""
    outcomes(Transient("a"), Permanent("b"), Transient("c"))
    for _ in range(2):
        with SetWorkflowID("exhausted"), pytest.raises(MaxStepRetriesExceeded) as raised:
            attempting("thrice")
        assert [(type(one), str(one)) for one in raised.value.errors] == [
            (Transient, "a"),
            (Permanent, "b"),
            (Transient, "c"),
        ]
        assert raised.value.step_name == "attempt_thrice"
    assert len(tries) == 3
    assert status("exhausted") == Status.ERROR


@pytest.mark.django_db(transaction=True)
def test_exhausted_retries_are_seen_through_a_handle() -> None:
    """50. Also when the workflow was started, and run by a worker."""
    outcomes(Transient("a"), Transient("b"), Transient("c"))
    with Worker(threads=1):
        handle = start_workflow(attempting, "thrice")
        with pytest.raises(MaxStepRetriesExceeded) as raised:
            handle.get_result(timeout=60)
    assert [str(one) for one in raised.value.errors] == ["a", "b", "c"]


@pytest.mark.django_db
@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_refused_retry_raises_the_error_itself(before: int) -> None:
    """51. At once, and on the last try too; with its type, not wrapped."""
    outcomes(*[Transient(str(n)) for n in range(before)], Permanent("for good"))
    for _ in range(2):
        with SetWorkflowID("refused"), pytest.raises(Permanent, match="^for good$"):
            attempting("choosily")
    assert len(tries) == before + 1


@pytest.mark.django_db
def test_an_async_predicate_needs_an_async_step() -> None:
    """51. The error comes at decoration."""

    async def ask(error: BaseException) -> bool:
        return True

    with pytest.raises(InvalidOptionError, match="sync but should_retry is async"):
        step(retries_allowed=True, should_retry=ask)(attempt)


@pytest.mark.django_db
def test_pauses_grow_and_none_follows_the_last_failure(pauses: list[float]) -> None:
    """49. interval * backoff ** tries before, and nothing after the last."""
    outcomes(*[Transient(str(n)) for n in range(4)])
    options = StepOptions(retries_allowed=True, max_attempts=4, interval_seconds=0.001, backoff_rate=3.0)

    @workflow
    def growing() -> None:
        run_step(options, attempt)

    with pytest.raises(MaxStepRetriesExceeded):
        growing()
    assert pauses == pytest.approx([0.001, 0.003, 0.009])


@pytest.mark.django_db
def test_each_failed_try_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """292. With the step, the try and the error."""
    outcomes(Transient("flaky"), "fine")
    with caplog.at_level(logging.WARNING, "durable_app"):
        attempting("thrice")
    (line,) = [one for one in caplog.messages if "tried again" in one]
    assert all(part in line for part in ("step_name=attempt_thrice", "attempt=1", "error=flaky"))


@pytest.mark.django_db(transaction=True)
def test_a_crash_between_tries_starts_them_anew() -> None:
    """53. 54. Nothing of the step was recorded, so all its tries are left."""
    outcomes(Transient("a"), Crash(), Transient("b"), Transient("c"), "d")
    with SetWorkflowID("crashed"):
        crash(attempting, "thrice")
    assert step_names("crashed") == []
    with Worker(threads=1), SetWorkflowID("crashed"):
        assert start_workflow(attempting, "thrice").get_result(timeout=60) == "d"
    assert tries == [(0, 3), (1, 3), (0, 3), (1, 3), (2, 3)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_process_is_neither_recorded_nor_retried(error: type[BaseException]) -> None:
    """54. The run stays PENDING, and goes on elsewhere."""
    outcomes(error(), "later")
    with SetWorkflowID("interrupted"), pytest.raises(error):
        attempting("thrice")
    assert status("interrupted") == Status.PENDING
    assert (tries, step_names("interrupted")) == ([(0, 3)], [])

    forget_callers()
    with Worker(threads=1), SetWorkflowID("interrupted"):
        assert start_workflow(attempting, "thrice").get_result(timeout=60) == "later"
    assert tries == [(0, 3), (0, 3)]


@pytest.mark.django_db(transaction=True)
def test_what_ends_a_workers_thread_leaves_the_run_recoverable(caplog: pytest.LogCaptureFixture) -> None:
    """54. The worker goes on with other runs, and hands this one back when it stops."""
    outcomes(SystemExit(), "later")
    with Worker(threads=1) as first:
        handle = start_workflow(attempting, "thrice")
        wait_until(lambda: tries and not first.busy)
        assert handle.get_status().status == Status.PENDING
        assert first.stop(grace=5) == 1
    assert any("without an outcome" in line for line in caplog.messages)
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == "later"
    assert tries == [(0, 3), (0, 3)]
