"""The floor of a queue: a row a job, claims and ends a hundred at a time, one NOTIFY to wake who waits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from benchmarks import reports, workers
from benchmarks.contestants.queues import BALL, GAME_OVER

BATCH = 100
BULK = 1_000

TABLES = """
CREATE TABLE job (
    id bigserial PRIMARY KEY, name text NOT NULL, status text NOT NULL DEFAULT 'ENQUEUED', input text,
    output text, created_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz
);
CREATE INDEX job_ready ON job (id) WHERE status = 'ENQUEUED';
CREATE TABLE message (id bigserial PRIMARY KEY, receiver text NOT NULL, body int NOT NULL);
"""

ENQUEUE = """
WITH added AS (INSERT INTO job (name, input) VALUES (%s, '[]') RETURNING id)
SELECT id, pg_notify('work', '') FROM added
"""
ENQUEUE_MANY = "INSERT INTO job (name, input) SELECT unnest(%s::text[]), '[]'"
TURN = """
WITH ended AS (
    UPDATE job SET status = 'SUCCESS', output = 'null', finished_at = now()
    WHERE id = ANY(%s::bigint[]) AND status = 'PENDING' RETURNING id
), ready AS MATERIALIZED (
    SELECT id FROM job WHERE status = 'ENQUEUED' ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE job SET status = 'PENDING' FROM ready WHERE job.id = ready.id RETURNING job.id, job.name
), told AS (SELECT pg_notify('end', '') FROM ended LIMIT 1)
SELECT id, name FROM (SELECT count(*) FROM told) AS number LEFT JOIN claimed ON true
"""
LEFT = "SELECT count(*) FROM job WHERE finished_at IS NULL"
RESULT = "SELECT output FROM job WHERE id = %s AND finished_at IS NOT NULL"

SEND = """
WITH sent AS (INSERT INTO message (receiver, body) VALUES (%s, %s) RETURNING receiver)
SELECT pg_notify(receiver, '') FROM sent
"""
RECEIVE = "DELETE FROM message WHERE id = (SELECT min(id) FROM message WHERE receiver = %s) RETURNING body"


class FloorQueue:
    """A connection for the jobs, and one that listens for their ends."""

    worker = f"{__name__}:work"

    def __init__(self, connection: psycopg.Connection, listener: psycopg.Connection) -> None:
        self._connection = connection
        self._listener = listener

    def enqueue(self) -> None:
        self._add("nothing")

    def enqueue_many(self, count: int) -> None:
        for first in range(0, count, BULK):
            names = ["nothing"] * min(BULK, count - first)
            self._connection.execute(ENQUEUE_MANY, [names], prepare=True)

    def left(self) -> int:
        row = self._connection.execute(LEFT).fetchone()
        return int(row[0]) if row is not None else 0

    def enqueue_report(self) -> None:
        self._add("report")

    def enqueue_and_wait(self) -> None:
        job = self._add("nothing")
        while self._connection.execute(RESULT, [job], prepare=True).fetchone() is None:
            _wait(self._listener)

    def _add(self, name: str) -> int:
        row = self._connection.execute(ENQUEUE, [name], prepare=True).fetchone()
        return int(row[0]) if row is not None else 0

    def play(self, _game: str, seconds: float) -> list[float]:
        latencies = []
        until = 0.0
        while not until or time.monotonic() < until:
            began = time.monotonic()
            _send(self._connection, "right", BALL)
            _receive(self._connection, self._listener, "left")
            latencies.append(time.monotonic() - began)
            until = until or time.monotonic() + seconds  # the first turn waits for the other player
        _send(self._connection, "right", GAME_OVER)
        return latencies[1:]


def _send(connection: psycopg.Connection, receiver: str, body: int) -> None:
    connection.execute(SEND, [receiver, body], prepare=True)


def _receive(connection: psycopg.Connection, listener: psycopg.Connection, receiver: str) -> int:
    while (row := connection.execute(RECEIVE, [receiver], prepare=True).fetchone()) is None:
        _wait(listener)
    return int(row[0])


def _wait(listener: psycopg.Connection, timeout: float = 1.0) -> None:
    for _ in listener.notifies(timeout=timeout, stop_after=1):
        pass


@contextmanager
def _open(url: str, *channels: str) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    with (
        psycopg.connect(url, autocommit=True) as connection,
        psycopg.connect(url, autocommit=True) as listener,
    ):
        for channel in channels:
            listener.execute(f'LISTEN "{channel}"')
        yield connection, listener


@contextmanager
def floor(url: str) -> Iterator[FloorQueue]:
    with _open(url, "end", "left") as (connection, listener):
        connection.execute(TABLES)
        yield FloorQueue(connection, listener)


def work(url: str, argument: str) -> None:
    with _open(url, "work", "right") as (connection, listener):
        connection.execute("SET enable_seqscan = off")
        workers.gate()
        if argument == "jobs":
            _drain(connection, listener)
        elif argument == "right":
            while _receive(connection, listener, "right") == BALL:
                _send(connection, "left", BALL)


def _drain(connection: psycopg.Connection, listener: psycopg.Connection) -> None:
    done: list[int] = []
    while True:
        found = connection.execute(TURN, [done, BATCH], prepare=True)
        claimed = [row for row in found if row[0] is not None]
        for _, name in claimed:
            if name == "report":
                reports.send()
        if not claimed and not done:
            _wait(listener)
        done = [job for job, _ in claimed]
