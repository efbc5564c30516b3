"""durable_app in a Django project that has nothing else; every setting at its default."""

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import django
from django.core.management import call_command
from django.db import transaction

from benchmarks.contestants import crowd

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
django.setup()

from durable_app import start_workflow, step, workflow  # noqa: E402  (needs the settings)
from durable_app.worker.worker import Worker  # noqa: E402

THREADS = 64


@step
def add_one(number: int) -> int:
    return number + 1


@workflow
def chain(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = add_one(number)
    return number


@step
async def add_one_async(number: int) -> int:
    return number + 1


@workflow
async def chain_async(steps: int) -> int:
    number = 0
    for _ in range(steps):
        number = await add_one_async(number)
    return number


class Durable:
    """Workflows called directly, in the caller's threads."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def run(self, steps: int) -> None:
        chain(steps)

    def run_together(self, count: int, steps: int) -> list[float]:
        return crowd.on_threads(self._pool, partial(chain, steps), count)


class DurableWorker:
    """Workflows started in one transaction and run by a worker in the same process."""

    def run(self, steps: int) -> None:
        start_workflow(chain, steps).get_result()

    def run_together(self, count: int, steps: int) -> list[float]:
        began = time.perf_counter()
        with transaction.atomic():
            handles = [start_workflow(chain, steps) for _ in range(count)]
        latencies = []
        for handle in handles:
            handle.get_result()
            latencies.append(time.perf_counter() - began)
        return latencies


class DurableAsync:
    """Coroutine workflows awaited directly on one event loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def run(self, steps: int) -> None:
        self._runner.run(chain_async(steps))

    def run_together(self, count: int, steps: int) -> list[float]:
        return self._runner.run(crowd.on_loop(partial(chain_async, steps), count))


@contextmanager
def durable(_url: str) -> Iterator[Durable]:
    migrate()
    with ThreadPoolExecutor(THREADS) as pool:
        yield Durable(pool)


@contextmanager
def durable_worker(_url: str) -> Iterator[DurableWorker]:
    migrate()
    with Worker(threads=THREADS):
        yield DurableWorker()


@contextmanager
def durable_async(_url: str) -> Iterator[DurableAsync]:
    migrate()
    with asyncio.Runner() as runner:
        yield DurableAsync(runner)


def migrate() -> None:
    call_command("migrate", verbosity=0)
