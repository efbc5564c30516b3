"""Procrastinate with its psycopg connector; a worker runs 20 jobs at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks import reports, workers

CONCURRENCY = 20
LEFT = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"


class ProcrastinateQueue:
    """The queue through the synchronous connector, as a web application has it."""

    worker = f"{__name__}:work"

    def __init__(self, app: App, connection: psycopg.Connection) -> None:
        self._nothing = app.configure_task("nothing")
        self._report = app.configure_task("report")
        self._connection = connection

    def enqueue(self) -> None:
        self._nothing.defer()

    def enqueue_many(self, count: int) -> None:
        self._nothing.batch_defer(*[{}] * count)

    def left(self) -> int:
        row = self._connection.execute(LEFT).fetchone()
        return int(row[0]) if row is not None else 0

    def enqueue_report(self) -> None:
        self._report.defer()


@contextmanager
def procrastinate(url: str) -> Iterator[ProcrastinateQueue]:
    app = App(connector=SyncPsycopgConnector(conninfo=url))
    with app.open(), psycopg.connect(url, autocommit=True) as connection:
        app.schema_manager.apply_schema()
        yield ProcrastinateQueue(app, connection)


def work(url: str, _queue: str) -> None:
    asyncio.run(_work(url))


async def _work(url: str) -> None:
    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="nothing")
    async def nothing() -> None:
        """Do nothing."""

    @app.task(name="report")
    async def report() -> None:
        reports.send()

    async with app.open_async():
        workers.gate()
        await app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
