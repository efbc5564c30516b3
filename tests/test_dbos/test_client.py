"""`DBOSClient`: from a thread, from another process, and never a step of a workflow."""

import json
import subprocess
import sys
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from durable_app import checks
from durable_app.dbos import DBOS, DBOSClient, EnqueueOptions, SendMessage, SetWorkflowID, error
from tests.helpers import in_thread

pytestmark = pytest.mark.django_db(transaction=True)

ELSEWHERE = """
import json

from durable_app.dbos import DBOSClient

client = DBOSClient(system_database_url="postgresql://ignored/database")
options = {"workflow_name": "talks", "queue_name": "q", "workflow_id": "w", "priority": 3}
handle = client.enqueue(options, 1)
client.send("w", 41)
event = client.get_event("w", "sum", timeout_seconds=60)
values = list(client.read_stream("w", "numbers"))
result = handle.get_result()
found = handle.get_status()
steps = [one["function_name"] for one in client.list_workflow_steps("w")]
listed = [one.workflow_id for one in client.list_workflows(name="talks")]
print(json.dumps([event, values, result, found.status, found.priority, found.executor_id, steps, listed]))
client.destroy()
"""


def make_talks() -> Any:
    @DBOS.workflow(name="talks")
    def talks(number):
        number += DBOS.recv(timeout_seconds=60)
        DBOS.set_event("sum", number)
        DBOS.write_stream("numbers", number)
        DBOS.close_stream("numbers")
        return number

    return talks


def test_from_another_process(dbos, worker_env):
    """276, 277. It knows no function; it ends cleanly."""
    make_talks()
    DBOS.register_queue("q")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", ELSEWHERE],
        env=worker_env, capture_output=True, text=True, timeout=80, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    event, values, result, status, priority, executor, steps, listed = json.loads(done.stdout)
    assert (event, values, result, status, priority, listed) == (42, [42], 42, "SUCCESS", 3, ["w"])
    assert steps == ["DBOS.recv", "DBOS.sleep", "DBOS.setEvent", "DBOS.writeStream", "DBOS.closeStream"]
    assert executor != "local"  # the id of the worker in this process
    assert "Warning" not in done.stderr


def test_from_a_thread(dbos):
    """276. While DBOS is launched, and after it was destroyed."""
    make_talks()
    DBOS.register_queue("q")
    client = DBOSClient()
    options: EnqueueOptions = {"workflow_name": "talks", "queue_name": "q", "workflow_id": "w"}

    def talk() -> Any:
        handle = client.enqueue(options, 1)
        client.send("w", 2)
        return handle.get_result()

    assert in_thread(talk).result(60) == 3
    DBOS.destroy()
    assert [one.output for one in client.list_workflows()] == [3]
    client.destroy()
    client.destroy()


def test_it_manages_runs(dbos):
    """276. Cancelling, resuming, forking, delays, attributes, versions, queues: all there."""
    make_talks()
    client = DBOSClient()
    queue = client.register_queue("q", global_concurrency=5)
    assert queue.global_concurrency == 5
    with pytest.raises(error.DBOSException, match="client"):
        queue.enqueue(len, [])
    with pytest.raises(error.DBOSException, match="client"):
        client.register_queue("q", on_conflict="update_if_latest_version")
    handle = client.enqueue({"workflow_name": "talks", "queue_name": "q", "delay_seconds": 1000}, 1)
    workflow_id = handle.workflow_id
    client.set_workflow_delay(workflow_id, delay_seconds=2000)
    client.update_workflow_attributes(workflow_id, {"a": 1})
    assert [one.workflow_id for one in client.list_queued_workflows()] == [workflow_id]
    client.cancel_workflow(workflow_id)
    assert client.retrieve_workflow(workflow_id).get_status().status == "CANCELLED"
    client.send_bulk([SendMessage(workflow_id, 1)])
    assert client.resume_workflow(workflow_id).get_result() == 2
    fork = client.fork_workflow(workflow_id, 9)
    assert client.wait_first([fork]).get_result() == 2
    client.delete_workflow(workflow_id)
    assert client.list_workflows(workflow_ids=[workflow_id]) == []
    with pytest.raises(error.DBOSException):
        client.get_latest_application_version()
    assert [one.name for one in client.list_queues()] == ["q"]
    client.delete_queue("q")
    assert client.retrieve_queue("q") is None


def test_its_twins(dbos):
    """276."""
    make_talks()
    DBOS.register_queue("q")

    async def main() -> list[Any]:
        client = DBOSClient()
        await client.check_connection_async()
        handle = await client.enqueue_async({"workflow_name": "talks", "queue_name": "q"}, 1)
        await client.send_async(handle.workflow_id, 2)
        values = [value async for value in client.read_stream_async(handle.workflow_id, "numbers")]
        return [await handle.get_result(), values, (await handle.get_status()).status]

    assert async_to_sync(main)() == [3, [3], "SUCCESS"]


def test_inside_a_workflow_nothing_is_recorded(dbos):
    """276, 174."""
    make_talks()
    client = DBOSClient()
    DBOS.register_queue("q")

    @DBOS.workflow()
    async def uses_it():
        handle = await client.enqueue_async({"workflow_name": "talks", "queue_name": "q"}, 1)
        await client.send_async(handle.workflow_id, 2)
        values = [value async for value in client.read_stream_async(handle.workflow_id, "numbers")]
        found = await client.list_workflows_async(workflow_ids=[handle.workflow_id])
        return values, found[0].parent_workflow_id, await DBOS.run_step_async({"name": "own"}, lambda: 1)

    with SetWorkflowID("w"):
        assert tuple(DBOS.start_workflow(uses_it).get_result()) == ([3], None, 1)
    assert [one["function_name"] for one in DBOS.list_workflow_steps("w")] == ["own"]


def test_in_a_transaction(dbos):
    """177, 214. What it does is there if and only if Django's transaction commits."""
    make_talks()
    DBOS.register_queue("q")
    client = DBOSClient()
    options: EnqueueOptions = {"workflow_name": "talks", "queue_name": "q", "workflow_id": "w"}
    with pytest.raises(error.DBOSException, match="transaction"):
        client.enqueue_in_transaction(None, options, 1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        client.enqueue_in_transaction(None, options, 1)
        raise ZeroDivisionError
    assert client.list_workflows() == []
    with transaction.atomic():
        handle = client.enqueue_in_transaction(None, options, 1)
        client.send_in_transaction(None, "w", 5)
        client.send_bulk_in_transaction(None, [SendMessage("w", 6)])
        with pytest.raises(error.DBOSException, match="return-existing"):
            client.enqueue_in_transaction(
                None, {**options, "deduplication_id": "d", "duplication_policy": "return-existing"}, 1
            )
    assert handle.get_result() == 6


def test_without_tables(monkeypatch):
    """276. It fails at once, unless it is lazy."""
    monkeypatch.setattr(checks, "is_migrated", lambda: False)
    with pytest.raises(error.DBOSInitializationError, match="migrate"):
        DBOSClient()
    client = DBOSClient(lazy=True)
    with pytest.raises(error.DBOSInitializationError):
        client.check_connection()
