"""DBOS's queue: registered with its defaults, which are a poll a second and no limit for a worker."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
from dbos import DBOS, SetWorkflowID

from benchmarks import reports, workers
from benchmarks.contestants.queues import BALL, GAME_OVER, PATIENCE

LEFT = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"


@DBOS.workflow()
def nothing() -> None:
    """Do nothing."""


@DBOS.workflow()
def report() -> None:
    reports.send()


@DBOS.workflow()
def serve_messages(seconds: float) -> list[float]:
    latencies: list[float] = []
    until = 0.0
    while not until or time.monotonic() < until:
        began = time.monotonic()
        DBOS.send("right", BALL)
        DBOS.recv(timeout_seconds=PATIENCE)
        latencies.append(time.monotonic() - began)
        until = until or time.monotonic() + seconds  # the first turn waits for the other player
    DBOS.send("right", GAME_OVER)
    return latencies[1:]


@DBOS.workflow()
def return_messages() -> None:
    while DBOS.recv(timeout_seconds=PATIENCE) == BALL:
        DBOS.send("left", BALL)


@DBOS.workflow()
def serve_events(seconds: float) -> list[float]:
    latencies: list[float] = []
    until = 0.0
    while not until or time.monotonic() < until:
        began, key = time.monotonic(), str(len(latencies))
        DBOS.set_event(key, BALL)
        DBOS.get_event("right", key, timeout_seconds=PATIENCE)
        latencies.append(time.monotonic() - began)
        until = until or time.monotonic() + seconds  # the first turn waits for the other player
    DBOS.set_event(str(len(latencies)), GAME_OVER)
    return latencies[1:]


@DBOS.workflow()
def return_events() -> None:
    number = 0
    while DBOS.get_event("left", str(number), timeout_seconds=PATIENCE) == BALL:
        DBOS.set_event(str(number), BALL)
        number += 1


GAMES = {"messages": (serve_messages, return_messages), "events": (serve_events, return_events)}


class DbosQueue:
    """The queue as a process sees it that is launched but listens to no queue."""

    worker = f"{__name__}:work"

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._queues = {name: DBOS.retrieve_queue(name) for name in ("jobs", "left", "right")}

    def enqueue(self) -> None:
        self._queues["jobs"].enqueue(nothing)

    def enqueue_many(self, count: int) -> None:
        """One by one: DBOS has no public way to enqueue in bulk."""
        for _ in range(count):
            self.enqueue()

    def left(self) -> int:
        row = self._connection.execute(LEFT).fetchone()
        return int(row[0]) if row is not None else 0

    def enqueue_report(self) -> None:
        self._queues["jobs"].enqueue(report)

    def enqueue_and_wait(self) -> None:
        self._queues["jobs"].enqueue(nothing).get_result()

    def play(self, game: str, seconds: float) -> list[float]:
        serve, answer = GAMES[game]
        with SetWorkflowID("right"):
            self._queues["right"].enqueue(answer)
        with SetWorkflowID("left"):
            served = self._queues["left"].enqueue(serve, seconds)
        latencies: list[float] = served.get_result()
        return latencies


@contextmanager
def dbos(url: str, *, poll: float = 1.0) -> Iterator[DbosQueue]:
    _configure(url)
    DBOS.listen_queues([])
    DBOS.launch()
    try:
        for name in ("jobs", "left", "right"):
            DBOS.register_queue(name, polling_interval_sec=poll)
        with psycopg.connect(url, autocommit=True) as connection:
            yield DbosQueue(connection)
    finally:
        DBOS.destroy()


dbos_eager = partial(dbos, poll=0.05)


def work(url: str, queue: str) -> None:
    _configure(url)
    DBOS.listen_queues([queue])
    workers.gate()
    DBOS.launch()
    threading.Event().wait()


def _configure(url: str) -> None:
    DBOS(config={"name": "benchmark", "system_database_url": url, "log_level": "ERROR"})
