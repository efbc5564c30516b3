"""The workloads, as data: what is measured, who takes part and what we owe.

A workload's `drive` turns an open contestant into a `Sample`; a new kind of workload brings a new
drive function and, if it needs one, a new verb on its contestants.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.contestants import Contestant
from benchmarks.samples import Sample, measure

POSTGRESQL = "postgresql"
SQLITE = "sqlite"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One table of the report."""

    group: str
    name: str
    title: str
    unit: str
    drive: Callable[[Contestant, float], Sample]
    systems: tuple[str, ...]
    baseline: str
    ours: str
    budget: float | None
    floor: str | None = None
    vendor: str = POSTGRESQL


def in_sequence(contestant: Contestant, seconds: float, *, steps: int) -> Sample:
    """Run workflows of so many steps one after another in one thread."""

    def turn() -> list[float]:
        began = time.perf_counter()
        contestant.run(steps)
        return [time.perf_counter() - began]

    return measure(turn, units_per_run=steps, seconds=seconds)


def together(contestant: Contestant, seconds: float, *, count: int, steps: int) -> Sample:
    """Run waves of concurrent workflows; each wave starts when the one before is done."""
    return measure(lambda: contestant.run_together(count, steps), units_per_run=steps, seconds=seconds)


FLOORS = ("floor leader", "floor leader+fence")

WORKLOADS = (
    Workload(
        group="W1",
        name="W1",
        title="one workflow with one step, one thread",
        unit="workflows",
        drive=partial(in_sequence, steps=1),
        systems=("dbos", "durable", *FLOORS),
        baseline="dbos",
        ours="durable",
        floor="floor leader+fence",
        budget=4,
    ),
    Workload(
        group="W2",
        name="W2/10",
        title="one workflow with 10 steps, one thread",
        unit="steps",
        drive=partial(in_sequence, steps=10),
        systems=("dbos", "durable", *FLOORS),
        baseline="dbos",
        ours="durable",
        floor="floor leader+fence",
        budget=8,
    ),
    Workload(
        group="W2",
        name="W2/100",
        title="one workflow with 100 steps, one thread",
        unit="steps",
        drive=partial(in_sequence, steps=100),
        systems=("dbos", "durable", *FLOORS),
        baseline="dbos",
        ours="durable",
        floor="floor leader+fence",
        budget=8,
    ),
    Workload(
        group="W3",
        name="W3",
        title="64 concurrent workflows of 10 steps, threads of one process",
        unit="steps",
        drive=partial(together, count=64, steps=10),
        systems=("dbos", "durable", "durable worker", *FLOORS),
        baseline="dbos",
        ours="durable",
        floor="floor leader+fence",
        budget=12,
    ),
    Workload(
        group="W3a",
        name="W3a",
        title="64 concurrent workflows of 10 steps, one event loop",
        unit="steps",
        drive=partial(together, count=64, steps=10),
        systems=("dbos async", "durable async", "floor async"),
        baseline="dbos async",
        ours="durable async",
        floor="floor async",
        budget=15,
    ),
    Workload(
        group="W10",
        name="W10/1",
        title="SQLite: one workflow with one step, one thread",
        unit="workflows",
        drive=partial(in_sequence, steps=1),
        systems=("dbos", "durable"),
        baseline="dbos",
        ours="durable",
        budget=None,
        vendor=SQLITE,
    ),
    Workload(
        group="W10",
        name="W10/10",
        title="SQLite: one workflow with 10 steps, one thread",
        unit="steps",
        drive=partial(in_sequence, steps=10),
        systems=("dbos", "durable"),
        baseline="dbos",
        ours="durable",
        budget=5,
        vendor=SQLITE,
    ),
    Workload(
        group="W10",
        name="W10/16",
        title="SQLite: 16 concurrent workflows of 10 steps, threads of one process",
        unit="steps",
        drive=partial(together, count=16, steps=10),
        systems=("dbos", "durable"),
        baseline="dbos",
        ours="durable",
        budget=10,
        vendor=SQLITE,
    ),
)


def named(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


def in_groups(groups: list[str]) -> list[Workload]:
    """Return the workloads of these groups, in the order of the report."""
    return [workload for workload in WORKLOADS if workload.group in groups]
