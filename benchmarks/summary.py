"""From the samples of all rounds to the figures of the report."""

import statistics
from dataclasses import dataclass, field

from benchmarks.samples import Sample
from benchmarks.workload import AtMost, Budget, Workload


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
    cpu_percent: float
    times_baseline: Ratio | None
    share_of_floor: Ratio | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a budget: the figure it is about."""

    budget: Budget
    figure: float
    is_met: bool


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

    def verdicts(self) -> list[Verdict]:
        """Return whether we are as fast as we owe, for each budget that was measured."""
        ours = self.workload.ours
        if not self.samples(ours):
            return []
        found = [(budget, self._figure(budget, self._line(ours))) for budget in self.workload.budgets]
        return [_verdict(budget, figure) for budget, figure in found if figure is not None]

    def _figure(self, budget: Budget, line: Line) -> float | None:
        if isinstance(budget, AtMost):
            figure: float = getattr(line, budget.figure)
            return figure
        ratio = self._ratio(line.system, budget.system)
        return None if ratio is None else ratio.median

    def _line(self, system: str) -> Line:
        samples = self.samples(system)
        return Line(
            system=system,
            per_second=statistics.median(sample.per_second for sample in samples),
            p50_ms=statistics.median(sample.percentile_ms(50) for sample in samples),
            p99_ms=statistics.median(sample.percentile_ms(99) for sample in samples),
            cpu_ms_per_unit=statistics.median(sample.cpu_ms_per_unit for sample in samples),
            cpu_percent=statistics.median(sample.cpu_percent for sample in samples),
            times_baseline=self._ratio(system, self.workload.baseline),
            share_of_floor=self._ratio(system, self.workload.floor),
        )

    def _ratio(self, system: str, other: str | None) -> Ratio | None:
        """Compare two systems within each round: the machine's speed swings between rounds."""
        ratios = [
            self.workload.speed(samples[system]) / self.workload.speed(samples[other])
            for samples in self.rounds.values()
            if other is not None and system in samples and other in samples
        ]
        if not ratios:
            return None
        return Ratio(median=statistics.median(ratios), low=min(ratios), high=max(ratios))


def _verdict(budget: Budget, figure: float) -> Verdict:
    is_met = figure <= budget.most if isinstance(budget, AtMost) else figure >= budget.times
    return Verdict(budget=budget, figure=figure, is_met=is_met)
