"""Who takes part. Each system is imported only in the process of its own trial."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol, cast


class Contestant(Protocol):
    """A system that is open for runs which their caller starts; for the others see `queues`."""

    def run(self, steps: int) -> None:
        """Run one workflow of so many steps and wait for its end."""

    def run_together(self, count: int, steps: int) -> list[float]:
        """Run so many workflows at once; return how long each took from the common start."""


Launch = Callable[[str], AbstractContextManager[Any]]

SYSTEMS = {
    "dbos": "benchmarks.contestants.on_dbos:dbos",
    "dbos async": "benchmarks.contestants.on_dbos:dbos_async",
    "durable": "benchmarks.contestants.on_durable:durable",
    "durable worker": "benchmarks.contestants.on_durable:durable_worker",
    "durable async": "benchmarks.contestants.on_durable:durable_async",
    "floor leader": "benchmarks.contestants.on_floor:leader",
    "floor leader+fence": "benchmarks.contestants.on_floor:leader_fence",
    "floor async": "benchmarks.contestants.on_floor:leader_fence_async",
    "dbos queue": "benchmarks.contestants.queues.on_dbos:dbos",
    "dbos queue, eager": "benchmarks.contestants.queues.on_dbos:dbos_eager",
    "procrastinate": "benchmarks.contestants.queues.on_procrastinate:procrastinate",
    "pgqueuer": "benchmarks.contestants.queues.on_pgqueuer:pgqueuer",
    "durable queue": "benchmarks.contestants.queues.on_durable:durable",
    "durable queue async": "benchmarks.contestants.queues.on_durable:durable_async",
    "floor queue": "benchmarks.contestants.queues.on_floor:floor",
}


def launch(system: str, url: str) -> AbstractContextManager[Any]:
    """Open a system on an empty database."""
    module, function = SYSTEMS[system].split(":")
    return cast(Launch, getattr(import_module(module), function))(url)
