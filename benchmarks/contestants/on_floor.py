"""The physical floor: the least SQL with the same promises, in raw psycopg.

A run is durable before its first step, a step before the next one, the end before the caller knows.
With the fence, a record lands only while the run is ours, checked under its row lock.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import psycopg
from psycopg.rows import TupleRow

from benchmarks.contestants import crowd
from benchmarks.contestants.group_commit import AsyncGroupCommit, GroupCommit, Record, Row

TABLES = """
CREATE TABLE run (
    id text PRIMARY KEY, name text NOT NULL, status text NOT NULL, owner text NOT NULL,
    input text, output text, created_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz
);
CREATE TABLE step (
    run_id text, position int, name text NOT NULL, output text,
    finished_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run_id, position)
);
"""

START = """
INSERT INTO run (id, name, owner, input, status)
SELECT *, 'PENDING' FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
"""
STEP = """
INSERT INTO step (run_id, position, name, output)
SELECT * FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[])
"""
FENCED_STEP = """
WITH given AS (
    SELECT * FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[])
        AS given (run_id, position, name, output)
), owned AS (
    SELECT id FROM run
    WHERE id IN (SELECT run_id FROM given) AND owner = %s AND status = 'PENDING'
    FOR NO KEY UPDATE
)
INSERT INTO step (run_id, position, name, output)
SELECT given.* FROM given JOIN owned ON owned.id = given.run_id
"""
END = """
UPDATE run SET status = 'SUCCESS', output = given.output, finished_at = now()
FROM unnest(%s::text[], %s::text[], %s::text[]) AS given (id, owner, output)
WHERE run.id = given.id AND run.owner = given.owner AND run.status = 'PENDING'
"""

OWNER = "floor"


class Journal:
    """The one connection, and the statement of each kind of record."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def write(self, batch: list[Record]) -> None:
        """Write a batch in one commit: one round trip when all its records are of one kind."""
        kinds = defaultdict(list)
        for record in batch:
            kinds[record.kind].append(record.row)
        if len(kinds) == 1:
            cursors = [self._send(*item) for item in kinds.items()]
        else:
            with self._connection.pipeline(), self._connection.transaction():
                cursors = [self._send(*item) for item in kinds.items()]
        if sum(cursor.rowcount for cursor in cursors) != len(batch):
            raise RuntimeError("A record did not land.")

    def _send(self, kind: str, rows: list[Row]) -> psycopg.Cursor[TupleRow]:
        columns: list[object] = [list(column) for column in zip(*rows, strict=True)]
        if kind == FENCED_STEP:
            columns.append(OWNER)
        return self._connection.execute(kind, columns, prepare=True)


class Floor:
    """Runs of no-op steps in the calling thread, or on threads."""

    def __init__(self, journal: Journal, pool: ThreadPoolExecutor, step: str) -> None:
        self._commit = GroupCommit(journal.write).commit
        self._pool = pool
        self._step = step

    def run(self, steps: int) -> None:
        run_id = str(uuid.uuid4())
        self._commit(START, (run_id, "chain", OWNER, str(steps)))
        number = 0
        for position in range(steps):
            number += 1
            self._commit(self._step, (run_id, position, "add_one", str(number)))
        self._commit(END, (run_id, OWNER, str(number)))

    def run_together(self, count: int, steps: int) -> list[float]:
        return crowd.on_threads(self._pool, partial(self.run, steps), count)


class AsyncFloor:
    """The same runs as coroutines; one thread writes for all of them."""

    def __init__(self, journal: Journal, thread: ThreadPoolExecutor, runner: asyncio.Runner) -> None:
        self._commit = AsyncGroupCommit(journal.write, thread).commit
        self._runner = runner

    def run(self, steps: int) -> None:
        self._runner.run(self._run(steps))

    def run_together(self, count: int, steps: int) -> list[float]:
        return self._runner.run(crowd.on_loop(partial(self._run, steps), count))

    async def _run(self, steps: int) -> None:
        run_id = str(uuid.uuid4())
        await self._commit(START, (run_id, "chain", OWNER, str(steps)))
        number = 0
        for position in range(steps):
            number += 1
            await self._commit(FENCED_STEP, (run_id, position, "add_one", str(number)))
        await self._commit(END, (run_id, OWNER, str(number)))


@contextmanager
def leader(url: str) -> Iterator[Floor]:
    with _connected(url) as connection, ThreadPoolExecutor(64) as pool:
        yield Floor(Journal(connection), pool, STEP)


@contextmanager
def leader_fence(url: str) -> Iterator[Floor]:
    with _connected(url) as connection, ThreadPoolExecutor(64) as pool:
        yield Floor(Journal(connection), pool, FENCED_STEP)


@contextmanager
def leader_fence_async(url: str) -> Iterator[AsyncFloor]:
    with (
        _connected(url) as connection,
        ThreadPoolExecutor(1) as thread,
        asyncio.Runner() as runner,
    ):
        yield AsyncFloor(Journal(connection), thread, runner)


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)
        # A plan that was made while the tables were small, and kept, would scan them for ever.
        connection.execute("SET enable_seqscan = off")
        yield connection
