"""Options of enqueueing: how a run is to stand in its queue, what is refused, and many runs at once."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from durable_app import (
    InvalidOptionError,
    Queue,
    SetEnqueueOptions,
    SetWorkflowID,
    enqueue,
    enqueue_many,
    register_queue,
    start_workflow,
    workflow,
)
from durable_app.models import Status, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, step_names
from tests.shop.queues import say

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def urgent_parent() -> int:
    child = enqueue("line", say, 3)
    return len(child.workflow_id)


@workflow
def call_with_options(how: str) -> str:
    refused = ""
    with SetEnqueueOptions(priority=1):
        try:
            say("called") if how == "call" else start_workflow(say, "started")
        except InvalidOptionError as error:
            refused = str(error)
    say("afterwards")
    return refused


@pytest.mark.parametrize("priority", [0, -1, 2**31, 1.5, "1", True])
def test_priorities_outside_of_their_range_are_refused(priority: Any):
    """180. "Invalid priority"."""
    with pytest.raises(InvalidOptionError, match="Invalid priority"):
        SetEnqueueOptions(priority=priority)


@pytest.mark.parametrize("priority", [None, 1, 2**31 - 1])
def test_priorities_are_stored(priority: int | None):
    """180, 179. Without one it is zero, which comes first."""
    with SetEnqueueOptions(priority=priority):
        enqueue("line", say, 1)
    assert Workflow.objects.get().priority == (priority or 0)


def test_options_are_not_inherited_by_children(worker: Worker):
    """180, 40. Neither priority nor anything else."""
    register_queue("line")
    with SetEnqueueOptions(priority=7, deduplication_id="one", queue_partition_key="p"):
        handle = enqueue("line", urgent_parent)
    handle.get_result(timeout=60)
    child = Workflow.objects.get(parent_workflow_id=handle.workflow_id)
    assert (child.priority, child.deduplication_id, child.partition_key) == (0, None, None)


def test_the_version_is_the_enqueuers_unless_another_is_wanted(settings):
    """189. Without APP_VERSION none is stamped."""
    enqueue("line", say, 1)
    settings.DURABLE = {"APP_VERSION": "v1"}
    enqueue("line", say, 2)
    with SetEnqueueOptions(app_version="v2"):
        enqueue("line", say, 3)
        start_workflow(say, 4)  # the version alone is an option of every run
    versions = Workflow.objects.order_by("pk").values_list("app_version", flat=True)
    assert list(versions) == [None, "v1", "v2", "v2"]


@pytest.mark.parametrize(
    "options",
    [
        {"deduplication_id": ""},
        {"deduplication_id": "x" * 256},
        {"deduplication_id": 7},
        {"deduplication_id": "nul\x00"},
        {"queue_partition_key": ""},
        {"queue_partition_key": "x" * 256},
        {"app_version": ""},
        {"delay_seconds": -1},
        {"delay_seconds": float("nan")},
        {"delay_seconds": "soon"},
        {"duplication_policy": "return-existing"},
        {"duplication_policy": "ignore", "deduplication_id": "x"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]):
    """180, 213, F37. At once, not when a run is enqueued; a key of 5 KB is no riddle of the database."""
    with pytest.raises(InvalidOptionError):
        SetEnqueueOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 1},
        {"deduplication_id": "x"},
        {"queue_partition_key": "x"},
        {"delay_seconds": 1},
        {"deduplication_id": "x", "duplication_policy": "return-existing"},
    ],
)
def test_options_around_a_run_that_is_not_enqueued_are_refused(options: dict[str, Any]):
    """191. Before a row is written, for calls and for starts."""
    with SetEnqueueOptions(**options):
        with pytest.raises(InvalidOptionError, match="not being enqueued"):
            start_workflow(say, 1)
        with pytest.raises(InvalidOptionError, match="not being enqueued"):
            say(1)
    assert not Workflow.objects.exists()


@pytest.mark.parametrize("how", ["call", "start"])
def test_a_refused_child_has_used_its_step_id(how: str, worker: Worker):
    """191, 293. What comes after it has the same position on every replay."""
    handle = start_workflow(call_with_options, how)
    assert "not being enqueued" in handle.get_result(timeout=60)
    (first, *_) = step_names(handle.workflow_id)
    assert first == ({"call": 3, "start": 2}[how], "say")
    execute_again(handle.workflow_id)
    assert "not being enqueued" in handle.get_result(timeout=60)


def test_the_options_of_a_declared_queue_are_checked_at_the_call():
    """185. A partitioned queue wants a key; priorities can be switched off."""
    Queue("parts", partition_concurrency=1)
    Queue("keyed", partition_queue=True)
    Queue("plain", priority_enabled=False)
    for name in ("parts", "keyed"):
        with pytest.raises(InvalidOptionError, match="queue_partition_key"):
            enqueue(name, say, 1)
    with SetEnqueueOptions(priority=1), pytest.raises(InvalidOptionError, match="priority_enabled"):
        enqueue("plain", say, 1)
    assert not Workflow.objects.exists()
    with SetEnqueueOptions(queue_partition_key="a", priority=1):
        enqueue("parts", say, 1)
        enqueue("keyed", say, 1)
    assert Workflow.objects.count() == 2


# Many at once


def test_thousands_are_a_few_statements():
    """176. 4,500 runs: three statements on PostgreSQL, one transaction everywhere."""
    with CaptureQueriesContext(connection) as context:
        handles = enqueue_many("line", say, [(number,) for number in range(4500)])
    assert len(context) <= 6
    assert len({handle.workflow_id for handle in handles}) == 4500
    ids = Workflow.objects.order_by("pk").values_list("workflow_id", flat=True)
    assert list(ids) == [handle.workflow_id for handle in handles]


def test_a_call_is_a_tuple_a_dict_or_one_value(worker: Worker):
    """176. Arguments, keyword arguments, or a single argument that is neither."""
    register_queue("line")
    handles = enqueue_many("line", say, [("tuple",), {"value": "dict"}, "value", [1, 2]])
    assert [handle.get_result(timeout=60) for handle in handles] == ["tuple", "dict", "value", [1, 2]]
    assert enqueue_many("line", say, []) == []


def test_options_hold_for_all_of_many():
    """176, 190. Priority, partition and delay; an id or a deduplication id cannot be that of many."""
    with SetEnqueueOptions(priority=3, queue_partition_key="p", delay_seconds=60):
        enqueue_many("line", say, [1, 2])
    rows = Workflow.objects.values_list("priority", "partition_key", "status")
    assert list(rows) == [(3, "p", Status.DELAYED)] * 2
    with SetEnqueueOptions(deduplication_id="x"), pytest.raises(InvalidOptionError, match="one by one"):
        enqueue_many("line", say, [1, 2])
    with SetWorkflowID("x"), pytest.raises(InvalidOptionError, match="one by one"):
        enqueue_many("line", say, [1, 2])
    assert Workflow.objects.count() == 2
