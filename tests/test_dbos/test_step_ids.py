"""The numbers and names of steps, exactly as a program written for the seed finds them."""

import asyncio
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


class Everything:
    """A workflow that uses every verb that is a step, and counts what happens outside of the engine."""

    def __init__(self) -> None:
        self.bodies = 0
        self.tries = 0

        @DBOS.step(name="s")
        def s(value=1):
            self.bodies += 1
            return value

        @DBOS.step(name="flaky", retries_allowed=True, interval_seconds=0.001)
        def flaky():
            self.tries += 1
            if self.tries < 3:
                raise ValueError("not yet")
            return "ok"

        @DBOS.step(name="always", retries_allowed=True, max_attempts=2, interval_seconds=0.001)
        def always():
            raise ValueError("never")

        @DBOS.step(name="publishes")
        def publishes():
            DBOS.set_event("inner", 1)
            DBOS.get_workflow_status("none")
            return DBOS.step_id

        @DBOS.workflow(name="child")
        def child(value):
            return value

        @DBOS.workflow(name="failing")
        def failing():
            raise KeyError("gone")

        @DBOS.workflow(name="everything")
        def everything():
            s()
            DBOS.set_event("key", 5)
            DBOS.recv("topic", timeout_seconds=0)
            DBOS.send(DBOS.workflow_id, "hello", "mine")
            DBOS.recv("mine")
            DBOS.get_event(DBOS.workflow_id, "key")
            DBOS.get_event(DBOS.workflow_id, "absent", timeout_seconds=0)
            child(3)
            handle = DBOS.start_workflow(child, 4)
            handle.get_result()
            handle.get_status()
            DBOS.get_result(handle.workflow_id)
            flaky()
            publishes()
            DBOS.run_step({"name": "named"}, lambda: 7)
            DBOS.sleep(0.001)
            DBOS.sleep(0)
            DBOS.get_workflow_status("none")
            DBOS.retrieve_workflow("none", existing_workflow=False)
            DBOS.retrieve_workflow(handle.workflow_id)
            DBOS.list_workflows(name="nobody")
            DBOS.list_queued_workflows(queue_name="nobody")
            DBOS.list_workflow_steps("none")
            DBOS.cancel_workflow("none")
            DBOS.delete_workflow("none")
            DBOS.get_all_events(DBOS.workflow_id)
            DBOS.send_bulk([SendMessage(DBOS.workflow_id, "m")])
            with pytest.raises(error.DBOSMaxStepRetriesExceeded):
                always()
            with pytest.raises(KeyError):
                failing()
            with pytest.raises(error.DBOSNonExistentWorkflowError):
                DBOS.send("nowhere", 1)
            with SetEnqueueOptions(priority=1), pytest.raises(error.DBOSException, match="not being enqueued"):
                DBOS.start_workflow(child, 1)
            s(2)
            DBOS.wait_first([handle])
            DBOS.resume_workflow(handle.workflow_id)
            reserved = DBOS.reserve_step()
            s(3)
            reserved.run({"name": "reserved"}, lambda: 9)
            DBOS.patch("p")
            DBOS.deprecate_patch("q")
            DBOS.write_stream("stream", 1)
            DBOS.close_stream("stream")
            assert list(DBOS.read_stream(DBOS.workflow_id, "stream")) == [1]
            DBOS.read_stream_offset(DBOS.workflow_id, "stream", 0)
            DBOS.update_workflow_attributes(DBOS.workflow_id, {"a": 1})
            with SetWorkflowID("own"):
                child(8)
            DBOS.start_workflow(s, 5).get_result()
            with SetEnqueueOptions(delay_seconds=1000):
                delayed = DBOS.enqueue_workflow("some-queue", child, 1)
            DBOS.set_workflow_delay(delayed.workflow_id, delay_seconds=2000)
            DBOS.create_schedule(schedule_name="sc", workflow_fn=s, schedule="0 0 1 1 *")
            schedule = DBOS.get_schedule("sc")
            assert schedule is not None and schedule["status"] == "ACTIVE"
            DBOS.list_schedules()
            DBOS.pause_schedule("sc")
            DBOS.resume_schedule("sc")
            DBOS.delete_schedule("sc")
            DBOS.register_queue("rq")
            DBOS.retrieve_queue("rq")
            DBOS.list_queues()
            DBOS.delete_queue("rq")
            DBOS.fork_workflow(handle.workflow_id, 1)
            return s(10)

        self.run = everything


EXPECTED = numbered(
    "s",
    "DBOS.setEvent",
    "DBOS.recv", "DBOS.sleep",
    "DBOS.send",
    "DBOS.recv", "DBOS.sleep",
    "DBOS.getEvent", "DBOS.sleep",
    "DBOS.getEvent", "DBOS.sleep",
    "child", "DBOS.getResult",
    "child", "DBOS.getResult",
    "DBOS.getStatus",
    "DBOS.getResult",
    "flaky",
    "publishes",
    "named",
    "DBOS.sleep",
    "DBOS.getStatus",
    "DBOS.getStatus",
    "DBOS.listWorkflows",
    "DBOS.listQueuedWorkflows",
    "DBOS.listWorkflowSteps",
    "DBOS.cancelWorkflow",
    "DBOS.deleteWorkflow",
    "DBOS.get_events",
    "DBOS.send_bulk",
    "always",
    "failing", "DBOS.getResult",
    "DBOS.send",
    "-- a start that was refused before it was recorded",
    "s",
    "DBOS.waitFirst",
    "DBOS.resumeWorkflow",
    "reserved",
    "s",
    "DBOS.patch-p",
    "DBOS.writeStream",
    "DBOS.closeStream",
    "DBOS.readStream", "DBOS.readStream",
    "DBOS.readStreamOffset",
    "DBOS.updateWorkflowAttributes",
    "child", "DBOS.getResult",
    "<temp>.s", "DBOS.getResult",
    "child",
    "DBOS.setWorkflowDelay",
    "DBOS.createSchedule",
    "DBOS.getSchedule",
    "DBOS.listSchedules",
    "DBOS.pauseSchedule",
    "DBOS.resumeSchedule",
    "DBOS.deleteSchedule",
    "DBOS.forkWorkflow",
    "s",
)  # fmt: skip


def test_every_number_and_name(dbos):
    """293, 42, B.7. recv and get_event take two, a direct child two, a start one, its result one, patch one
    or none, retries none, an event in a step none, a refused start one, a queue's registration none."""
    everything = Everything()
    with SetWorkflowID("all"):
        assert everything.run() == 10
    assert steps("all") == [one for one in EXPECTED if not one[1].startswith("--")]


def test_all_of_it_replays(dbos):
    """43. Executed again, no body runs, and every step gives what it gave."""
    everything = Everything()
    with SetWorkflowID("all"):
        everything.run()
    before = outputs("all")
    bodies, tries = everything.bodies, everything.tries
    execute_again("all")
    assert DBOS.retrieve_workflow("all").get_result() == 10
    assert (everything.bodies, everything.tries) == (bodies, tries)
    after = outputs("all")
    assert {key: str(value) for key, value in after.items()} == {k: str(v) for k, v in before.items()}


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
        found.append(await DBOS.get_event_async(DBOS.workflow_id or "", "key"))
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
