"""From the samples of all rounds to the figures of the report."""

import statistics
from dataclasses import dataclass, field

from benchmarks.samples import Sample
from benchmarks.workloads import Workload


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How often one system does what another does once, round by round."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """The figures of one system: medians over the rounds."""

    system: str
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_unit: float
    times_baseline: Ratio | None
    share_of_floor: Ratio | None


@dataclass(kw_only=True)
class Results:
    """What the trials of one workload measured: a sample a round, or why there is none."""

    workload: Workload
    rounds: dict[int, dict[str, Sample]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, number: int, system: str, sample: Sample) -> None:
        self.rounds.setdefault(number, {})[system] = sample

    def lines(self) -> list[Line]:
        """Return a line for each system that ran, in the workload's order."""
        return [self._line(system) for system in self.workload.systems if self.samples(system)]

    def samples(self, system: str) -> list[Sample]:
        return [samples[system] for samples in self.rounds.values() if system in samples]

    def budget_is_met(self) -> bool | None:
        """Tell whether we are as fast as we owe, or None if that was not measured."""
        ratio = self._ratio(self.workload.ours, self.workload.baseline)
        if ratio is None or self.workload.budget is None:
            return None
        return ratio.median >= self.workload.budget

    def _line(self, system: str) -> Line:
        samples = self.samples(system)
        return Line(
            system=system,
            per_second=statistics.median(sample.per_second for sample in samples),
            p50_ms=statistics.median(sample.percentile_ms(50) for sample in samples),
            p99_ms=statistics.median(sample.percentile_ms(99) for sample in samples),
            cpu_ms_per_unit=statistics.median(sample.cpu_ms_per_unit for sample in samples),
            times_baseline=self._ratio(system, self.workload.baseline),
            share_of_floor=self._ratio(system, self.workload.floor),
        )

    def _ratio(self, system: str, other: str | None) -> Ratio | None:
        """Compare two systems within each round: the machine's speed swings between rounds."""
        ratios = [
            samples[system].per_second / samples[other].per_second
            for samples in self.rounds.values()
            if other is not None and system in samples and other in samples
        ]
        if not ratios:
            return None
        return Ratio(median=statistics.median(ratios), low=min(ratios), high=max(ratios))
