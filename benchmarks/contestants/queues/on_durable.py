"""durable_app's queue; every setting at its default."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import reports, workers
from benchmarks.contestants.on_durable import migrate
from benchmarks.contestants.queues import BALL, GAME_OVER, PATIENCE
from durable_app import (
    Queue,
    SetWorkflowID,
    enqueue,
    enqueue_many,
    get_event,
    recv,
    send,
    set_event,
    workflow,
)
from durable_app.models import Workflow
from durable_app.worker.claimer import Serving
from durable_app.worker.worker import Worker

jobs, left, right = Queue("jobs"), Queue("left"), Queue("right")


@workflow
def nothing() -> None:
    """Do nothing."""


@workflow
async def nothing_async() -> None:
    """Do nothing on the event loop."""


@workflow
def report() -> None:
    reports.send()


@workflow
def serve_messages(seconds: float) -> list[float]:
    latencies: list[float] = []
    until = 0.0
    while not until or time.monotonic() < until:
        began = time.monotonic()
        send("right", BALL)
        recv(timeout_seconds=PATIENCE)
        latencies.append(time.monotonic() - began)
        until = until or time.monotonic() + seconds  # the first turn waits for the other player
    send("right", GAME_OVER)
    return latencies[1:]


@workflow
def return_messages() -> None:
    while recv(timeout_seconds=PATIENCE) == BALL:
        send("left", BALL)


@workflow
def serve_events(seconds: float) -> list[float]:
    latencies: list[float] = []
    until = 0.0
    while not until or time.monotonic() < until:
        began, key = time.monotonic(), str(len(latencies))
        set_event(key, BALL)
        get_event("right", key, timeout_seconds=PATIENCE)
        latencies.append(time.monotonic() - began)
        until = until or time.monotonic() + seconds  # the first turn waits for the other player
    set_event(str(len(latencies)), GAME_OVER)
    return latencies[1:]


@workflow
def return_events() -> None:
    number = 0
    while get_event("left", str(number), timeout_seconds=PATIENCE) == BALL:
        set_event(str(number), BALL)
        number += 1


GAMES = {"messages": (serve_messages, return_messages), "events": (serve_events, return_events)}


class DurableQueue:
    """The queue as a process sees it that has no worker."""

    worker = f"{__name__}:work"

    def __init__(self, job: Callable[..., Any]) -> None:
        self._job = job

    def enqueue(self) -> None:
        jobs.enqueue(self._job)

    def enqueue_many(self, count: int) -> None:
        enqueue_many("jobs", self._job, [()] * count)

    def left(self) -> int:
        return Workflow.objects.filter(finished_at__isnull=True).count()

    def enqueue_report(self) -> None:
        jobs.enqueue(report)

    def enqueue_and_wait(self) -> None:
        jobs.enqueue(self._job).get_result()

    def play(self, game: str, seconds: float) -> list[float]:
        serve, answer = GAMES[game]
        with SetWorkflowID("right"):
            enqueue("right", answer)
        with SetWorkflowID("left"):
            served = enqueue("left", serve, seconds)
        latencies: list[float] = served.get_result()
        return latencies


@contextmanager
def durable(_url: str) -> Iterator[DurableQueue]:
    migrate()
    yield DurableQueue(nothing)


@contextmanager
def durable_async(_url: str) -> Iterator[DurableQueue]:
    migrate()
    yield DurableQueue(nothing_async)


def work(_url: str, queue: str) -> None:
    worker = Worker(serving=Serving(only=frozenset([queue])))
    workers.gate()
    worker.start()
    threading.Event().wait()
