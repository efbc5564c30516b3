"""run_step and arun_step: any callable as a step."""

import asyncio
import functools
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    InvalidOptionError,
    MaxStepRetriesExceeded,
    SetWorkflowID,
    StepOptions,
    arun_step,
    run_step,
    step,
    step_id,
    step_status,
    workflow,
    workflow_id,
)
from tests.helpers import step_names

executed: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    executed.clear()


def shout(word: str, *, times: int = 1) -> str:
    executed.append((word, workflow_id(), step_id()))
    return word.upper() * times


async def ashout(word: str, *, times: int = 1) -> str:
    await asyncio.sleep(0)
    return shout(word, times=times)


@step
async def ashout_step(word: str) -> str:
    return await ashout(word)


class AsyncCrier:
    async def __call__(self, word: str) -> str:
        return await ashout_step(word)


class Crier:
    def __call__(self, word: str) -> str:
        return shout(word)

    def cry(self, word: str) -> str:
        return shout(word)


@workflow
def run_anything() -> list[str]:
    return [
        run_step(None, shout, "a", times=2),
        run_step({"name": "chosen"}, shout, "b"),
        run_step(StepOptions(name="by options"), shout, "c"),
        run_step(None, lambda: shout("d")),
        run_step(None, Crier(), "e"),
        run_step(None, Crier().cry, "f"),
        run_step(None, functools.partial(shout, "g")),
        run_step({}, str.upper, "h"),
    ]


@pytest.mark.django_db
def test_any_callable_can_be_a_step() -> None:
    """55. Named by its qualified name or by option; with arguments, keywords, and its own step id."""
    for _ in range(2):
        with SetWorkflowID("anything"):
            assert run_anything() == ["AA", "B", "C", "D", "E", "F", "G", "H"]
    assert [name for _, name in step_names("anything")] == [
        "shout",
        "chosen",
        "by options",
        "run_anything.<locals>.<lambda>",
        "Crier",
        "Crier.cry",
        "partial",
        "str.upper",
    ]
    assert executed == [(letter, "anything", number) for number, letter in enumerate("abcdefg", 1)]


def fail(word: str) -> None:
    status = step_status()
    executed.append((word, status.current_attempt if status else None))
    raise ValueError(word)


@workflow
def run_failing(**options: Any) -> None:
    run_step(options, fail, "no")


@pytest.mark.django_db
def test_options_are_those_of_a_step() -> None:
    """55. Retries and all; refused if they are out of range."""
    with SetWorkflowID("failing"), pytest.raises(MaxStepRetriesExceeded) as raised:
        run_failing(retries_allowed=True, max_attempts=2, interval_seconds=0)
    assert [str(one) for one in raised.value.errors] == ["no", "no"]
    assert executed == [("no", 0), ("no", 1)]
    with pytest.raises(ValueError, match="^no$"):
        run_failing()
    for options in ({"max_attempts": 0}, {"timeout_seconds": 1.0}, {"preemptible": True}):
        with pytest.raises(InvalidOptionError):
            run_failing(**options)


@workflow
async def arun_anything() -> list[Any]:
    return [
        await arun_step(None, ashout, "a", times=2),
        await arun_step({"name": "chosen"}, shout, "b"),
        await arun_step(None, lambda: ashout("c")),
        await arun_step(None, ashout_step, "f"),
        await arun_step(None, AsyncCrier(), "g"),
        await arun_step(None, functools.partial(ashout_step, "h")),
        await asyncio.gather(arun_step({"name": "x"}, ashout, "d"), arun_step({"name": "y"}, ashout, "e")),
    ]


@pytest.mark.django_db
def test_coroutines_and_functions_can_be_steps_of_an_async_workflow() -> None:
    """55. 63. Lambdas that return coroutines, too; ids are taken in the order of the calls."""
    for _ in range(2):
        with SetWorkflowID("anything"):
            assert async_to_sync(arun_anything)() == ["AA", "B", "C", "F", "G", "H", ["D", "E"]]
    assert [name for _, name in step_names("anything")] == [
        "ashout",
        "chosen",
        "arun_anything.<locals>.<lambda>",
        "ashout_step",
        "AsyncCrier",
        "partial",
        "x",
        "y",
    ]
    assert sorted(executed, key=lambda one: one[2]) == [
        (letter, "anything", number) for number, letter in enumerate("abcfghde", 1)
    ]


def test_outside_of_a_workflow_it_is_a_plain_call() -> None:
    """55. 41. Without database, retries or names."""
    assert run_step({"retries_allowed": True}, shout, "a", times=2) == "AA"
    with pytest.raises(ValueError, match="^no$"):
        run_step({"retries_allowed": True, "interval_seconds": 0}, fail, "no")

    async def both() -> list[str]:
        return [await arun_step(None, ashout, "b"), await arun_step(None, lambda: ashout("c"))]

    assert asyncio.run(both()) == ["B", "C"]
    assert executed == [("a", None, None), ("no", None), ("b", None, None), ("c", None, None)]


def test_each_colour_has_its_place() -> None:
    """55. 65. run_step refuses to block an event loop, arun_step needs one."""

    async def blocking() -> None:
        run_step(None, shout, "a")

    with pytest.raises(RuntimeError, match="arun_step"):
        asyncio.run(blocking())
    with pytest.raises(RuntimeError, match="event loop.*run_step"):
        arun_step(None, shout, "a")
    assert executed == []
