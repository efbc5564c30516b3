"""``reserve_step``: a position taken now for a step that runs later."""

import asyncio

import pytest

from durable_app import (
    InvalidOptionError,
    NotAllowedInStepError,
    NotInWorkflowError,
    SetWorkflowID,
    StepReservation,
    list_workflow_steps,
    reserve_step,
    rewind_workflow,
    run_step,
    step,
    workflow,
)
from durable_app.worker.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)

ran: list[str] = []


def note(word: str) -> str:
    ran.append(word)
    return word


@pytest.fixture(autouse=True)
def fresh() -> None:
    ran.clear()


@workflow
def later() -> list[str]:
    reserved = reserve_step()
    first = run_step({"name": "first"}, note, "first")
    return [first, reserved.run({"name": "reserved"}, note, "reserved"), run_step(None, note, "last")]


@workflow
async def alater() -> str:
    reserved = reserve_step()
    await asyncio.sleep(0)
    return str(await reserved.arun({"name": "reserved"}, note, "async"))


def test_a_reserved_step_is_recorded_and_replayed_at_its_own_position() -> None:
    """64. The id is that of the reservation, not of the run; a replay finds it there."""
    with SetWorkflowID("r"):
        assert later() == ["first", "reserved", "last"]
    assert [(found.step_id, found.output) for found in list_workflow_steps("r")] == [
        (1, "reserved"),
        (2, "first"),
        (3, "last"),
    ]
    with Worker(threads=1):
        assert rewind_workflow("r", 3).get_result(timeout=30) == ["first", "reserved", "last"]
    assert ran == ["first", "reserved", "last", "last"]


def test_an_async_workflow_reserves_too() -> None:
    """64. ``arun`` is the twin."""
    assert asyncio.run(alater()) == "async"


@workflow
def leaves_a_gap() -> str:
    reserve_step()
    return run_step(None, note, "after")


def test_an_unused_reservation_leaves_a_gap() -> None:
    """64. The next step has the id after it."""
    with SetWorkflowID("gap"):
        leaves_a_gap()
    assert [found.step_id for found in list_workflow_steps("gap")] == [2]


@workflow
def uses_twice() -> None:
    reserved = reserve_step()
    reserved.run(None, note, "once")
    reserved.run(None, note, "twice")


def test_a_reservation_is_run_once() -> None:
    """64. A second use is refused and runs nothing."""
    with pytest.raises(InvalidOptionError, match="already"):
        uses_twice()
    assert ran == ["once"]


strays: list[StepReservation] = []


@workflow
def lends() -> None:
    strays.append(reserve_step())


@workflow
def borrows() -> None:
    strays.pop().run(None, note, "foreign")


@step
def reserves_in_a_step() -> None:
    reserve_step()


@workflow
def reserves_too_deep() -> None:
    reserves_in_a_step()


def test_a_reservation_belongs_to_its_workflow() -> None:
    """64. Not in another workflow, not in a step, not outside."""
    lends()
    with pytest.raises(InvalidOptionError, match="belongs to the workflow"):
        borrows()
    with pytest.raises(NotAllowedInStepError):
        reserves_too_deep()
    with pytest.raises(NotInWorkflowError):
        reserve_step()
    assert ran == []
