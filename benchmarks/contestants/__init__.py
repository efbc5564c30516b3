"""Who takes part. Each system is imported only in the process of its own trial."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Protocol, cast


class Contestant(Protocol):
    """A system that is open for work."""

    def run(self, steps: int) -> None:
        """Run one workflow of so many steps and wait for its end."""

    def run_together(self, count: int, steps: int) -> list[float]:
        """Run so many workflows at once; return how long each took from the common start."""


Launch = Callable[[str], AbstractContextManager[Contestant]]

SYSTEMS = {
    "dbos": "benchmarks.contestants.on_dbos:dbos",
    "dbos async": "benchmarks.contestants.on_dbos:dbos_async",
    "durable": "benchmarks.contestants.on_durable:durable",
    "durable worker": "benchmarks.contestants.on_durable:durable_worker",
    "durable async": "benchmarks.contestants.on_durable:durable_async",
    "floor leader": "benchmarks.contestants.on_floor:leader",
    "floor leader+fence": "benchmarks.contestants.on_floor:leader_fence",
    "floor async": "benchmarks.contestants.on_floor:leader_fence_async",
}


def launch(system: str, url: str) -> AbstractContextManager[Contestant]:
    """Open a system on an empty database."""
    module, function = SYSTEMS[system].split(":")
    return cast(Launch, getattr(import_module(module), function))(url)
