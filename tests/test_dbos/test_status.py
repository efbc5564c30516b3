"""What is shown of runs and versions: the seed's fields and states, epoch milliseconds; listing filters."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_app.dbos import (
    DBOS,
    DBOSContextSetAuth,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    WorkflowStatus,
)
from durable_app.models import Status, Workflow
from tests.helpers import wait_for_status, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def now_ms() -> int:
    return round(time.time() * 1000)


def status_of(workflow_id: str) -> WorkflowStatus:
    found = DBOS.get_workflow_status(workflow_id)
    assert found is not None
    return found


def make_double() -> Any:
    @DBOS.workflow(name="double")
    def double(number, *, times=2):
        return number * times

    return double


def test_a_finished_run(dbos):
    """11, 128, B.6. Every field of a run that was called directly."""
    double = make_double()
    before = now_ms()
    with (
        SetWorkflowID("d"),
        SetWorkflowTimeout(60),
        SetWorkflowAttributes({"a": 1}),
        DBOSContextSetAuth("ann", ["staff", "admin"]),
    ):
        assert double(4, times=3) == 12
    after = now_ms()
    found = vars(status_of("d"))
    times = {name: found.pop(name) for name in ("created_at", "updated_at", "completed_at")}
    assert all(type(at) is int and before - 1000 <= at <= after + 1000 for at in times.values())
    assert found.pop("workflow_deadline_epoch_ms") - times["created_at"] == pytest.approx(60_000, abs=1000)
    assert found == {
        "workflow_id": "d",
        "status": "SUCCESS",
        "name": "double",
        "class_name": None,
        "config_name": None,
        "authenticated_user": "ann",
        "authenticated_roles": ["staff", "admin"],
        "assumed_role": None,
        "input": {"args": (4,), "kwargs": {"times": 3}},
        "output": 12,
        "error": None,
        "dequeued_at": None,
        "delay_until_epoch_ms": None,
        "queue_name": None,
        "queue_partition_key": None,
        "deduplication_id": None,
        "priority": 0,
        "executor_id": "local",
        "app_version": None,
        "recovery_attempts": 1,
        "workflow_timeout_ms": 60_000,
        "parent_workflow_id": None,
        "forked_from": None,
        "was_forked_from": False,
        "schedule_name": None,
        "attributes": {"a": 1},
        "application_name": "test-app",
        "app_id": "",
        "shard_key": None,
        "parent_shard_key": None,
    }


def test_a_failed_run(dbos):
    """13. The exception is in `error`."""

    @DBOS.workflow()
    def failing():
        raise ValueError("no tea")

    with SetWorkflowID("f"), pytest.raises(ValueError, match="no tea"):
        failing()
    found = status_of("f")
    assert (found.status, found.output) == ("ERROR", None)
    assert isinstance(found.error, ValueError) and str(found.error) == "no tea"
    assert found.completed_at is not None


def test_a_started_run_is_pending_from_the_start(dbos):
    """11. A run in no queue is PENDING at once, with one attempt, and so it stays while it waits."""
    begun, go_on = threading.Event(), threading.Event()

    @DBOS.workflow()
    def waits():
        begun.set()
        assert go_on.wait(30)
        return DBOS.recv(timeout_seconds=60)

    handle = DBOS.start_workflow(waits)
    for _ in range(2):
        found = handle.get_status()
        assert (found.status, found.queue_name, found.recovery_attempts) == ("PENDING", None, 1)
        assert found.dequeued_at is None
        assert begun.wait(30)
    go_on.set()
    wait_for_status(handle.workflow_id, Status.WAITING)
    assert handle.get_status().status == "PENDING"
    assert [one.workflow_id for one in DBOS.list_workflows(status="PENDING")] == [handle.workflow_id]
    assert DBOS.list_workflows(status=["ENQUEUED", "DELAYED"]) == []
    assert DBOS.list_queued_workflows() == []
    DBOS.send(handle.workflow_id, "go")
    assert handle.get_result() == "go"


def test_pending_is_found_before_a_worker_has_taken_it(dbos):
    """257. The filter and the field agree at every moment of a run's life."""
    double = make_double()
    handle = DBOS.start_workflow(double, 1)
    handle.get_result()
    for stored in (Status.ENQUEUED, Status.WAITING, Status.PENDING):
        Workflow.objects.filter(workflow_id=handle.workflow_id).update(status=stored, name="nobody's")
        assert handle.get_status().status == "PENDING"
        assert len(DBOS.list_workflows(status="PENDING")) == 1
        assert DBOS.list_workflows(status="ENQUEUED") == []
        assert DBOS.list_workflows(queues_only=True) == []


def test_an_enqueued_run(dbos):
    """178, 190. Its queue, priority, key and delay; attempts are counted from when it is taken."""
    double = make_double()
    DBOS.register_queue("q", partition_concurrency=1)
    with SetEnqueueOptions(priority=3, deduplication_id="once", queue_partition_key="k", delay_seconds=1000):
        handle = DBOS.enqueue_workflow("q", double, 1)
    found = handle.get_status()
    assert (found.status, found.queue_name, found.priority) == ("DELAYED", "q", 3)
    assert (found.deduplication_id, found.queue_partition_key) == ("once", "k")
    assert found.delay_until_epoch_ms is not None
    assert found.delay_until_epoch_ms - found.created_at == pytest.approx(1_000_000, abs=2000)
    assert (found.recovery_attempts, found.dequeued_at, found.executor_id) == (0, None, None)
    assert [one.workflow_id for one in DBOS.list_queued_workflows()] == [handle.workflow_id]
    DBOS.set_workflow_delay(handle.workflow_id, delay_until_epoch_ms=now_ms())
    assert handle.get_result() == 2
    found = handle.get_status()
    assert (found.status, found.recovery_attempts, found.executor_id) == ("SUCCESS", 1, "local")
    assert found.dequeued_at is not None and found.dequeued_at >= found.created_at
    assert DBOS.list_queued_workflows() == []


def test_filters(dbos):
    """257, 258, 259, 261. Each of them alone, and together."""
    double = make_double()
    ids = ["a-1", "a-2", "b-1"]
    for number, workflow_id in enumerate(ids):
        with (
            SetWorkflowID(workflow_id),
            SetWorkflowAttributes({"n": number}),
            DBOSContextSetAuth(f"user{number}", None),
        ):
            double(number)
        made_at = status_of(workflow_id).created_at
        wait_until(lambda made_at=made_at: now_ms() > made_at)  # type: ignore[misc]
    DBOS.fork_workflow("a-1", 1).get_result()

    def found(**filters: Any) -> list[str]:
        return [one.workflow_id for one in DBOS.list_workflows(is_fork=False, **filters)]

    assert found() == ids
    assert found(sort_desc=True, limit=2) == ["b-1", "a-2"]
    assert found(offset=1) == ["a-2", "b-1"]
    assert found(workflow_ids=["b-1", "a-1"]) == ["a-1", "b-1"]
    assert found(workflow_id_prefix="a-") == ["a-1", "a-2"]
    assert found(workflow_id_prefix=["a-1", "b"]) == ["a-1", "b-1"]
    assert found(name="double", status=["SUCCESS", "ERROR"], user=["user1", "user2"]) == ["a-2", "b-1"]
    assert found(name=["other"]) == []
    assert found(attributes={"n": 2}) == ["b-1"]
    assert found(was_forked_from=True) == ["a-1"]
    assert found(executor_id="local") == ids
    assert found(has_parent=True) == []
    assert found(application_name="whatever") == ids
    middle = datetime.fromtimestamp(status_of("a-2").created_at / 1000, UTC)
    assert found(start_time=middle.isoformat()) == ["a-2", "b-1"]
    assert found(end_time=middle.isoformat()) == ["a-1", "a-2"]
    assert found(end_time=(middle - timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z")) == ["a-1"]
    assert found(completed_after=middle.isoformat(), completed_before="2100-01-01T00:00:00Z") == ids[1:]
    (hidden,) = DBOS.list_workflows(workflow_ids=["a-1"], load_input=False, load_output=False)
    assert (hidden.input, hidden.output) == (None, None)
    assert [one.forked_from for one in DBOS.list_workflows(forked_from="a-1")] == ["a-1"]


def test_attributes_change_later(dbos):
    """266. Replaced, merged, cleared."""
    double = make_double()
    with SetWorkflowID("d"), SetWorkflowAttributes({"a": 1, "b": 2}):
        double(1)
    DBOS.update_workflow_attributes("d", {"b": 3, "c": 4}, merge=True)
    assert status_of("d").attributes == {"a": 1, "b": 3, "c": 4}
    DBOS.update_workflow_attributes("d", {"x": 0})
    assert status_of("d").attributes == {"x": 0}
    DBOS.update_workflow_attributes("d", None)
    assert status_of("d").attributes is None


def test_looks_at_statuses_inside_a_workflow_replay(dbos):
    """264. The recorded statuses have the seed's fields too."""
    double = make_double()
    with SetWorkflowID("d"):
        double(1)

    @DBOS.workflow()
    def looks():
        found = DBOS.get_workflow_status("d")
        assert found is not None
        return found.status, [one.name for one in DBOS.list_workflows(workflow_ids=["d"])]

    with SetWorkflowID("l"):
        assert tuple(looks()) == ("SUCCESS", ["double"])
    first, second = (one["output"] for one in DBOS.list_workflow_steps("l"))
    assert isinstance(first, WorkflowStatus) and isinstance(second[0], WorkflowStatus)
    assert first.completed_at == status_of("d").completed_at


def test_steps_tell_their_times(dbos):
    """62, B.7. A step's row is a dict; its times are epoch milliseconds."""

    @DBOS.step()
    def slow():
        time.sleep(0.02)
        return {"a": [1]}

    @DBOS.workflow()
    def parent():
        return slow()

    with SetWorkflowID("p"):
        parent()
    (found,) = DBOS.list_workflow_steps("p")
    assert set(found) == {
        "function_id", "function_name", "output", "error", "child_workflow_id", "child_shard_key",
        "started_at_epoch_ms", "completed_at_epoch_ms",
    }  # fmt: skip
    assert found["output"] == {"a": [1]}
    began, ended = found["started_at_epoch_ms"], found["completed_at_epoch_ms"]
    assert began is not None and ended is not None
    assert type(began) is int and ended - began >= 19


def test_forks_and_rewinds(dbos):
    """112, 113, 123, 124. From a step on, under a new id or its own."""
    calls: list[str] = []

    @DBOS.step()
    def step(name):
        calls.append(name)
        return name

    @DBOS.workflow()
    def three():
        return [step("a"), step("b"), step("c")]

    with SetWorkflowID("t"):
        three()
    fork = DBOS.fork_workflow("t", 3)
    assert fork.get_result() == ["a", "b", "c"]
    assert calls == ["a", "b", "c", "c"]
    assert fork.get_status().forked_from == "t"
    assert status_of("t").was_forked_from
    DBOS.restart_workflow("t").get_result()
    assert calls[4:] == ["a", "b", "c"]
    assert DBOS.rewind_workflow("t", start_step=2).get_result() == ["a", "b", "c"]
    assert calls[7:] == ["b", "c"]
    with SetWorkflowID("chosen"):
        assert DBOS.fork_workflow("t", 1).workflow_id == "chosen"


def test_cancel_resume_delete(dbos):
    """99, 102, 107, 111."""
    begun = threading.Event()

    @DBOS.workflow()
    def waits():
        begun.set()
        DBOS.recv(timeout_seconds=600)
        return "through"

    handle = DBOS.start_workflow(waits)
    assert begun.wait(30)
    DBOS.cancel_workflow(handle.workflow_id)
    found = handle.get_status()
    assert found.status == "CANCELLED" and found.completed_at is not None
    DBOS.send(handle.workflow_id, "go")
    assert DBOS.resume_workflow(handle.workflow_id).get_result() == "through"
    DBOS.delete_workflow(handle.workflow_id)
    assert DBOS.get_workflow_status(handle.workflow_id) is None


def test_versions(dbos):
    """252. The latest is the one that was made so last; times are epoch milliseconds."""
    DBOS.destroy()
    for version in ("v1", "v2"):
        DBOS(config={"name": "test-app", "application_version": version})
        DBOS.launch()
        if version == "v1":
            DBOS.destroy()
    latest = DBOS.get_latest_application_version()
    assert set(latest) == {
        "version_id",
        "version_name",
        "version_timestamp",
        "created_at",
        "application_name",
    }
    assert (latest["version_name"], type(latest["version_timestamp"])) == ("v2", int)
    DBOS.set_latest_application_version("v1")
    assert [one["version_name"] for one in DBOS.list_application_versions()] == ["v1", "v2"]
    moved = DBOS.get_latest_application_version()
    assert moved["version_timestamp"] > latest["version_timestamp"] >= moved["created_at"]
