"""The numbers and names of steps, exactly as a program written for the seed finds them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app.dbos import DBOS, DBOSClient, SendMessage, SetEnqueueOptions, SetWorkflowID, error
from tests.helpers import execute_again

pytestmark = pytest.mark.django_db(transaction=True)


def steps(workflow_id: str) -> list[tuple[int, str]]:
    found = DBOS.list_workflow_steps(workflow_id)
    return [(one["function_id"], one["function_name"]) for one in found]


def outputs(workflow_id: str) -> dict[int, Any]:
    return {one["function_id"]: one["output"] for one in DBOS.list_workflow_steps(workflow_id)}


def numbered(*names: str) -> list[tuple[int, str]]:
    return list(enumerate(names, 1))


bodies: list[str] = []
"""Steps whose bodies ran."""


def make_step(name: str = "s", fails: int = 0, **options: Any) -> Callable[..., Any]:
    """Return a step that counts its calls, and fails so many times before it returns its argument."""

    @DBOS.step(name=name, **options)
    def step(value=1):
        bodies.append(name)
        if bodies.count(name) <= fails:
            raise ValueError(name)
        return value

    return step


def make_child() -> Callable[..., Any]:
    @DBOS.workflow(name="child")
    def child(value):
        if value is None:
            raise KeyError("gone")
        return value

    return child


def me() -> str:
    return DBOS.workflow_id or ""


def messages() -> None:
    DBOS.set_event("key", 5)
    assert DBOS.recv("topic", timeout_seconds=0) is None
    DBOS.send(me(), "hello", "mine")
    assert DBOS.recv("mine") == "hello"
    assert DBOS.get_event(me(), "key") == 5
    assert DBOS.get_event(me(), "absent", timeout_seconds=0) is None
    assert DBOS.get_all_events(me()) == {"key": 5}
    DBOS.send_bulk([SendMessage(me(), "m")])
    with pytest.raises(error.DBOSNonExistentWorkflowError):
        DBOS.send("nowhere", 1)


def children() -> None:
    child, step = make_child(), make_step()
    assert child(3) == 3
    handle = DBOS.start_workflow(child, 4)
    assert handle.get_result() == 4
    handle.get_status()
    assert DBOS.get_result(handle.workflow_id) == 4
    with pytest.raises(KeyError):
        child(None)
    with SetEnqueueOptions(priority=1), pytest.raises(error.DBOSException, match="not being enqueued"):
        DBOS.start_workflow(child, 1)
    with SetWorkflowID("own"):
        child(8)
    assert DBOS.start_workflow(step, 5).get_result() == 5
    DBOS.wait_first([handle])
    assert DBOS.retrieve_workflow("none", existing_workflow=False).workflow_id == "none"
    DBOS.retrieve_workflow(handle.workflow_id)


def steps_of_every_kind() -> None:
    s = make_step()
    assert make_step("flaky", fails=2, retries_allowed=True, interval_seconds=0.001)(7) == 7
    with pytest.raises(error.DBOSMaxStepRetriesExceeded):
        make_step("always", fails=99, retries_allowed=True, max_attempts=2, interval_seconds=0.001)()
    assert DBOS.run_step({"name": "events in it"}, events_in_a_step) == 3
    reserved = DBOS.reserve_step()
    assert s(3) == 3
    assert reserved.run({"name": "reserved"}, lambda: 9) == 9
    DBOS.sleep(0.001)
    DBOS.sleep(0)
    assert DBOS.patch("p")
    assert DBOS.deprecate_patch("q")
    assert s(10) == 10


def events_in_a_step() -> int | str | None:
    """Publish and look: part of the step around."""
    DBOS.set_event("inner", 1)
    DBOS.get_workflow_status("none")
    return DBOS.step_id


def streams() -> None:
    DBOS.write_stream("stream", 1)
    DBOS.close_stream("stream")
    assert list(DBOS.read_stream(me(), "stream")) == [1]
    assert DBOS.read_stream_offset(me(), "stream", 0) == 1


def management() -> None:
    child = make_child()
    assert DBOS.get_workflow_status("none") is None
    assert DBOS.list_workflows(name="nobody") == []
    assert DBOS.list_queued_workflows(queue_name="nobody") == []
    assert DBOS.list_workflow_steps("none") == []
    DBOS.cancel_workflow("none")
    DBOS.delete_workflow("none")
    DBOS.update_workflow_attributes(me(), {"a": 1})
    with SetEnqueueOptions(delay_seconds=1000):
        delayed = DBOS.enqueue_workflow("some-queue", child, 1)
    DBOS.set_workflow_delay(delayed.workflow_id, delay_seconds=2000)
    DBOS.cancel_workflows([delayed.workflow_id])
    DBOS.resume_workflow(delayed.workflow_id)
    DBOS.fork_workflow(delayed.workflow_id, 1)
    DBOS.register_queue("rq")
    DBOS.retrieve_queue("rq")
    DBOS.list_queues()
    DBOS.delete_queue("rq")
    DBOS.list_application_versions()


def schedules() -> None:
    DBOS.create_schedule(schedule_name="sc", workflow_fn=make_step(), schedule="0 0 1 1 *")
    schedule = DBOS.get_schedule("sc")
    assert schedule is not None and schedule["status"] == "ACTIVE"
    assert len(DBOS.list_schedules()) == 1
    DBOS.pause_schedule("sc")
    DBOS.resume_schedule("sc")
    DBOS.delete_schedule("sc")


REFUSED = "-- a start that was refused before it was recorded"

EXPECTED = {
    messages: numbered(
        "DBOS.setEvent", "DBOS.recv", "DBOS.sleep", "DBOS.send", "DBOS.recv", "DBOS.sleep",
        "DBOS.getEvent", "DBOS.sleep", "DBOS.getEvent", "DBOS.sleep", "DBOS.get_events", "DBOS.send_bulk",
        "DBOS.send",
    ),
    children: numbered(
        "child", "DBOS.getResult", "child", "DBOS.getResult", "DBOS.getStatus", "DBOS.getResult",
        "child", "DBOS.getResult", REFUSED, "child", "DBOS.getResult", "<temp>.s", "DBOS.getResult",
        "DBOS.waitFirst", "DBOS.getStatus",
    ),
    steps_of_every_kind: numbered(
        "flaky", "always", "events in it", "reserved", "s", "DBOS.sleep", "DBOS.patch-p", "s",
    ),
    streams: numbered(
        "DBOS.writeStream", "DBOS.closeStream", "DBOS.readStream", "DBOS.readStream", "DBOS.readStreamOffset",
    ),
    management: numbered(
        "DBOS.getStatus", "DBOS.listWorkflows", "DBOS.listQueuedWorkflows", "DBOS.listWorkflowSteps",
        "DBOS.cancelWorkflow", "DBOS.deleteWorkflow", "DBOS.updateWorkflowAttributes", "child",
        "DBOS.setWorkflowDelay", "DBOS.cancelWorkflow", "DBOS.resumeWorkflow", "DBOS.forkWorkflow",
    ),
    schedules: numbered(
        "DBOS.createSchedule", "DBOS.getSchedule", "DBOS.listSchedules", "DBOS.pauseSchedule",
        "DBOS.resumeSchedule", "DBOS.deleteSchedule",
    ),
}  # fmt: skip


@pytest.mark.parametrize("program", EXPECTED, ids=lambda program: program.__name__)
def test_every_number_and_name(dbos, program):
    """293, 42, 43, B.7. recv and get_event take two, a direct child two, a start one, its result one, a patch
    one or none, retries none, an event in a step none, a refused start one, verbs on queues none. Executed
    again, no body runs, and every step gives what it gave."""
    bodies.clear()

    @DBOS.workflow()
    def workflow():
        program()
        return "done"

    with SetWorkflowID("w"):
        assert workflow() == "done"
    assert steps("w") == [one for one in EXPECTED[program] if one[1] != REFUSED]
    before, ran = outputs("w"), len(bodies)
    execute_again("w")
    assert DBOS.retrieve_workflow("w").get_result() == "done"
    assert len(bodies) == ran
    assert {number: str(one) for number, one in outputs("w").items()} == {
        number: str(one) for number, one in before.items()
    }


def test_ids_of_children_are_made_of_their_parents_step(dbos):
    """30. `<parent>-<n>`, whether called, started or enqueued."""

    @DBOS.step()
    def one():
        return 1

    @DBOS.workflow()
    def child(deeper):
        return child(False) if deeper else DBOS.workflow_id

    @DBOS.workflow()
    def parent():
        one()
        called = child(True)
        started = DBOS.start_workflow(child, False).get_result()
        return called, started, DBOS.enqueue_workflow("q", child, False).workflow_id

    DBOS.register_queue("q")
    with SetWorkflowID("p"):
        assert tuple(parent()) == ("p-2-1", "p-4", "p-6")
    found = {run.workflow_id: run.parent_workflow_id for run in DBOS.list_workflows(has_parent=True)}
    assert found == {"p-2": "p", "p-2-1": "p-2", "p-4": "p", "p-6": "p"}
    recorded = {one["function_id"]: one["child_workflow_id"] for one in DBOS.list_workflow_steps("p")}
    assert recorded == {1: None, 2: "p-2", 3: "p-2", 4: "p-4", 5: "p-4", 6: "p-6"}


def test_coroutines_count_alike(dbos):
    """42, 63. Sync and async steps, twins and `gather` take their numbers in the order of the calls."""

    @DBOS.step()
    def now(value):
        return value

    @DBOS.step()
    async def later(value):
        await asyncio.sleep(0.02 if value == 1 else 0)
        return value

    @DBOS.workflow()
    def child(value):
        return now(value)

    @DBOS.workflow()
    async def counts():
        found = [now(0), *await asyncio.gather(later(1), later(2)), child(3)]
        await DBOS.set_event_async("key", 4)
        found.append(await DBOS.get_event_async(me(), "key"))
        found.append(await DBOS.recv_async(timeout_seconds=0))
        found.append(await DBOS.run_step_async({"name": "inline"}, now, 5))
        handle = await DBOS.start_workflow_async(later, 6)
        return [*found, await handle.get_result()]

    with SetWorkflowID("c"):
        assert async_to_sync(counts)() == [0, 1, 2, 3, 4, None, 5, 6]
    here = "test_coroutines_count_alike.<locals>."
    assert steps("c") == numbered(
        f"{here}now", f"{here}later", f"{here}later", f"{here}child", "DBOS.getResult", "DBOS.setEvent",
        "DBOS.getEvent", "DBOS.sleep", "DBOS.recv", "DBOS.sleep", "inline", f"<temp>.{here}later",
        "DBOS.getResult",
    )  # fmt: skip
    assert [outputs("c")[number] for number in (2, 3)] == [1, 2]


def test_pages_of_steps_count_what_is_shown(dbos):
    """262. limit and offset are those of the list that a caller sees."""

    @DBOS.workflow()
    def waits():
        DBOS.recv(timeout_seconds=0)
        DBOS.set_event("a", 1)
        DBOS.recv(timeout_seconds=0)

    with SetWorkflowID("w"):
        waits()
    whole = DBOS.list_workflow_steps("w")
    assert [one["function_id"] for one in whole] == [1, 2, 3, 4, 5]
    for offset in range(6):
        assert DBOS.list_workflow_steps("w", offset=offset, limit=2) == whole[offset : offset + 2]
    assert DBOS.list_workflow_steps("w", load_output=False)[2]["output"] is None


def test_a_client_takes_no_number(dbos):
    """276, 174. Not even inside a workflow."""
    client = DBOSClient()

    @DBOS.workflow()
    def child():
        DBOS.write_stream("s", 1)
        return 1

    @DBOS.workflow()
    def parent():
        handle = client.enqueue({"workflow_name": child.__qualname__, "queue_name": "q"})
        again = client.retrieve_workflow(handle.workflow_id)
        client.send(handle.workflow_id, "hello")
        client.get_event(handle.workflow_id, "none", timeout_seconds=0)
        DBOS.start_workflow(child).get_result()
        found = client.list_workflows(parent_workflow_id=DBOS.workflow_id)
        values = list(client.read_stream(found[0].workflow_id, "s"))
        return len(found), values, again.workflow_id == handle.workflow_id

    with SetWorkflowID("p"):
        assert tuple(parent()) == (1, [1], True)
    assert steps("p") == numbered(child.__qualname__, "DBOS.getResult")
