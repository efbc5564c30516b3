"""How far a run has come: told from its body and its steps, seen from outside."""

import asyncio
from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    NotInWorkflowError,
    SetWorkflowID,
    aget_progress,
    aprogress,
    get_progress,
    list_workflow_steps,
    progress,
    step,
    workflow,
)
from durable_app.models import Event, EventHistory
from durable_app.worker.worker import Worker
from tests.helpers import execute_again

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 500


@step
def count_to(number: int) -> int:
    for done in range(1, number + 1):
        progress(done, number, f"line {done}")
    return number


@workflow
def reading() -> int:
    progress(0)
    return count_to(MANY)


@workflow
async def aread() -> str:
    await aprogress(1, 4)
    return "read"


@workflow
def misreporting(given: Any) -> None:
    progress(given)


def test_a_step_tells_often_is_written_seldom_and_its_last_word_lands() -> None:
    """Issue 3.7. A loop of reports is no loop of commits; the last one is there when the step has ended."""
    with SetWorkflowID("r"):
        assert reading() == MANY
    found = get_progress("r")
    assert found is not None
    assert (found.done, found.total, found.message, found.share) == (MANY, MANY, f"line {MANY}", 1.0)
    assert Event.objects.count() == 1


def test_the_body_tells_in_steps_of_its_own_and_a_replay_tells_nothing() -> None:
    """153. One recorded step a call; unknown totals have no share."""
    with SetWorkflowID("r"):
        reading()
    assert [one.name for one in list_workflow_steps("r")] == ["durable.setEvent", "count_to"]
    said = list(EventHistory.objects.values_list("position", flat=True))
    with Worker(threads=1):
        execute_again("r")
    assert list(EventHistory.objects.values_list("position", flat=True)) == said


def test_the_async_twins() -> None:
    """65. Both of them."""

    async def look() -> Any:
        with SetWorkflowID("a"):
            await aread()
        return await aget_progress("a")

    found = asyncio.run(look())
    assert found.share == 0.25


def test_what_cannot_be_told_is_refused() -> None:
    """Issue 3, bad input."""
    for given in (-1, float("nan"), float("inf"), "3", True, None):
        with pytest.raises(InvalidOptionError):
            misreporting(given)
    with pytest.raises(NotInWorkflowError):
        progress(1)
    assert get_progress("nobody") is None
