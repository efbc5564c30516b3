"""Writing streams: consecutive offsets, once from a workflow, at every try from a step, to the end mark."""

import asyncio
import threading
from typing import Any

import pytest
from django.db import connection
from django.db import transaction as django_transaction

from durable_app import (
    InvalidOptionError,
    NotInWorkflowError,
    SerializationError,
    SetWorkflowID,
    SynchronousCallError,
    WorkflowCancelled,
    aclose_stream,
    agather,
    awrite_stream,
    cancel_workflow,
    close_stream,
    delete_workflow,
    gather,
    get_result,
    read_stream,
    start_workflow,
    step,
    transaction,
    workflow,
    workflow_id,
    write_stream,
)
from durable_app.models import Status, Step, StreamEntry
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, step_names, wait_for_status, wait_until
from tests.shop import flow

POURERS = pytest.mark.parametrize("pourer", [flow.pour, flow.apour])

wrote = threading.Event()

NOTES: list[str] = []
"""What the bodies and steps of this module's workflows did."""


@pytest.fixture(autouse=True)
def no_notes_yet() -> None:
    NOTES.clear()


def entries(run: str, key: str) -> list[tuple[int, str | None]]:
    rows = StreamEntry.objects.filter(workflow__workflow_id=run, key=key).order_by("offset")
    return list(rows.values_list("offset", "value"))


def finish(handle: Any, threads: int = 4) -> Any:
    with Worker(threads=threads):
        return handle.get_result(timeout=60)


@step(retries_allowed=True, interval_seconds=0.01)
def write_and_fail_twice(key: str) -> str:
    NOTES.append("try")
    write_stream(key, f"try {len(NOTES)}")
    if len(NOTES) < 3:
        raise ValueError("not yet")
    close_stream(key)
    return "done"


@workflow
def writes_from_a_step() -> str:
    write_stream("log", "before")
    return write_and_fail_twice("log")


@step
async def awrite_three(key: str) -> None:
    await asyncio.gather(*[awrite_stream(key, number) for number in range(3)])
    await aclose_stream(key)


@workflow
async def writes_from_an_async_step() -> None:
    await awrite_three("log")


@transaction
def write_in_transaction(key: str, value: str) -> None:
    write_stream(key, value)


@transaction
def write_and_roll_back(key: str) -> None:
    write_stream(key, "never seen")
    raise ZeroDivisionError


@workflow
def writes_in_transactions() -> None:
    write_in_transaction("log", "kept")
    try:
        write_and_roll_back("log")
    except ZeroDivisionError:
        write_stream("log", "after")


def write_many(key: str, name: str, count: int) -> None:
    for number in range(count):
        write_stream(key, f"{name} {number}")


@step
def write_many_in_a_step(key: str, name: str, count: int) -> None:
    write_many(key, name, count)


@transaction
def write_many_in_a_transaction(key: str, name: str, count: int) -> None:
    write_many(key, name, count)


@workflow
def crowd_writes(count: int) -> None:
    gather(
        lambda: write_many("log", "a", count),
        lambda: write_many("log", "b", count),
        lambda: write_many_in_a_step("log", "c", count),
        lambda: write_many_in_a_step("log", "d", count),
        lambda: write_many_in_a_transaction("log", "e", count),
        lambda: write_many_in_a_transaction("log", "f", count),
    )


@workflow
async def acrowd_writes(count: int) -> None:
    async def branch(name: str) -> None:
        for number in range(count):
            await awrite_stream("log", f"{name} {number}")

    await agather(*[lambda name=name: branch(name) for name in "abc"])
    await asyncio.gather(*[awrite_stream("log", f"d {number}") for number in range(count)])


@step
def write_in_a_block_that_others_wait_for() -> None:
    with django_transaction.atomic():
        write_stream("log", "first")
        wrote.set()
        wait_until(somebody_waits_for_a_lock)


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@workflow
def writes_over_an_old_snapshot() -> None:
    def second() -> None:
        wrote.wait(60)
        write_in_transaction("log", "second")

    gather(write_in_a_block_that_others_wait_for, second)


@step
def write_after_cancellation() -> None:
    cancel_workflow(workflow_id() or "")
    write_stream("log", "too late")


@workflow
def writes_after_cancellation() -> None:
    try:
        write_after_cancellation()
    except WorkflowCancelled:
        NOTES.append("step")
    try:
        write_stream("log", "too late")
    except WorkflowCancelled:
        NOTES.append("body")
        raise


@workflow
def writes_after_deletion() -> None:
    delete_workflow(workflow_id() or "")
    write_stream("log", "for nobody")


@workflow
def writes_nonsense() -> str:
    try:
        write_stream("log", object())
    except SerializationError as error:
        return str(error)
    return "written"


@workflow
def writes_in_a_block() -> None:
    with django_transaction.atomic():
        write_stream("log", 1)


@pytest.mark.django_db(transaction=True)
@POURERS
def test_values_get_consecutive_offsets_in_each_stream(pourer):
    """161, 167. Offsets count from 0 for each run and key; None is a value, and stored as one."""
    one, other = start_workflow(pourer, "log", "a", None, {"b": 1}), start_workflow(pourer, "log", "other")
    with Worker(threads=2):
        assert [one.get_result(timeout=60), other.get_result(timeout=60)] == [3, 1]
    assert entries(one.workflow_id, "log") == [(0, '"a"'), (1, "null"), (2, '{"b":1}')]
    assert entries(other.workflow_id, "log") == [(0, '"other"')]


@pytest.mark.django_db(transaction=True)
@POURERS
def test_a_write_from_a_workflow_happens_once_however_often_it_is_replayed(pourer):
    """162, 164. Each write and the close is a step: a replay appends nothing."""
    handle = start_workflow(pourer, "log", 1, 2, close=True)
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == 2
        execute_again(handle.workflow_id)
        assert handle.get_result(timeout=60) == 2
    assert entries(handle.workflow_id, "log") == [(0, "1"), (1, "2"), (2, None)]
    assert step_names(handle.workflow_id) == [
        (1, "durable.writeStream"),
        (2, "durable.writeStream"),
        (3, "durable.closeStream"),
    ]
    positions = StreamEntry.objects.order_by("offset").values_list("position", flat=True)
    assert list(positions) == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_a_write_in_a_step_stays_for_every_failed_try_and_is_no_step():
    """162, 164. From a step at least once; the entry stands at the step's position. A step may close."""
    handle = start_workflow(writes_from_a_step)
    assert finish(handle) == "done"
    assert entries(handle.workflow_id, "log") == [
        (0, '"before"'),
        (1, '"try 1"'),
        (2, '"try 2"'),
        (3, '"try 3"'),
        (4, None),
    ]
    assert step_names(handle.workflow_id) == [(1, "durable.writeStream"), (2, "write_and_fail_twice")]
    assert set(StreamEntry.objects.exclude(offset=0).values_list("position", flat=True)) == {2}


@pytest.mark.django_db(transaction=True)
def test_an_async_step_writes_from_its_tasks():
    """162. Three writes at once in one step: three entries, then the end."""
    handle = start_workflow(writes_from_an_async_step)
    finish(handle)
    found = entries(handle.workflow_id, "log")
    assert sorted(value for _, value in found if value is not None) == ["0", "1", "2"]
    assert [offset for offset, _ in found] == [0, 1, 2, 3] and found[3][1] is None


@pytest.mark.django_db(transaction=True)
def test_a_write_in_a_transaction_commits_and_rolls_back_with_it():
    """162. An entry of a transactional step is one of its writes: exactly once, or not at all."""
    handle = start_workflow(writes_in_transactions)
    finish(handle)
    assert entries(handle.workflow_id, "log") == [(0, '"kept"'), (1, '"after"')]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("crowd", [crowd_writes, acrowd_writes])
def test_writers_at_once_lose_and_double_nothing(crowd):
    """163, F51. Branches, steps and transactions of one run share a stream: every offset has one value."""
    count = 12
    handle = start_workflow(crowd, count)
    finish(handle)
    found = entries(handle.workflow_id, "log")
    names = "abcdef" if crowd is crowd_writes else "abcd"
    assert [offset for offset, _ in found] == list(range(len(names) * count))
    assert sorted(str(value) for _, value in found) == sorted(
        f'"{name} {number}"' for name in names for number in range(count)
    )
    in_order = names if crowd is crowd_writes else "abc"  # d's tasks have none
    for name in in_order:
        own = [value for _, value in found if value and value[1] == name]
        assert own == [f'"{name} {number}"' for number in range(count)]


@pytest.mark.postgres(reason="elsewhere one transaction at a time writes")
@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_does_not_see_the_last_entry_is_run_again():
    """163. Its snapshot is older than an entry of another branch, so it would take the same offset."""
    wrote.clear()
    handle = start_workflow(writes_over_an_old_snapshot)
    finish(handle)
    assert entries(handle.workflow_id, "log") == [(0, '"first"'), (1, '"second"')]


@pytest.mark.django_db(transaction=True)
def test_nothing_follows_the_end_of_a_stream():
    """164. Closing twice and writing after the close are accepted, and change nothing that can be read."""
    with SetWorkflowID("w"):
        start_workflow(closes_twice)
    with Worker(threads=1):
        get_result("w", timeout=60)
    assert entries("w", "log") == [(0, '"in time"'), (1, None)]
    assert list(read_stream("w", "log")) == ["in time"]
    assert Step.objects.count() == 4


@workflow
def closes_twice() -> None:
    write_stream("log", "in time")
    close_stream("log")
    write_stream("log", "too late")
    close_stream("log")


@pytest.mark.django_db
def test_streams_are_written_in_workflows():
    """173. Outside of a workflow there is no run to write for."""
    for verb, call in {
        "write_stream": lambda: write_stream("log", 1),
        "awrite_stream": lambda: awrite_stream("log", 1),
        "close_stream": lambda: close_stream("log"),
        "aclose_stream": lambda: aclose_stream("log"),
    }.items():
        with pytest.raises(NotInWorkflowError, match=rf"^{verb}\(\) must be called from within a workflow"):
            call()
    assert not StreamEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_no_longer_its_executions_own_writes_nothing():
    """162, F03. Writes from body and step are fenced on the ownership of the run."""
    handle = start_workflow(writes_after_cancellation)
    with Worker(threads=1) as worker:
        wait_for_status(handle.workflow_id, Status.CANCELLED)
        wait_until(lambda: worker.busy == 0)
    assert NOTES == ["step", "body"]
    assert not StreamEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_deleted_run_writes_nothing():
    """173. Its execution ends at the write."""
    start_workflow(writes_after_deletion)
    with Worker(threads=1) as worker:
        wait_until(worker.claimer.is_idle)
    assert not StreamEntry.objects.exists()


@pytest.mark.django_db
def test_what_cannot_be_written_is_told_at_the_call():
    """16, 173. Values that cannot be stored, and keys that no database takes."""
    with SetWorkflowID("w"):
        assert writes_nonsense().startswith("the value of stream 'log' cannot be stored")
    wrong: list[Any] = ["k" * 256, "nul \0", 7]
    for key in wrong:
        with pytest.raises(InvalidOptionError, match="a stream's key"):
            flow.pour(key, 1)
    assert not StreamEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_blocking_forms_on_an_event_loop_name_their_twins():
    """65. A blocking write would stop all coroutines of the loop."""

    async def blocked() -> None:
        with pytest.raises(SynchronousCallError, match="use `await awrite_stream"):
            write_stream("log", 1)
        with pytest.raises(SynchronousCallError, match="use `await aclose_stream"):
            close_stream("log")

    @workflow(name="streams.blocks")
    async def blocks() -> None:
        await blocked()

    handle = start_workflow(blocks)
    assert finish(handle) is None


@pytest.mark.django_db(transaction=True)
def test_a_workflow_must_not_write_inside_an_open_transaction_of_its_own():
    """66. What the body writes under its own block could be rolled back after it was recorded."""
    with SetWorkflowID("w"), pytest.raises(Exception, match=r"durable\.writeStream.*open transaction"):
        writes_in_a_block()
