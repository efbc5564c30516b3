"""Run every system of every workload in each round, in turns, so that all meet the same weather."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from benchmarks import databases, trial
from benchmarks.samples import Sample
from benchmarks.summary import Results
from benchmarks.workload import POSTGRESQL, Workload

Report = Callable[[str], None]


class Runner:
    """Rounds of trials on scratch databases of one server."""

    def __init__(self, server_url: str, *, seconds: float, report: Report) -> None:
        self._server_url = server_url
        self._seconds = seconds
        self._report = report

    def run(self, workloads: Sequence[Workload], rounds: int) -> list[Results]:
        """Return the results of each workload, in their order."""
        results = [Results(workload=workload) for workload in workloads]
        for number in range(1, rounds + 1):
            for result in results:
                self._report(f"round {number} of {rounds}: {result.workload.name}")
                self._run_round(number, result)
        return results

    def _run_round(self, number: int, results: Results) -> None:
        systems = results.workload.systems
        for system in systems if number % 2 else reversed(systems):  # nobody always goes first
            if system in results.failures:
                continue
            try:
                results.add(number, system, self._try(results.workload, system))
            except trial.TrialError as failure:
                self._report(f"{system} did not run: {failure}")
                results.failures[system] = str(failure)

    def _try(self, workload: Workload, system: str) -> Sample:
        with self._scratch(workload) as url:
            return trial.start(workload, system, self._seconds, url)

    def _scratch(self, workload: Workload) -> AbstractContextManager[str]:
        if workload.vendor == POSTGRESQL:
            return databases.scratch_postgresql(self._server_url)
        return databases.scratch_sqlite()
