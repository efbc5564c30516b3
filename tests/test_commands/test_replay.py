"""`durable replay`: the code is called with what was recorded, and nothing is done in earnest."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User

from durable_app import (
    asleep,
    compensate,
    gather,
    get_event,
    patch,
    progress,
    recv,
    set_event,
    sleep,
    start_workflow,
    step,
    transaction,
    wait_for_approval,
    workflow,
    write_stream,
)
from durable_app.models import AuditEvent, Event, Message, Status, Step, StreamEntry, Workflow
from durable_app.registry import registry
from durable_app.worker.worker import Worker
from tests.test_commands.keyboard import Said, durable

pytestmark = pytest.mark.django_db

done: list[Any] = []


@step
def played(value: Any) -> Any:
    done.append(value)
    return value


@step
def played_otherwise(value: Any) -> Any:
    done.append(value)
    return value


@transaction
def played_write(name: str) -> str:
    done.append(name)
    return User.objects.create_user(name).username


@step
async def aplayed(value: Any) -> Any:
    done.append(value)
    return value


@workflow
def replayed_workflow(value: int) -> Any:
    """Uses most of what is recorded."""
    compensate(played_otherwise, "undo")
    first = played(value)
    sleep(0.001)
    name = played_write(f"user {value}")
    nothing = recv("word", timeout_seconds=0)
    set_event("half", first)
    write_stream("lines", "one")
    progress(1, total=2)
    both = gather(lambda: played(1), lambda: [played(2), played(3)])
    event = get_event("nobody", "key", timeout_seconds=0)
    child = start_workflow(replayed_child, value)
    return [first, name, nothing, both, event, child.workflow_id, played("last")]


@workflow
def replayed_child(value: int) -> int:
    return value


@workflow
async def areplayed_workflow(value: int) -> Any:
    first = await aplayed(value)
    await asleep(0.001)
    return [first, await aplayed("last")]


@workflow
def replayed_approval() -> Any:
    return wait_for_approval("Really?", timeout=0)


@pytest.fixture(autouse=True)
def fresh() -> None:
    done.clear()


def rows() -> list[list[dict[str, Any]]]:
    models: tuple[Any, ...] = (Workflow, Step, Message, Event, StreamEntry, User, AuditEvent)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def replay(*ids: str) -> Said:
    """Replay runs; whatever comes of it, nothing may have been done."""
    before, did = rows(), list(done)
    said = durable("replay", *(ids or (newest(),)))
    assert done == did
    assert rows() == before
    return said


def newest() -> str:
    run: Workflow = Workflow.objects.exclude(name="replayed_child").latest("pk")
    return str(run.workflow_id)


def changed(monkeypatch: Any, name: str, func: Callable[..., Any]) -> str:
    """Deploy other code for a workflow; return its location."""
    definition = registry.workflows[name]
    monkeypatch.setitem(registry.workflows, name, replace(definition, func=func))
    return f"{func.__code__.co_filename}:{func.__code__.co_firstlineno}"


def left_at(position: int) -> None:
    """Let the newest run be one that has come no further than a step."""
    run = Workflow.objects.get(workflow_id=newest())
    run.steps.filter(position__gt=position).delete()
    Workflow.objects.filter(pk=run.pk).update(status=Status.WAITING, output=None, finished_at=None)


def test_a_run_that_fits_is_replayed_to_its_end():
    """E 6. Steps, transactions, sleeps, messages, branches, children: all from the history."""
    replayed_workflow(1)
    said = replay()
    assert (said.code, said.err) == (0, "")
    count = Step.objects.filter(workflow__workflow_id=newest()).count()
    assert said.lines == [
        f"{newest()}: {count} of {count} recorded steps replayed.",
        "Every recorded step fits, and the code returns.",
    ]


def test_a_coroutine_is_replayed_likewise(transactional_db):
    """E 6. On a loop of its own."""
    run = start_workflow(areplayed_workflow, 1)
    with Worker(threads=1):
        assert run.get_result(timeout=30) == [1, "last"]
    assert replay(run.workflow_id).code == 0
    left_at(2)
    said = replay(run.workflow_id)
    assert said.lines[1] == "The recorded steps fit; the run goes on with 'aplayed' as step 3."


def test_a_run_under_way_is_replayed_up_to_where_it_is():
    """E 6. It says what comes next, and where in the code; the step is not executed."""
    replayed_workflow(1)
    left_at(2)
    said = replay()
    assert said.code == 0
    line = replayed_workflow.func.__code__.co_firstlineno + 5
    assert said.lines == [
        f"{newest()}: 2 of 2 recorded steps replayed.",
        "The recorded steps fit; the run goes on with 'durable.sleep' as step 3.",
        f"at {__file__}:{line}",
    ]


def test_nothing_at_all_is_recorded_yet():
    """E 6. The first step of a run that has not begun is not executed either."""
    start_workflow(replayed_workflow, 1)
    said = replay()
    assert said.lines[0].endswith("0 of 0 recorded steps replayed.")
    assert "goes on with 'durable.compensate' as step 1" in said.lines[1]


def test_another_step_is_found_with_its_place_in_the_code(monkeypatch):
    """E 6. The first one that differs; exit 1."""
    replayed_workflow(1)

    def body(value: int) -> Any:
        compensate(played_otherwise, "undo")
        return played_otherwise(value)

    changed(monkeypatch, "replayed_workflow", body)
    said = replay()
    assert said.code == 1
    assert said.lines[1:] == [
        "Step 2 was recorded as 'played', but the code now runs 'played_otherwise'.",
        f"at {__file__}:{body.__code__.co_firstlineno + 2}",
    ]
    assert said.err == "The code does not fit 1 run of 1."


def test_code_that_ends_too_soon_or_goes_on_too_long(monkeypatch):
    """E 6. Steps that nobody comes by any more, and one behind the end of a run that is over."""
    replayed_workflow(1)
    changed(monkeypatch, "replayed_workflow", lambda value: compensate(played_otherwise, "undo"))
    said = replay()
    assert (said.code, "but the code now runs 'the end of the workflow'" in said.lines[1]) == (1, True)
    replayed_child(5)

    def longer(value: int) -> int:
        played(value)
        return value

    changed(monkeypatch, "replayed_child", longer)
    child = Workflow.objects.filter(name="replayed_child").latest("pk").workflow_id
    longer_said = replay(child)
    assert longer_said.code == 1
    assert "The run has ended, but the code now goes on with 'played' as step 1." in longer_said.out


def test_another_value_and_an_error_instead_of_one(monkeypatch):
    """E 6. Every step fits, and yet it is another workflow."""
    replayed_child(5)
    run = Workflow.objects.latest("pk").workflow_id
    changed(monkeypatch, "replayed_child", lambda value: value + 1)
    assert "returns another value" in replay(run).out

    def failing(value: int) -> int:
        raise ValueError("no")

    changed(monkeypatch, "replayed_child", failing)
    said = replay(run)
    assert (said.code, "the code now raises ValueError: no" in said.out) == (1, True)
    Workflow.objects.filter(workflow_id=run).update(status=Status.ERROR)
    assert replay(run).code == 0


def test_a_body_that_writes_by_itself_is_found_and_kept_from_it(monkeypatch):
    """E 6. What a body writes outside of a step it writes at every replay; here it does not get to it."""
    replayed_child(5)
    run = Workflow.objects.latest("pk").workflow_id

    def writing(value: int) -> int:
        with contextlib.suppress(Exception):  # as careless code has it
            User.objects.create_user("written")
        return value

    changed(monkeypatch, "replayed_child", writing)
    said = replay(run)
    assert said.code == 1
    assert "writes to a database outside of a step: INSERT" in said.out
    assert not User.objects.exists()
    User.objects.create_user("afterwards")


def test_a_branch_that_has_come_less_far_does_not_hide_a_change_in_another(monkeypatch):
    """E 6. Both branches of a gather are looked at."""
    replayed_workflow(1)
    run = Workflow.objects.get(workflow_id=newest())
    place = Step.objects.filter(workflow=run).exclude(branch="").first()
    assert place is not None
    left_at(place.position)
    Step.objects.filter(workflow=run, position=place.position, branch__startswith="1").delete()
    assert "goes on with 'played' as step" in replay().out
    Step.objects.filter(workflow=run, branch__startswith="2").update(name="renamed")
    said = replay()
    assert (said.code, "was recorded as 'renamed'" in said.out) == (1, True)


def test_an_answer_that_did_not_come_is_replayed_as_none():
    """E 6. A question whose time is over, a message that never came: nothing is asked or closed again."""
    replayed_approval()
    assert replay().lines[1] == "Every recorded step fits, and the code returns."


def test_a_patch_is_asked_in_vain_where_it_is_not_recorded(monkeypatch):
    """E 6. A patch before the end of the history takes the old way; behind it, it would be recorded."""
    replayed_workflow(1)
    left_at(2)

    def body(value: int) -> Any:
        compensate(played_otherwise, "undo")
        if patch("new way"):
            played_otherwise(value)
        played(value)
        return patch("newer")

    changed(monkeypatch, "replayed_workflow", body)
    said = replay()
    assert (said.code, "goes on with 'durable.patch-newer' as step 3" in said.out) == (0, True)


def test_many_are_replayed_before_a_deployment():
    """E 6. As a table, or JSON with every field; one that no code is for is exit 4."""
    send_to = [replayed_child(number) for number in (1, 2)]
    assert send_to == [1, 2]
    ids = [run.workflow_id for run in Workflow.objects.order_by("pk")]
    table = replay(*ids)
    assert (table.code, len(table.lines)) == (0, 3)
    found = durable("replay", "-", "-o", "json", stdin="\n".join(ids)).json
    assert [one["fits"] for one in found] == [True, True]
    Workflow.objects.update(name="gone")
    assert durable("replay", ids[0]).code == 4
    assert durable("replay", "nobody").code == 4
