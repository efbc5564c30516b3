"""Reading streams inside a workflow: a step for each value, replayed to the same place; a run may park."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from durable_app import (
    NonExistentWorkflowError,
    SetWorkflowID,
    StreamNondeterminismError,
    StreamTimeoutError,
    WorkflowCancelled,
    agather,
    aread_stream,
    aread_stream_offset,
    cancel_workflow,
    delete_workflow,
    fork_workflow,
    gather,
    get_result,
    read_stream,
    recv,
    send,
    start_workflow,
    workflow,
)
from durable_app.models import Status, Step, StreamEntry, Wait, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, step_names, wait_for_status, wait_until
from tests.shop import flow
from tests.shop.flow import dictate
from tests.test_engine.test_stream_readers import run_directly

FOLLOWERS = pytest.mark.parametrize("follower", [flow.follow, flow.afollow])
PICKERS = pytest.mark.parametrize("picker", [flow.pick, flow.apick])

NOTES: list[str] = []


@pytest.fixture(autouse=True)
def no_notes_yet() -> None:
    NOTES.clear()


@workflow
def reads_until_too_late(workflow_id: str) -> list[Any]:
    found: list[Any] = []
    try:
        for value in read_stream(workflow_id, "log", timeout_seconds=0.05):
            found.append(value)
    except StreamTimeoutError as error:
        found.append(str(error))
    return found


@workflow
async def areads_until_too_late(workflow_id: str) -> list[Any]:
    found: list[Any] = []
    try:
        async for value in aread_stream(workflow_id, "log", timeout_seconds=0.05):
            found.append(value)
    except StreamTimeoutError as error:
        found.append(str(error))
    return found


@workflow
def reads_two_of(workflow_id: str) -> list[Any]:
    """Stop before the end of the stream, and go on with other work."""
    reading = read_stream(workflow_id, "log")
    found = [next(reading), next(reading)]
    return [*found, flow.finished("two")]


@workflow
def reads_from_nobody() -> str:
    try:
        list(read_stream("nobody", "log"))
    except NonExistentWorkflowError as error:
        return str(error.workflow_id)
    return "somebody"


@workflow
async def reads_at_once(workflow_id: str) -> list[str]:
    async def one() -> None:
        async for _ in aread_stream(workflow_id, "log"):
            pass

    found = await asyncio.gather(one(), one(), return_exceptions=True)
    return sorted(type(error).__name__ for error in found)


@workflow
def reads_in_branches(workflow_id: str) -> list[Any]:
    return gather(
        lambda: list(read_stream(workflow_id, "log")), lambda: list(read_stream(workflow_id, "log"))
    )


@workflow
async def areads_in_branches(workflow_id: str) -> list[Any]:
    async def one() -> list[Any]:
        return [value async for value in aread_stream(workflow_id, "log")]

    return await agather(one, one)


@workflow
def notices_cancellation(workflow_id: str) -> None:
    try:
        list(read_stream(workflow_id, "log"))
    except WorkflowCancelled:
        NOTES.append("noticed")
        raise


@workflow
def asks_then_reads(workflow_id: str) -> Any:
    first = recv("go", 3600)
    return [first, *read_stream(workflow_id, "log")]


@workflow
async def picks_at_once(workflow_id: str) -> Any:
    return await asyncio.gather(
        aread_stream_offset(workflow_id, "log", 0),
        aread_stream_offset(workflow_id, "log", 1),
        return_exceptions=True,
    )


@pytest.mark.django_db(transaction=True)
@FOLLOWERS
def test_each_value_and_the_end_is_a_step_and_a_replay_reads_the_same(follower, worker):
    """171. What was delivered is recorded: the replay neither looks at the stream nor goes on reading it."""
    run_directly("w", flow.pour, "log", 1, None, "three", close=True)
    handle = start_workflow(follower, "w", "log")
    assert handle.get_result(timeout=60) == [1, None, "three", "followed"]
    assert step_names(handle.workflow_id) == [
        (1, "durable.readStream"),
        (2, "durable.readStream"),
        (3, "durable.readStream"),
        (4, "durable.readStream"),
        (5, "finished"),
    ]
    StreamEntry.objects.update(value='"changed"')
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == [1, None, "three", "followed"]
    delete_workflow("w")
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == [1, None, "three", "followed"]


@pytest.mark.django_db(transaction=True)
def test_a_fork_reads_on_where_the_copied_steps_end(worker):
    """113, 171. The offset follows from the values that were delivered before the cut."""
    run_directly("w", flow.pour, "log", "a", "b", "c", close=True)
    handle = start_workflow(flow.follow, "w", "log")
    assert handle.get_result(timeout=60) == ["a", "b", "c", "followed"]
    StreamEntry.objects.filter(offset=0).update(value='"not read again"')
    StreamEntry.objects.filter(offset=2).update(value='"read again"')
    assert fork_workflow(handle.workflow_id, 3).get_result(timeout=60) == ["a", "b", "read again", "followed"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("reader", [reads_until_too_late, areads_until_too_late])
def test_a_timeout_is_recorded_and_stays(reader, worker):
    """170, 171. A value that comes later does not change what the run met."""
    writer = start_workflow(dictate, "log")
    send(writer.workflow_id, "one", "say")
    wait_until(StreamEntry.objects.exists)
    handle = start_workflow(reader, writer.workflow_id)
    expected = [
        "one",
        f"Stream 'log' of workflow '{writer.workflow_id}' has no such value: none within 0.05 seconds",
    ]
    assert handle.get_result(timeout=60) == expected
    send(writer.workflow_id, "two", "say")
    wait_until(lambda: StreamEntry.objects.count() == 2)
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == expected
    assert step_names(handle.workflow_id) == [(1, "durable.readStream"), (2, "durable.readStream")]


@pytest.mark.django_db(transaction=True)
def test_a_reader_may_stop_early(worker):
    """171. Only what was asked for is recorded."""
    run_directly("w", flow.pour, "log", *range(10))
    handle = start_workflow(reads_two_of, "w")
    assert handle.get_result(timeout=60) == [0, 1, "two"]
    assert [name for _, name in step_names(handle.workflow_id)] == ["durable.readStream"] * 2 + ["finished"]


@pytest.mark.django_db(transaction=True)
def test_a_stream_of_nobody_is_recorded_as_such(worker):
    """166, 171. The error is the step's outcome: a replay raises it although the run exists by then."""
    handle = start_workflow(reads_from_nobody)
    assert handle.get_result(timeout=60) == "nobody"
    run_directly("nobody", flow.pour, "log", 1)
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == "nobody"


@pytest.mark.django_db(transaction=True)
def test_two_recorded_readings_at_once_are_refused(worker):
    """171. Their steps would have no order; the error names the stream."""
    writer = start_workflow(dictate, "log")
    wait_for_status(writer.workflow_id, Status.PENDING, Status.WAITING)
    handle = start_workflow(reads_at_once, writer.workflow_id)
    wait_until(lambda: Workflow.objects.filter(workflow_id=handle.workflow_id, status="PENDING").exists())
    send(writer.workflow_id, "stop", "say")
    assert handle.get_result(timeout=60) == ["NoneType", "StreamNondeterminismError"]
    picking = start_workflow(picks_at_once, writer.workflow_id)
    found = picking.get_result(timeout=60)
    assert {type(error) for error in found} <= {StreamNondeterminismError, StreamTimeoutError}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("reader", [reads_in_branches, areads_in_branches])
def test_branches_read_one_stream_each_for_itself(reader, worker):
    """171, 63. A branch has its own positions: two readings at once are fine there."""
    writer = start_workflow(dictate, "log")
    handle = start_workflow(reader, writer.workflow_id)
    for value in ("a", "b", "stop"):
        send(writer.workflow_id, value, "say")
    assert handle.get_result(timeout=60) == [["a", "b"], ["a", "b"]]
    execute_again(handle.workflow_id)
    assert handle.get_result(timeout=60) == [["a", "b"], ["a", "b"]]


@pytest.mark.django_db(transaction=True)
def test_a_waiting_reader_notices_its_own_cancellation(settings):
    """171, 100. While it waits, in its thread, for a stream that says nothing."""
    settings.DURABLE = {"PARK_AFTER": timedelta(hours=1)}
    writer = start_workflow(dictate, "log")
    handle = start_workflow(notices_cancellation, writer.workflow_id)
    with Worker(threads=2):
        wait_until(lambda: status_of(handle.workflow_id) == Status.PENDING)
        cancel_workflow(handle.workflow_id)
        wait_until(lambda: NOTES == ["noticed"])
        send(writer.workflow_id, "stop", "say")
        assert get_result(writer.workflow_id, timeout=60) is None
    assert status_of(handle.workflow_id) == Status.CANCELLED
    assert not Step.objects.filter(workflow__workflow_id=handle.workflow_id).exists()


def has_steps(workflow_id: str, count: int) -> bool:
    return len(step_names(workflow_id)) == count


def status_of(workflow_id: str) -> str:
    found: str = Workflow.objects.values_list("status", flat=True).get(workflow_id=workflow_id)
    return found


@pytest.mark.django_db(transaction=True)
@FOLLOWERS
def test_a_long_waiting_reader_parks_and_every_value_wakes_it(follower, settings):
    """169, 171. It costs a row, and goes on with the first value, with the end, and where it stood."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(0)}
    writer = start_workflow(dictate, "log")
    reader = start_workflow(follower, writer.workflow_id, "log")
    bystander = start_workflow(follower, writer.workflow_id, "another key")
    with Worker(threads=2) as worker:
        for number in range(3):
            wait_for_status(reader.workflow_id, Status.WAITING)
            wait_for_status(bystander.workflow_id, Status.WAITING)
            wait_until(lambda: worker.busy == 0)
            send(writer.workflow_id, number, "say")
            wait_until(partial(has_steps, reader.workflow_id, number + 1))
        assert Workflow.objects.get(workflow_id=bystander.workflow_id).attempt == 1
        send(writer.workflow_id, "stop", "say")
        assert reader.get_result(timeout=60) == [0, 1, 2, "followed"]
        assert bystander.get_result(timeout=60) == ["followed"]
    assert not Wait.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["returns", "is cancelled"])
def test_a_parked_reader_is_woken_by_the_end_of_an_open_stream(end, settings):
    """165, 171. No close: the writer's own end is the news."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    writer = start_workflow(dictate, "log", False)
    reader = start_workflow(flow.follow, writer.workflow_id, "log")
    with Worker(threads=2):
        wait_for_status(reader.workflow_id, Status.WAITING)
        if end == "returns":
            send(writer.workflow_id, "stop", "say")
        else:
            cancel_workflow(writer.workflow_id)
        assert reader.get_result(timeout=60) == ["followed"]


@pytest.mark.django_db(transaction=True)
@PICKERS
def test_one_offset_is_one_step(picker, settings):
    """172, 171. It is waited for, the run parks meanwhile, and the value is replayed."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(0)}
    writer = start_workflow(dictate, "log")
    handle = start_workflow(picker, writer.workflow_id, "log", 1)
    with Worker(threads=2):
        wait_for_status(handle.workflow_id, Status.WAITING)
        for value in ("a", "b"):
            send(writer.workflow_id, value, "say")
        assert handle.get_result(timeout=60) == "b"
        assert step_names(handle.workflow_id) == [(1, "durable.readStreamOffset")]
        StreamEntry.objects.update(value='"changed"')
        execute_again(handle.workflow_id)
        assert handle.get_result(timeout=60) == "b"
        late = start_workflow(picker, writer.workflow_id, "log", 9)
        send(writer.workflow_id, "stop", "say")
        with pytest.raises(StreamTimeoutError, match="it has ended"):
            late.get_result(timeout=60)


@pytest.mark.django_db(transaction=True)
def test_a_parked_readers_deadline_is_durable(settings):
    """170, 171. The end of the wait is recorded before the run parks; waking early does not put it off."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    writer = start_workflow(dictate, "log")
    reader = start_workflow(flow.follow, writer.workflow_id, "log", 0, 3600.0)
    ends = []
    for _ in range(2):
        with Worker(threads=1):
            wait_for_status(reader.workflow_id, Status.WAITING)
        ends.append(Workflow.objects.get(workflow_id=reader.workflow_id).wake_at)
        Workflow.objects.filter(workflow_id=reader.workflow_id).update(status=Status.ENQUEUED, wake_at=None)
    assert ends[0] is not None and ends[0] == ends[1]
    with Worker(threads=2):
        for value in ("a", "stop"):
            send(writer.workflow_id, value, "say")
        assert reader.get_result(timeout=60) == ["a", "followed"]
        execute_again(reader.workflow_id)
        assert reader.get_result(timeout=60) == ["a", "followed"]


@pytest.mark.django_db(transaction=True)
def test_an_overdue_parked_reader_gets_its_timeout(settings):
    """170, 171. The due time wakes it, and the error is raised and recorded."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    writer = start_workflow(dictate, "log")
    reader = start_workflow(flow.follow, writer.workflow_id, "log", 0, 0.2)
    with Worker(threads=2):
        with pytest.raises(StreamTimeoutError, match=r"within 0.2 seconds"):
            reader.get_result(timeout=60)
        send(writer.workflow_id, "stop", "say")
        assert writer.get_result(timeout=60) is None
    assert step_names(reader.workflow_id)[0] == (1, "durable.readStream")


@pytest.mark.django_db(transaction=True)
def test_a_directly_called_reader_keeps_its_thread(worker):
    """171. It belongs to its caller: it waits, and does not park."""
    writer = start_workflow(dictate, "log")
    for value in ("a", "stop"):
        send(writer.workflow_id, value, "say")
    assert run_directly("r", flow.follow, writer.workflow_id, "log", 0, 60.0) == ["a", "followed"]
    assert [name for _, name in step_names("r")] == ["durable.readStream"] * 2 + ["finished"]


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_parked_for_a_message_reads_the_stream_afterwards(settings):
    """148, 171. Two kinds of waits in one run."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    writer = start_workflow(dictate, "log")
    with SetWorkflowID("r"):
        start_workflow(asks_then_reads, writer.workflow_id)
    with Worker(threads=2):
        wait_for_status("r", Status.WAITING)
        send("r", "go", "go")
        for value in ("a", "stop"):
            send(writer.workflow_id, value, "say")
        assert get_result("r", timeout=60) == ["go", "a"]
