"""What one trial measured, and how a trial measures it."""

import math
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Sample:
    """The raw figures of one trial: one system, one workload, one round.

    The processor time is that of the processes that do the work: the trial's own, or its workers'.
    """

    units: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.units / self.seconds

    @property
    def cpu_ms_per_unit(self) -> float:
        return 1000 * self.cpu_seconds / self.units if self.units else math.nan

    @property
    def cpu_percent(self) -> float:
        return 100 * self.cpu_seconds / self.seconds

    def percentile_ms(self, percent: int) -> float:
        """Return the latency in ms that so many percent stay under; NaN if none was taken."""
        if not self.latencies:
            return math.nan
        if len(self.latencies) == 1:
            return 1000 * self.latencies[0]
        cuts = statistics.quantiles(self.latencies, n=100, method="inclusive")
        return 1000 * cuts[percent - 1]


def measure(turn: Callable[[], list[float]], *, units_per_run: int, seconds: float) -> Sample:
    """Take turns for about so many seconds; a turn returns the latency of each workflow it ran."""
    turn()  # not counted: it connects, prepares statements and fills caches
    sample = Sample()
    with _stopwatch(sample) as elapsed:
        while elapsed() < seconds:
            sample.latencies += turn()
    sample.units = units_per_run * len(sample.latencies)
    return sample


@contextmanager
def _stopwatch(sample: Sample) -> Iterator[Callable[[], float]]:
    began, cpu_began = time.perf_counter(), _cpu_seconds()
    yield lambda: time.perf_counter() - began
    sample.seconds = time.perf_counter() - began
    sample.cpu_seconds = _cpu_seconds() - cpu_began


def _cpu_seconds() -> float:
    """Return the processor time of this process, all its threads included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
