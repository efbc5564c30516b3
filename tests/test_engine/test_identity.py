"""Who a run is: one id, one run, one outcome."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    ConfiguredInstance,
    ConflictingWorkflowError,
    InvalidWorkflowIDError,
    SetWorkflowID,
    Status,
    fork_workflow,
    start_workflow,
    step,
    workflow,
    workflow_id,
)
from durable_app.models import Step, Workflow
from durable_app.store import notify
from tests.helpers import in_thread, wait_until
from tests.shop.identity import behind_a_gate

executed: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    executed.clear()


class SoldOut(Exception):
    def __init__(self, item: str, left: int) -> None:
        super().__init__(f"{item}: {left} left")
        self.item, self.left = item, left


@step
def look_around() -> tuple[str | None, int]:
    return workflow_id(), threading.get_ident()


@workflow
def tell_identity() -> list[Any]:
    return [(workflow_id(), threading.get_ident()), look_around()]


@step
def note_order(item: str) -> str:
    executed.append(("step", item))
    return item.upper()


@workflow
def order_item(item: str) -> str | None:
    executed.append(("body", item))
    found = note_order(item)
    if item == "sold out":
        raise SoldOut(item, 0)
    return None if item == "nothing" else found


@workflow
def order_otherwise(item: str) -> str:
    return item


class Desk(ConfiguredInstance):
    @workflow(name="Desk.serve")
    def serve(self) -> str:
        return self.config_name


class Shop:
    @workflow(name="Shop.opening")
    @classmethod
    def opening(cls) -> str:
        return cls.__name__


class Branch(Shop):
    pass


LEFT, RIGHT = Desk("left"), Desk("right")


@pytest.mark.django_db
def test_a_direct_call_runs_in_the_callers_thread_under_a_fresh_uuid() -> None:
    """1. Each call without an id gets a UUID of its own (here of version 7: they sort by time)."""
    here = threading.get_ident()
    ids = []
    for _ in range(3):
        for name, thread in tell_identity():
            assert thread == here
            ids.append(name)
    assert ids[0::2] == ids[1::2]
    assert len(set(ids)) == 3
    assert {uuid.UUID(one).version for one in ids} == {7}


@pytest.mark.django_db
def test_the_id_is_known_inside_the_workflow_and_its_steps_only() -> None:
    """2. None outside, before and after."""
    assert workflow_id() is None
    with SetWorkflowID("known"):
        found = tell_identity()
        assert workflow_id() is None
    assert [name for name, _ in found] == ["known", "known"]
    assert workflow_id() is None


@pytest.mark.django_db
@pytest.mark.parametrize(("item", "output"), [("tea", "TEA"), ("nothing", None)])
def test_the_same_id_after_completion_returns_the_recorded_output(item: str, output: Any) -> None:
    """3. 9. Body and steps do not run again; None is an output like any other."""
    for _ in range(3):
        with SetWorkflowID("again"):
            assert order_item(item) == output
    assert executed == [("body", item), ("step", item)]
    assert Workflow.objects.get().output == ("null" if output is None else '"TEA"')
    assert start_workflow_again("again", item) == output


def start_workflow_again(chosen: str, item: str) -> Any:
    with SetWorkflowID(chosen):
        return start_workflow(order_item, item).get_result()


@pytest.mark.django_db
def test_the_same_id_after_a_failure_raises_the_recorded_exception() -> None:
    """4. Of the same type, with the same text and data; the body does not run again."""
    for _ in range(3):
        with SetWorkflowID("fails"), pytest.raises(SoldOut, match="^sold out: 0 left$") as raised:
            order_item("sold out")
        assert (raised.value.item, raised.value.left) == ("sold out", 0)
    with pytest.raises(SoldOut):
        start_workflow_again("fails", "sold out")
    assert executed == [("body", "sold out"), ("step", "sold out")]


@pytest.mark.django_db(transaction=True)
def test_a_second_caller_of_a_running_id_gets_its_outcome(tmp_path: Path) -> None:
    """5. 12. In the same process: the second waits, the body runs once, no attempt is added."""
    with SetWorkflowID("shared"):
        first = in_thread(behind_a_gate, str(tmp_path), "mine")
    effects = tmp_path / "effects"
    wait_until(effects.exists)
    with SetWorkflowID("shared"):
        second = in_thread(behind_a_gate, str(tmp_path), "yours")
    wait_until(lambda: "result:shared" in notify.bulletin._waiting, what="the second caller to wait")
    before = Workflow.objects.values("attempt", "recovery_attempts", "inputs", "worker_id").get()
    assert not second.done()

    (tmp_path / "open").touch()
    assert first.result(60) == second.result(60) == "mine"
    assert effects.read_text() == "began\nended\n"
    assert Workflow.objects.values("attempt", "recovery_attempts", "inputs", "worker_id").get() == before


OTHER_PROCESS = """
import sys, django
django.setup()
from durable_app import SetWorkflowID
from durable_app.engine import timers
from tests.shop.identity import behind_a_gate

told = []

class Talkative(timers.Ear):
    def __init__(self, keys):
        keys = list(keys)
        super().__init__(keys)
        if not told:
            print("waits for", *keys, flush=True)
            told.append(True)

timers.Ear = Talkative
with SetWorkflowID("shared"):
    print(behind_a_gate(sys.argv[1], "yours"), flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_a_caller_in_another_process_gets_the_running_ids_outcome(
    tmp_path: Path, worker_env: dict[str, str]
) -> None:
    """5. In another process: the same."""
    with SetWorkflowID("shared"):
        first = in_thread(behind_a_gate, str(tmp_path), "mine")
    wait_until((tmp_path / "effects").exists)
    command = [sys.executable, "-c", OTHER_PROCESS, str(tmp_path)]
    with subprocess.Popen(
        command, env={**worker_env, "PYTHONPATH": os.getcwd()}, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "waits for result:shared\n"
        (tmp_path / "open").touch()
        assert other.stdout.readline() == "mine\n"
    assert first.result(60) == "mine"
    assert other.returncode == 0
    assert (tmp_path / "effects").read_text() == "began\nended\n"


@pytest.mark.django_db
def test_other_inputs_under_a_known_id_are_ignored() -> None:
    """6. The recorded run wins, and its inputs stay."""
    with SetWorkflowID("first-wins"):
        order_item("tea")
    inputs = Workflow.objects.get().inputs
    with SetWorkflowID("first-wins"):
        assert order_item("coffee") == "TEA"
    assert start_workflow_again("first-wins", "cocoa") == "TEA"
    assert Workflow.objects.get().inputs == inputs
    assert executed == [("body", "tea"), ("step", "tea")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (lambda: order_item("tea"), lambda: order_otherwise("tea"), "function name"),
        (lambda: order_item("tea"), lambda: start_workflow(order_otherwise, "tea"), "function name"),
        (lambda: start_workflow(order_item, "tea"), lambda: order_otherwise("tea"), "function name"),
        (lambda: Shop.opening(), lambda: Branch.opening(), "class name"),
        (lambda: LEFT.serve(), lambda: RIGHT.serve(), "config name"),
        (lambda: LEFT.serve(), lambda: start_workflow(RIGHT.serve), "config name"),
    ],
)
def test_an_id_belongs_to_one_function_class_and_instance(first: Any, second: Any, what: str) -> None:
    """7. ConflictingWorkflowError says what differs; the recorded run stays as it is."""
    with SetWorkflowID("taken"):
        first()
    before = Workflow.objects.values().get()
    with (
        SetWorkflowID("taken"),
        pytest.raises(ConflictingWorkflowError, match=f"already exists with a different {what}"),
    ):
        second()
    assert Workflow.objects.values().get() == before


@pytest.mark.parametrize("chosen", ["", " ", "\t\n", "x" * 256, "a\x00b", "\ud800", None, 5])
def test_an_id_no_database_would_keep_is_refused(chosen: Any) -> None:
    """17. Empty, blank, too long, or not plain text."""
    with pytest.raises(InvalidWorkflowIDError):
        SetWorkflowID(chosen)


@pytest.mark.django_db
@pytest.mark.parametrize("chosen", ["x", "x" * 255, " a ", "Ünï/κόδ?'\";--%", "\U0001f600"])
def test_an_unusual_id_is_kept_as_it_is(chosen: str) -> None:
    """17. Whatever else is chosen is the id."""
    with SetWorkflowID(chosen):
        assert tell_identity()[1][0] == chosen
    with SetWorkflowID(chosen):
        tell_identity()
    assert Workflow.objects.get().workflow_id == chosen


@pytest.mark.django_db
def test_only_the_first_workflow_of_the_block_gets_the_id(caplog: pytest.LogCaptureFixture) -> None:
    """18. Later ones get generated ids, and a warning is logged; starting counts as calling does."""
    with caplog.at_level(logging.WARNING, "durable_app"), SetWorkflowID("first"):
        assert start_workflow(order_item, "tea").workflow_id == "first"
        assert not [line for line in caplog.messages if "SetWorkflowID" in line]
        later = {start_workflow(order_item, "tea").workflow_id, tell_identity()[0][0]}
    assert "first" not in later and len(later) == 2
    warned = [line for line in caplog.messages if "SetWorkflowID was used already" in line]
    assert len(warned) == 2 and all("first" in line for line in warned)


@pytest.mark.django_db
def test_a_fork_in_the_block_gets_the_id() -> None:
    """18."""
    with SetWorkflowID("original"):
        order_item("tea")
    with SetWorkflowID("forked"):
        assert fork_workflow("original", 1).workflow_id == "forked"
        assert tell_identity()[0][0] != "forked"


@pytest.mark.django_db
def test_an_unused_id_does_not_leak_out_of_its_block() -> None:
    """19. Nor does an inner block's into the outer one."""
    with SetWorkflowID("outer"):
        with SetWorkflowID("inner"):
            pass
        assert tell_identity()[0][0] == "outer"
    with SetWorkflowID("unused"):
        pass
    assert tell_identity()[0][0] not in ("unused", "inner")
    with pytest.raises(ZeroDivisionError), SetWorkflowID("broken"):
        1 / 0  # noqa: B018
    assert tell_identity()[0][0] != "broken"


@workflow
async def tell_async_identity() -> str | None:
    return workflow_id()


@pytest.mark.django_db
def test_an_id_stays_in_its_task_and_survives_an_await() -> None:
    """19. Sibling tasks keep their own ids; what is spawned outside of the block sees none."""

    async def one(chosen: str | None, turn: asyncio.Event, other: asyncio.Event) -> str | None:
        if chosen is None:
            await turn.wait()
            other.set()
            return await tell_async_identity()
        with SetWorkflowID(chosen):
            other.set()
            await turn.wait()
            return await tell_async_identity()

    async def several() -> list[str | None]:
        events = [asyncio.Event() for _ in range(3)]
        tasks = [
            asyncio.create_task(one("task-a", events[1], events[0])),
            asyncio.create_task(one(None, events[0], events[1])),
        ]
        return list(await asyncio.gather(*tasks))

    first, second = async_to_sync(several)()
    assert first == "task-a"
    assert second not in (None, "task-a")


@workflow
def name_children() -> list[str | None]:
    return [tell_identity()[0][0], tell_identity()[0][0]]


@pytest.mark.django_db
def test_the_workflows_own_body_does_not_see_the_id_of_the_block() -> None:
    """18. 19. 30. Children of the run are named after it, not after the caller's block."""
    with SetWorkflowID("parent"):
        assert name_children() == ["parent-1", "parent-3"]
    assert Step.objects.filter(workflow__workflow_id="parent").count() == 4


@pytest.mark.django_db
def test_a_started_run_is_enqueued_under_the_chosen_id() -> None:
    """10. 18. The row is there when start_workflow returns."""
    with SetWorkflowID("started"):
        handle = start_workflow(order_item, "tea")
    assert (handle.workflow_id, handle.get_status().status) == ("started", Status.ENQUEUED)
    assert executed == []
