"""How runs are measured that their caller starts: one after another, and many at once."""

import time

from benchmarks.contestants import Contestant
from benchmarks.samples import Sample, measure


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
