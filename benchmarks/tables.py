"""Print the results for people (a table a workload) and for programs (JSON)."""

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.summary import Line, Ratio, Results

HEADINGS = ("per second", "p50 ms", "p99 ms", "CPU ms", "x DBOS (range)", "% of floor (range)")
WIDTHS = (10, 9, 9, 8, 20, 20)


def table(results: Results) -> str:
    """Lay out one workload's results."""
    workload = results.workload
    width = max(len(system) for system in workload.systems)
    unit = workload.unit.removesuffix("s")
    lines = [
        f"{workload.name}: {workload.title}",
        f"  ({workload.unit} per second; p50 and p99 of a workflow; Python CPU ms of a {unit})",
        _row("", HEADINGS, width),
        *(_row(line.system, _cells(line), width) for line in results.lines()),
        *(f"{system} did not run: {reason}" for system, reason in results.failures.items()),
    ]
    return "\n".join(lines + _verdict(results))


def machine(server: str) -> str:
    """Name what the figures were taken on."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{server}; Python {platform.python_version()}; {os.cpu_count()} cores; load {load}"


def write_json(path: Path, all_results: list[Results], server: str) -> None:
    """Write every figure, the samples of single rounds included, latencies excluded."""
    report = {"machine": machine(server), "workloads": [_as_data(item) for item in all_results]}
    path.write_text(json.dumps(report, indent=2) + "\n")


def _row(name: str, cells: tuple[str, ...], width: int) -> str:
    columns = (cell.rjust(size) for cell, size in zip(cells, WIDTHS, strict=True))
    return f"  {name.ljust(width)}{' '.join(columns)}"


def _cells(line: Line) -> tuple[str, ...]:
    return (
        f"{line.per_second:,.0f}",
        f"{line.p50_ms:,.2f}",
        f"{line.p99_ms:,.2f}",
        f"{line.cpu_ms_per_unit:.3f}",
        _ratio(line.times_baseline, scale=1, digits=1),
        _ratio(line.share_of_floor, scale=100, digits=0),
    )


def _ratio(ratio: Ratio | None, *, scale: float, digits: int) -> str:
    if ratio is None:
        return "-"
    median, low, high = (f"{scale * value:.{digits}f}" for value in (ratio.median, ratio.low, ratio.high))
    return f"{median} ({low}-{high})"


def _verdict(results: Results) -> list[str]:
    met = results.budget_is_met()
    if met is None:
        return []
    workload = results.workload
    word = "met" if met else "missed"
    return [f"  budget of {workload.ours}: {workload.budget:g} x {workload.baseline}: {word}"]


def _as_data(results: Results) -> dict[str, Any]:
    workload = results.workload
    return {
        "name": workload.name,
        "title": workload.title,
        "unit": workload.unit,
        "budget": workload.budget,
        "budget_is_met": results.budget_is_met(),
        "systems": [asdict(line) for line in results.lines()],
        "per_second_by_round": {
            system: [sample.per_second for sample in results.samples(system)] for system in workload.systems
        },
        "failures": results.failures,
    }
