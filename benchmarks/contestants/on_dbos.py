"""DBOS as it comes: default pool, default settings, workflows started as its documentation does."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

if sqlite3.sqlite_version_info < (3, 42):
    # DBOS needs unixepoch('subsec'); without this swap its launch ends in a NOT NULL error.
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3

from dbos import DBOS

from benchmarks.contestants import crowd


@DBOS.step()
def add_one(number: int) -> int:
    return number + 1


@DBOS.workflow()
def chain(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = add_one(number)
    return number


@DBOS.step()
async def add_one_async(number: int) -> int:
    return number + 1


@DBOS.workflow()
async def chain_async(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = await add_one_async(number)
    return number


class Dbos:
    """Workflows called directly, and `start_workflow` for many at once."""

    def run(self, steps: int) -> None:
        chain(steps)

    def run_together(self, count: int, steps: int) -> list[float]:
        began = time.perf_counter()
        handles = [DBOS.start_workflow(chain, steps) for _ in range(count)]
        latencies = []
        for handle in handles:
            handle.get_result()
            latencies.append(time.perf_counter() - began)
        return latencies


class DbosAsync:
    """Coroutine workflows on one event loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def run(self, steps: int) -> None:
        self._runner.run(chain_async(steps))

    def run_together(self, count: int, steps: int) -> list[float]:
        return self._runner.run(crowd.on_loop(partial(_start_and_wait, steps), count))


async def _start_and_wait(steps: int) -> int:
    handle = await DBOS.start_workflow_async(chain_async, steps)
    return await handle.get_result()


@contextmanager
def dbos(url: str) -> Iterator[Dbos]:
    with _launched(url):
        yield Dbos()


@contextmanager
def dbos_async(url: str) -> Iterator[DbosAsync]:
    with _launched(url), asyncio.Runner() as runner:
        yield DbosAsync(runner)


@contextmanager
def _launched(url: str) -> Iterator[None]:
    DBOS(config={"name": "benchmark", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
    try:
        yield
    finally:
        DBOS.destroy()
