"""What a workload is: what is measured, who takes part and what we owe."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from benchmarks.samples import Sample

POSTGRESQL = "postgresql"
SQLITE = "sqlite"


class Kind(Enum):
    """Which figures matter."""

    THROUGHPUT = auto()
    LATENCY = auto()
    IDLE = auto()


@dataclass(frozen=True, kw_only=True)
class Times:
    """We owe to be so many times as fast as another system."""

    times: float
    system: str


@dataclass(frozen=True, kw_only=True)
class AtMost:
    """We owe a figure, named as in `Line`, that is not above this."""

    most: float
    figure: str
    unit: str


Budget = Times | AtMost


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One table of the report.

    Its `drive` turns an open contestant into a `Sample`; a new kind of workload brings a new drive
    function and, if it needs one, a new verb on its contestants.
    """

    group: str
    name: str
    title: str
    unit: str
    drive: Callable[[Any, float], Sample]
    systems: tuple[str, ...]
    baseline: str
    ours: str
    budgets: tuple[Budget, ...] = ()
    floor: str | None = None
    vendor: str = POSTGRESQL
    kind: Kind = Kind.THROUGHPUT

    def speed(self, sample: Sample) -> float:
        """Return the figure by which systems are compared: the more the better."""
        match self.kind:
            case Kind.THROUGHPUT:
                return sample.per_second
            case Kind.LATENCY:
                return 1 / sample.percentile_ms(50)
            case Kind.IDLE:
                return 1 / max(sample.per_second, 0.01)
