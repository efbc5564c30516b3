"""Reading streams from outside: drained, then followed live, to the end or to a time-out."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from durable_app import (
    InvalidOptionError,
    InvalidWorkflowIDError,
    NonExistentWorkflowError,
    OpenTransactionError,
    SerializationError,
    SetWorkflowID,
    StreamTimeoutError,
    SynchronousCallError,
    aread_stream,
    aread_stream_offset,
    asend,
    cancel_workflow,
    read_stream,
    read_stream_offset,
    send,
    start_workflow,
    step,
    workflow,
    write_stream,
)
from durable_app.models import Status, StreamEntry
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, in_thread, step_names, wait_for_status, wait_until
from tests.shop import flow
from tests.shop.flow import dictate


def run_directly(workflow_id: str, func: Any, *args: Any, **kwargs: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return func(*args, **kwargs)


async def alist(*args: Any, **kwargs: Any) -> list[Any]:
    return [value async for value in aread_stream(*args, **kwargs)]


def all_values(reader: str, *args: Any, **kwargs: Any) -> list[Any]:
    """Read a stream with the verb of one colour."""
    if reader == "sync":
        return list(read_stream(*args, **kwargs))
    return async_to_sync(alist)(*args, **kwargs)


async def aone(*args: Any, **kwargs: Any) -> Any:
    return await aread_stream_offset(*args, **kwargs)


def one_value(reader: str, *args: Any, **kwargs: Any) -> Any:
    if reader == "sync":
        return read_stream_offset(*args, **kwargs)
    return async_to_sync(aone)(*args, **kwargs)


READERS = pytest.mark.parametrize("reader", ["sync", "async"])


@workflow
def fails_after(key: str, *values: Any) -> None:
    for value in values:
        write_stream(key, value)
    raise ValueError("no more")


@step
def read_all(workflow_id: str, key: str) -> list[Any]:
    return list(read_stream(workflow_id, key))


@workflow
def reads_in_a_step(workflow_id: str, key: str) -> list[Any]:
    return read_all(workflow_id, key)


@pytest.mark.django_db
@READERS
def test_a_closed_stream_is_read_from_any_offset_to_its_end(reader):
    """164, 167, 168. None is a value; at the end and after it there is nothing; another key is empty."""
    run_directly("w", flow.pour, "log", 1, None, "three", close=True)
    assert all_values(reader, "w", "log") == [1, None, "three"]
    assert all_values(reader, "w", "log", offset=2) == ["three"]
    assert all_values(reader, "w", "log", offset=3) == []
    assert all_values(reader, "w", "log", offset=99) == []
    assert all_values(reader, "w", "other") == []
    assert one_value(reader, "w", "log", 1) is None
    assert one_value(reader, "w", "log", 2) == "three"


@pytest.mark.django_db
@READERS
def test_an_ended_run_ends_its_open_streams(reader):
    """165. Success and failure alike: the reader drains to the first empty offset and stops."""
    run_directly("w", flow.pour, "log", 1, 2)
    assert all_values(reader, "w", "log") == [1, 2]
    with pytest.raises(ValueError, match="no more"):
        run_directly("failed", fails_after, "log", 3)
    assert all_values(reader, "failed", "log") == [3]


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_ends_its_open_streams():
    """165. Also for a reader that waits while it is cancelled."""
    handle = start_workflow(dictate, "log")
    send(handle.workflow_id, "one", "say")
    with Worker(threads=1):
        waiting = in_thread(all_values, "sync", handle.workflow_id, "log")
        wait_until(StreamEntry.objects.exists)
        cancel_workflow(handle.workflow_id)
        assert waiting.result(60) == ["one"]


@workflow(name="readers.looks_twice")
def looks_twice(workflow_id: str, key: str) -> list[Any]:
    return [list(read_stream(workflow_id, key, follow=False)) for _ in range(2)]


@pytest.mark.django_db(transaction=True)
@READERS
def test_a_reader_that_does_not_follow_takes_what_is_there(reader):
    """165, 171. It ends where it would wait, also in a transaction; in a workflow as a recorded step."""
    handle = start_workflow(dictate, "log")
    with Worker(threads=2):
        send(handle.workflow_id, "one", "say")
        wait_until(StreamEntry.objects.exists)
        assert all_values(reader, handle.workflow_id, "log", follow=False) == ["one"]
        assert all_values(reader, handle.workflow_id, "log", offset=5, follow=False) == []
        if reader == "sync":
            with transaction.atomic():
                assert list(read_stream(handle.workflow_id, "log", follow=False)) == ["one"]
        looking = start_workflow(looks_twice, handle.workflow_id, "log")
        assert looking.get_result(timeout=60) == [["one"], ["one"]]
        assert step_names(looking.workflow_id) == [(n, "durable.readStream") for n in range(1, 5)]
        cancel_workflow(handle.workflow_id)
        execute_again(looking.workflow_id)
        assert looking.get_result(timeout=60) == [["one"], ["one"]]
    with pytest.raises(NonExistentWorkflowError):
        all_values(reader, "nobody", "log", follow=False)


@pytest.mark.django_db
@READERS
def test_a_stream_of_nobody_is_an_error(reader):
    """166. An unknown run is told at once, not waited for."""
    with pytest.raises(NonExistentWorkflowError, match="'nobody'"):
        all_values(reader, "nobody", "log")
    with pytest.raises(NonExistentWorkflowError, match="'nobody'"):
        one_value(reader, "nobody", "log", 0)


@pytest.mark.django_db
def test_values_keep_their_types():
    """167. Whatever can be stored can be streamed."""
    values = [Decimal("1.10"), datetime(2026, 1, 1, tzinfo=UTC), (1, {2}), b"bytes", {"$t": 1}, "", []]
    run_directly("w", flow.pour, "log", *values)
    assert list(read_stream("w", "log")) == values


@pytest.mark.django_db(transaction=True)
@READERS
def test_a_reader_follows_live_and_steals_from_nobody(reader, worker):
    """169. Three readers see each value as it comes, from their own offsets; none waits for the end."""
    handle = start_workflow(dictate, "log")
    seen: list[list[Any]] = [[], [], []]

    def follow(index: int, offset: int) -> None:
        if reader == "sync":
            for value in read_stream(handle.workflow_id, "log", offset=offset):
                seen[index].append(value)
            return

        async def afollow() -> None:
            async for value in aread_stream(handle.workflow_id, "log", offset=offset):
                seen[index].append(value)

        async_to_sync(afollow)()

    readers = [in_thread(follow, index, offset) for index, offset in enumerate((0, 0, 2))]
    for number in range(5):
        send(handle.workflow_id, number, "say")
        wanted = [list(range(number + 1))] * 2 + [list(range(2, number + 1))]
        wait_until(partial(seen.__eq__, wanted), what=str(wanted))
    send(handle.workflow_id, "stop", "say")
    for one in readers:
        one.result(60)
    assert seen == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [2, 3, 4]]


@pytest.mark.django_db(transaction=True)
@READERS
def test_the_timeout_counts_for_each_value(reader, worker):
    """170. A value that does not come in time is an error which says of what; the reader may go on."""
    handle = start_workflow(dictate, "log")
    send(handle.workflow_id, "one", "say")
    assert one_value(reader, handle.workflow_id, "log", 0, timeout_seconds=60) == "one"
    with pytest.raises(StreamTimeoutError) as caught:
        all_values(reader, handle.workflow_id, "log", timeout_seconds=timedelta(milliseconds=20))
    assert (caught.value.workflow_id, caught.value.key) == (handle.workflow_id, "log")
    assert caught.value.timeout_seconds == 0.02
    with pytest.raises(StreamTimeoutError, match=r"within 0.0 seconds"):
        all_values(reader, handle.workflow_id, "log", offset=1, timeout_seconds=0)
    send(handle.workflow_id, "stop", "say")
    assert all_values(reader, handle.workflow_id, "log", timeout_seconds=60) == ["one"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout_seconds": -1}, "timeout_seconds must not be below zero"),
        ({"timeout_seconds": "soon"}, "timeout_seconds must be a number"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds must be a number"),
        ({"polling_interval_sec": 0.0005}, "polling_interval_sec must be at least"),
        ({"polling_interval_sec": 0}, "polling_interval_sec must be at least"),
        ({"offset": -1}, "offsets count from 0"),
        ({"offset": "1"}, "offsets count from 0"),
        ({"offset": True}, "offsets count from 0"),
    ],
)
def test_options_out_of_range_are_refused_at_the_call(options, message):
    """170. ValueErrors, before anything is read."""
    for verb in (read_stream, aread_stream):
        with pytest.raises(InvalidOptionError, match=message):
            verb("w", "log", **options)
    options = {"offset": 0, **options}
    for of_one in (read_stream_offset, aread_stream_offset):
        with pytest.raises(ValueError, match=message):
            of_one("w", "log", **options)


@pytest.mark.django_db
def test_ids_and_keys_are_checked_at_the_call():
    """17, 166. What can be nobody's id or key."""
    with pytest.raises(InvalidWorkflowIDError):
        read_stream(" ", "log")
    with pytest.raises(InvalidOptionError, match="a stream's key"):
        read_stream("w", "k" * 256)


@pytest.mark.django_db(transaction=True)
@READERS
def test_one_offset_is_waited_for(reader, worker):
    """172. The value at an offset, as soon as it is written; others before it are passed over."""
    handle = start_workflow(dictate, "log")
    waiting = in_thread(one_value, reader, handle.workflow_id, "log", 2)
    for number in range(3):
        send(handle.workflow_id, number, "say")
    assert waiting.result(60) == 2


@pytest.mark.django_db
@READERS
def test_an_offset_that_will_never_come_is_a_timeout(reader):
    """172. The run, or the stream, ended before it: an error at once, however long one would wait."""
    run_directly("open", flow.pour, "log", 1)
    run_directly("closed", flow.pour, "log", 1, close=True)
    for run in ("open", "closed"):
        for offset in (1, 7):
            with pytest.raises(StreamTimeoutError, match="it has ended") as caught:
                one_value(reader, run, "log", offset, timeout_seconds=3600)
            assert caught.value.timeout_seconds is None


@pytest.mark.django_db
def test_a_value_is_decoded_when_it_is_delivered():
    """175. One that cannot be read spoils neither those before it nor those behind it."""
    run_directly("w", flow.pour, "log", *range(4))
    StreamEntry.objects.filter(offset=2).update(value='{"$t":"unknown","v":1}')
    reading = read_stream("w", "log")
    assert [next(reading), next(reading)] == [0, 1]
    with pytest.raises(SerializationError, match="unknown"):
        next(reading)
    assert list(read_stream("w", "log", offset=3)) == [3]


@pytest.mark.django_db(transaction=True)
def test_many_values_are_read_in_few_looks(django_assert_num_queries):
    """175. The reader reads ahead: fifty entries a statement."""
    run_directly("w", flow.pour, "log", *range(120))
    with django_assert_num_queries(3):
        assert list(read_stream("w", "log")) == list(range(120))


@pytest.mark.django_db(transaction=True)
def test_reading_in_an_open_transaction_is_refused():
    """169. What is waited for could not be seen, or not be written: a clear error instead."""
    run_directly("w", flow.pour, "log", 1)
    with transaction.atomic():
        with pytest.raises(OpenTransactionError, match=r"read_stream\(\)"):
            list(read_stream("w", "log"))
        with pytest.raises(OpenTransactionError, match=r"read_stream_offset\(\)"):
            read_stream_offset("w", "log", 0)


@pytest.mark.django_db
def test_the_blocking_forms_on_an_event_loop_name_their_twins():
    """65. A blocking reader would stop all coroutines of the loop."""

    async def blocked() -> None:
        with pytest.raises(SynchronousCallError, match="use `await aread_stream"):
            read_stream("w", "log")
        with pytest.raises(SynchronousCallError, match="use `await aread_stream_offset"):
            read_stream_offset("w", "log", 0)

    asyncio.run(blocked())


@pytest.mark.django_db(transaction=True)
def test_a_step_reads_without_recording(worker):
    """171, 47. The reading belongs to the step around it."""
    writer = start_workflow(flow.pour, "log", 1, 2)
    handle = start_workflow(reads_in_a_step, writer.workflow_id, "log")
    assert handle.get_result(timeout=60) == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_a_hundred_coroutines_follow_one_stream_without_threads(worker):
    """160, 169. Readers on a loop share a few threads for their looks."""
    handle = start_workflow(dictate, "log")
    wait_for_status(handle.workflow_id, Status.PENDING, Status.WAITING)
    before = threading.active_count()
    most = 0

    async def follow() -> list[list[Any]]:
        nonlocal most
        readers = [asyncio.ensure_future(alist(handle.workflow_id, "log")) for _ in range(100)]
        for value in (1, 2, "stop"):
            await asend(handle.workflow_id, value, "say")
        pending = set(readers)
        while pending:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            most = max(most, threading.active_count())
        return [one.result() for one in readers]

    assert async_to_sync(follow)() == [[1, 2]] * 100
    assert most - before < 20
