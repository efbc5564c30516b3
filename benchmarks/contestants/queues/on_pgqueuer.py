"""PgQueuer on asyncpg and uvloop, as its command line runs it, with batches of 20."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries
from pgqueuer.core.completion import CompletionWatcher

from benchmarks import reports, workers

BATCH = 20
LEFT = "SELECT count(*) FROM pgqueuer"


class PgQueuerQueue:
    """One connection, and an event loop that runs while a verb is performed."""

    worker = f"{__name__}:work"

    def __init__(self, runner: asyncio.Runner, connection: "asyncpg.Connection") -> None:
        self._runner = runner
        self._connection = connection
        self._driver = AsyncpgDriver(connection)
        self._queries = Queries(self._driver)

    def enqueue(self) -> None:
        self._runner.run(self._queries.enqueue("nothing", None))

    def enqueue_many(self, count: int) -> None:
        self._runner.run(self._queries.enqueue(["nothing"] * count, [None] * count, [0] * count))

    def left(self) -> int:
        return int(self._runner.run(self._connection.fetchval(LEFT)))

    def enqueue_report(self) -> None:
        self._runner.run(self._queries.enqueue("report", None))

    def enqueue_and_wait(self) -> None:
        self._runner.run(self._enqueue_and_wait())

    async def _enqueue_and_wait(self) -> None:
        [job] = await self._queries.enqueue("nothing", None)
        async with CompletionWatcher(self._driver, queries=self._queries) as watcher:
            await watcher.wait_for(job)


@contextmanager
def pgqueuer(url: str) -> Iterator[PgQueuerQueue]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        connection = runner.run(asyncpg.connect(url))
        queue = PgQueuerQueue(runner, connection)
        runner.run(Queries(AsyncpgDriver(connection)).install())
        yield queue
        runner.run(connection.close())


def work(url: str, _queue: str) -> None:
    uvloop.run(_work(url))


async def _work(url: str) -> None:
    system = PgQueuer(AsyncpgDriver(await asyncpg.connect(url)))

    @system.entrypoint("nothing")
    async def nothing(_job: Job) -> None:
        """Do nothing."""

    @system.entrypoint("report")
    async def report(_job: Job) -> None:
        reports.send()

    workers.gate()
    await system.run(batch_size=BATCH)
