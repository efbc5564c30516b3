"""Print the results for people (a table a workload) and for programs (JSON)."""

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.summary import Line, Ratio, Results, Verdict
from benchmarks.workload import AtMost, Kind

Cells = dict[str, Callable[[Line], str]]

RATIOS: Cells = {
    "x {baseline} (range)": lambda line: _ratio(line.times_baseline, scale=1, digits=1),
    "% of floor (range)": lambda line: _ratio(line.share_of_floor, scale=100, digits=0),
}
COLUMNS: dict[Kind, Cells] = {
    Kind.THROUGHPUT: {
        "per second": lambda line: f"{line.per_second:,.0f}",
        "p50 ms": lambda line: f"{line.p50_ms:,.2f}",
        "p99 ms": lambda line: f"{line.p99_ms:,.2f}",
        "CPU ms": lambda line: f"{line.cpu_ms_per_unit:.3f}",
        **RATIOS,
    },
    Kind.LATENCY: {
        "p50 ms": lambda line: f"{line.p50_ms:,.2f}",
        "p99 ms": lambda line: f"{line.p99_ms:,.2f}",
        "CPU ms": lambda line: f"{line.cpu_ms_per_unit:.3f}",
        **RATIOS,
    },
    Kind.IDLE: {
        "per second": lambda line: f"{line.per_second:,.1f}",
        "CPU %": lambda line: f"{line.cpu_percent:.2f}",
        **RATIOS,
    },
}
NOTES = {
    Kind.THROUGHPUT: "{units} per second; p50 and p99 of a call; Python CPU ms of a {unit}",
    Kind.LATENCY: "{units}: p50 and p99; Python CPU ms of the workers for each; ratios of p50",
    Kind.IDLE: "{units} per second; Python CPU in percent of a core; ratios of {units}",
}


def table(results: Results) -> str:
    """Lay out one workload's results."""
    workload = results.workload
    columns = COLUMNS[workload.kind]
    rows = [["", *(heading.format(baseline=workload.baseline) for heading in columns)]]
    rows += [[line.system, *(cell(line) for cell in columns.values())] for line in results.lines()]
    note = NOTES[workload.kind].format(units=workload.unit, unit=workload.unit.removesuffix("s"))
    return "\n".join(
        [
            f"{workload.name}: {workload.title}",
            f"  ({note})",
            *_laid_out(rows),
            *(f"  {system} did not run: {reason}" for system, reason in results.failures.items()),
            *(f"  budget of {workload.ours}: {_said(verdict)}" for verdict in results.verdicts()),
        ]
    )


def _laid_out(rows: list[list[str]]) -> list[str]:
    """Align the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def _said(verdict: Verdict) -> str:
    budget = verdict.budget
    word = "met" if verdict.is_met else "missed"
    if isinstance(budget, AtMost):
        return f"at most {budget.most:g} {budget.unit}: {word} ({verdict.figure:.2g})"
    return f"{budget.times:g} x {budget.system}: {word} ({verdict.figure:.1f})"


def machine(server: str) -> str:
    """Name what the figures were taken on."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{server}; Python {platform.python_version()}; {os.cpu_count()} cores; load {load}"


def write_json(path: Path, all_results: list[Results], server: str) -> None:
    """Write every figure, the samples of single rounds included, latencies excluded."""
    report = {"machine": machine(server), "workloads": [_as_data(item) for item in all_results]}
    path.write_text(json.dumps(report, indent=2) + "\n")


def _ratio(ratio: Ratio | None, *, scale: float, digits: int) -> str:
    if ratio is None:
        return "-"
    median, low, high = (f"{scale * value:.{digits}f}" for value in (ratio.median, ratio.low, ratio.high))
    return f"{median} ({low}-{high})"


def _as_data(results: Results) -> dict[str, Any]:
    workload = results.workload
    return {
        "name": workload.name,
        "title": workload.title,
        "unit": workload.unit,
        "verdicts": [asdict(verdict) for verdict in results.verdicts()],
        "systems": [asdict(line) for line in results.lines()],
        "per_second_by_round": {
            system: [sample.per_second for sample in results.samples(system)] for system in workload.systems
        },
        "failures": results.failures,
    }
