"""No value is lost: entries are written, streams closed and runs ended while their readers park."""

import random
import threading
from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    SetWorkflowID,
    close_stream,
    get_result,
    read_stream,
    recv,
    send,
    start_workflow,
    step,
    workflow,
    write_stream,
)
from durable_app.models import StreamEntry, Wait
from durable_app.worker.worker import Worker
from tests.helpers import in_thread

RUNS = 40


@step
def dawdle(seconds: float) -> None:
    threading.Event().wait(seconds)


@workflow(name="stream_races.writes")
def writes(pauses: list[float], *, closes: bool) -> None:
    for number, pause in enumerate(pauses):
        dawdle(pause)
        write_stream("log", number)
    if closes:
        close_stream("log")


@workflow(name="stream_races.reads")
def reads(workflow_id: str) -> list[Any]:
    return list(read_stream(workflow_id, "log"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("closes", [True, False])
def test_no_entry_is_lost_however_it_meets_the_parking(closes: bool, settings: Any) -> None:
    """169, 171, F50. Every reader parks at each wait; a lost wake-up would leave it there for ever."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    dice = random.Random(int(closes))
    with Worker(threads=4):
        for run in range(RUNS):
            with SetWorkflowID(f"writer-{run}"):
                start_workflow(writes, [dice.random() * 0.02 for _ in range(3)], closes=closes)
            for reader in range(2):
                with SetWorkflowID(f"reader-{run}-{reader}"):
                    start_workflow(reads, f"writer-{run}")
        for run in range(RUNS):
            for reader in range(2):
                assert get_result(f"reader-{run}-{reader}", timeout=60) == [0, 1, 2]
    assert not Wait.objects.exists()


@workflow(name="stream_races.writes_when_heard")
def writes_when_heard(pauses: list[float]) -> int:
    """Write a value only after the last one was heard."""
    heard = 0
    for number, pause in enumerate(pauses):
        dawdle(pause)
        write_stream("log", number)
        heard += recv("heard", 3600) == number
    return heard


@workflow(name="stream_races.answers")
def answers(workflow_id: str) -> list[Any]:
    found = []
    for value in read_stream(workflow_id, "log"):
        send(workflow_id, value, "heard")
        found.append(value)
    return found


@pytest.mark.django_db(transaction=True)
def test_each_single_entry_wakes_its_parked_reader(settings: Any) -> None:
    """169, 171, F50. Writer and reader park for each other: only the entry wakes the reader."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    dice = random.Random(1)
    with Worker(threads=4):
        for run in range(RUNS):
            with SetWorkflowID(f"writer-{run}"):
                start_workflow(writes_when_heard, [dice.random() * 0.01 for _ in range(3)])
            with SetWorkflowID(f"reader-{run}"):
                start_workflow(answers, f"writer-{run}")
        for run in range(RUNS):
            assert get_result(f"writer-{run}", timeout=60) == 3
            assert get_result(f"reader-{run}", timeout=60) == [0, 1, 2]


@pytest.mark.django_db(transaction=True)
def test_readers_outside_see_a_prefix_at_every_moment(settings: Any) -> None:
    """161, 163, F51. No reader skips a value that is committed late: what it has seen has no gap."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    with Worker(threads=4):
        for run in range(10):
            with SetWorkflowID(f"writer-{run}"):
                start_workflow(writes, [0.0] * 20, closes=True)
        readers: list[Any] = [
            in_thread(list, read_stream(f"writer-{run}", "log")) for run in range(10) for _ in range(2)
        ]
        assert [reader.result(60) for reader in readers] == [list(range(20))] * 20
    assert StreamEntry.objects.count() == 210
