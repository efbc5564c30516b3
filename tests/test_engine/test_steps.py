"""A step's life: run once, recorded, replayed."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from durable_app import (
    NotAllowedInStepError,
    NotInWorkflowError,
    SetWorkflowID,
    Status,
    StepNondeterminismError,
    UnexpectedStepError,
    cancel_workflow,
    fork_workflow,
    get_all_events,
    list_workflow_steps,
    list_workflows,
    run_step,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    step_id,
    workflow,
    workflow_id,
)
from durable_app.engine.checkpoints import checkpoint, record
from durable_app.engine.context import current
from durable_app.engine.flow import drive
from durable_app.models import Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, status, step_names, wait_until

executed: list[Any] = []
gates: dict[str, threading.Event] = {}
code: dict[str, str] = {}


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    executed.clear()
    code.clear()
    yield
    for gate in gates.values():
        gate.set()
    gates.clear()


class Refused(Exception):
    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.code = code


@step
def tally(name: str) -> str:
    executed.append(name)
    return name


@step
def give_nothing() -> None:
    executed.append("nothing")


@step
def refuse(why: str) -> None:
    executed.append(why)
    raise Refused(why, 7)


@step
def outer_step(name: str) -> str:
    return tally(name) + run_step(None, tally, name) + run_step({"name": "unseen"}, tally, name)


@workflow
def many_steps() -> list[Any]:
    found: list[Any] = [tally("a"), give_nothing()]
    try:
        refuse("no")
    except Refused as error:
        found.append(f"{error} {error.code}")
    found.append(outer_step("o"))
    if code.get("die") == "at the end":
        raise Crash
    return [*found, tally("z")]


MANY = ["a", None, "no 7", "ooo", "z"]
ALL = ["a", "nothing", "no", "o", "o", "o", "z"]


def test_a_step_outside_of_a_workflow_is_a_plain_call() -> None:
    """41. No database is touched (this test may not), nothing is recorded, nothing is retried."""
    assert tally("plain") == "plain"
    assert outer_step("x") == "xxx"
    assert run_step({"retries_allowed": True}, tally, "run") == "run"
    with pytest.raises(Refused):
        stubborn()
    assert executed == ["plain", "x", "x", "x", "run", "stubborn"]
    assert (workflow_id(), step_id()) == (None, None)


@step(retries_allowed=True, max_attempts=5, interval_seconds=0)
def stubborn() -> None:
    refuse("stubborn")


@pytest.mark.django_db
def test_steps_are_numbered_from_one_in_call_order() -> None:
    """42. 46. A step inside of a step is part of it: one row, under the outer one's name."""
    with SetWorkflowID("many"):
        assert many_steps() == MANY
    assert step_names("many") == [
        (1, "tally"),
        (2, "give_nothing"),
        (3, "refuse"),
        (4, "outer_step"),
        (5, "tally"),
    ]
    assert executed == ALL


@pytest.mark.django_db
def test_a_step_knows_its_number() -> None:
    """42. step_id() is the position of the recorded step, also in the steps inside of it."""

    @step
    def where() -> Any:
        return step_id()

    @step
    def around() -> Any:
        return where()

    @workflow
    def numbered() -> list[Any]:
        return [step_id(), where(), around(), step_id()]

    assert numbered() == [None, 1, 2, None]


@pytest.mark.django_db(transaction=True)
def test_recorded_steps_are_not_executed_again_after_a_crash() -> None:
    """43. 44. 45. Recovery returns every recorded output, None among them, and error."""
    code["die"] = "at the end"
    with SetWorkflowID("crashed"):
        crash(many_steps)
    assert executed == ALL[:-1]
    code.clear()
    with Worker(threads=1):
        assert start_workflow_result("crashed") == MANY
    assert executed == ALL


def start_workflow_result(chosen: str) -> Any:
    with SetWorkflowID(chosen):
        return start_workflow(many_steps).get_result(timeout=60)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", [1, 2, 3, 4, 5, 6])
def test_a_fork_executes_only_the_steps_it_has_not_recorded(start: int) -> None:
    """43. 44. 45. 113. The others' outcomes are adopted."""
    with SetWorkflowID("many"):
        many_steps()
    executed.clear()
    with Worker(threads=1):
        assert fork_workflow("many", start).get_result(timeout=60) == MANY
    remaining = {1: ALL, 2: ALL[1:], 3: ALL[2:], 4: ALL[3:], 5: ALL[6:], 6: []}[start]
    assert executed == remaining


@pytest.mark.django_db
def test_a_steps_none_is_recorded_as_a_value() -> None:
    """45. The row holds serialized None, not NULL; an error has no output."""
    many_steps()
    assert Step.objects.get(position=2).output == "null"
    assert Step.objects.get(position=2).error is None
    assert Step.objects.get(position=3).output is None
    assert "no" in (Step.objects.get(position=3).error or "")


@step
def manage(other: str) -> list[str]:
    set_event("from a step", 1)
    send(other, "hello")
    cancel_workflow(other)
    found = list_workflows(workflow_ids=[other])
    return [found[0].status, *get_all_events(workflow_id() or "")]


@workflow
def manage_in_step(other: str) -> tuple[list[str], str]:
    return manage(other), tally("after")


@pytest.mark.django_db
def test_management_inside_a_step_is_done_but_not_recorded() -> None:
    """47. 293. It takes no step id: the next step is number two."""
    other = start_workflow(many_steps).workflow_id
    with SetWorkflowID("manager"):
        assert manage_in_step(other) == ([Status.CANCELLED, "from a step"], "after")
    assert step_names("manager") == [(1, "manage"), (2, "tally")]
    assert status(other) == Status.CANCELLED


@pytest.mark.django_db
def test_what_records_a_step_of_its_own_is_refused_inside_a_step() -> None:
    """38. 138. Starting and calling workflows, and sleeping; the step's body sees the error."""
    refused: list[Any] = []

    @step
    def misplaced() -> str:
        for call in (many_steps, lambda: start_workflow(many_steps), lambda: sleep(1)):
            with pytest.raises(NotAllowedInStepError, match="misplaced") as raised:
                call()
            refused.append(raised.value)
        return "done"

    @workflow
    def misplacing() -> str:
        return misplaced()

    assert misplacing() == "done"
    assert len(refused) == 3
    assert Workflow.objects.count() == 1
    with pytest.raises(NotInWorkflowError):
        sleep(1)


@workflow
def changing() -> str:
    first = tally("first")
    if code.get("version") == "new":
        return first + run_step({"name": "ship"}, tally, "second")
    if code.get("version") == "shorter":
        return first
    return first + run_step({"name": "pay"}, tally, "second")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("version", "expected"), [("new", "'ship'"), ("shorter", "the end of the workflow")])
def test_changed_code_blocks_a_run_until_code_fits_again(version: str, expected: str) -> None:
    """59. Both names and the line are told; nothing runs; the neighbours go on; new code picks it up."""
    with SetWorkflowID("original"):
        assert changing() == "firstsecond"
    code["version"] = version
    fork = fork_workflow("original", 3)
    with Worker(threads=1) as worker:
        reason = wait_until(lambda: fork.get_status().waiting_for)
        assert fork.get_status().status == Status.WAITING
        assert expected in reason and "'pay'" in reason and "step 2" in reason
        assert version == "shorter" or "test_steps.py:" in reason
        assert start_workflow(give_nothing).get_result(timeout=60) is None
        assert worker.run_until_idle(60)
        assert fork.get_status().status == Status.WAITING
    assert executed == ["first", "second", "nothing"]
    code.clear()
    with Worker(threads=1):
        assert fork.get_result(timeout=60) == "firstsecond"
    assert executed == ["first", "second", "nothing"]


@workflow
def swallowing() -> str:
    tally("first")
    try:
        run_step({"name": code["name"]}, tally, "second")
    except Exception as error:  # noqa: BLE001
        executed.append(type(error))
    tally("third")
    return "ended"


@pytest.mark.django_db(transaction=True)
def test_changed_code_blocks_even_if_the_workflow_swallows_the_error() -> None:
    """59. Nothing runs after the mismatch, and no outcome is recorded."""
    code["name"] = "old"
    with SetWorkflowID("swallowing"):
        swallowing()
    executed.clear()
    code["name"] = "new"
    fork = fork_workflow("swallowing", 3)
    with Worker(threads=1):
        wait_until(lambda: fork.get_status().waiting_for)
    assert executed == [UnexpectedStepError]
    assert fork.get_status().status == Status.WAITING


@workflow
def record_twice(*texts: str) -> str:
    tally("once")
    scope = current.get()
    assert scope is not None
    place = scope.cursor.next()
    for text in texts:
        drive(record(scope.cursor, checkpoint(scope.execution, place, "twice", output=text)))
    return "recorded"


@pytest.mark.django_db
def test_one_position_cannot_have_two_outcomes() -> None:
    """60. StepNondeterminismError; the first record stands."""
    with SetWorkflowID("twice"), pytest.raises(StepNondeterminismError, match="'twice'.*step 2"):
        record_twice('"a"', '"b"')
    assert Step.objects.get(position=2).output == '"a"'
    assert status("twice") == Status.ERROR


@pytest.mark.django_db(transaction=True)
def test_the_same_outcome_again_is_taken_for_a_lost_reply() -> None:
    """60. 98. A repeated record is not doubled and harms nothing."""
    assert record_twice('"a"', '"a"') == "recorded"
    assert Step.objects.count() == 2


@pytest.mark.django_db
def test_a_steps_times_span_its_body() -> None:
    """62. Started before the body, finished after; a sleep's end is its wake time."""

    @workflow
    def timed() -> None:
        tally("a")
        sleep(0.05)
        tally("b")

    with SetWorkflowID("timed"):
        timed()
    first, nap, last = list_workflow_steps("timed")
    run = Workflow.objects.get(workflow_id="timed")
    assert run.created_at <= first.started_at <= first.finished_at <= nap.started_at
    assert nap.started_at < nap.finished_at == nap.output
    assert nap.finished_at <= last.started_at <= last.finished_at
