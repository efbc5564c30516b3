"""What runs of `tests.shop.queues` wrote down, and how many of them executed at once."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One begin or end of a run's step."""

    workflow_id: str
    key: str
    what: str
    pid: int
    at: int


def lines(folder: Path) -> list[Line]:
    """Return all lines, in order of their times."""
    path = folder / "lines"
    if not path.exists():
        return []
    found = [line.split() for line in path.read_text().splitlines()]
    return sorted(
        (Line(run, key, what, int(pid), int(at)) for run, key, what, pid, at in found),
        key=lambda line: line.at,
    )


def begun(folder: Path) -> list[str]:
    """Return the keys in the order in which their runs began."""
    return [line.key for line in lines(folder) if line.what == "begins"]


def ended(folder: Path) -> int:
    return sum(line.what == "ends" for line in lines(folder))


def most_at_once(found: Iterable[Line], by: Callable[[Line], object] = lambda line: "all") -> int:
    """Return how many executed at once at the most, in any group."""
    running: Counter[object] = Counter()
    most = 0
    for line in found:
        running[by(line)] += 1 if line.what == "begins" else -1
        most = max(most, running[by(line)])
    return most


def most_in_any_window(times: Iterable[datetime], period: timedelta) -> int:
    """Return how many of the times lie in one half-open window at the most."""
    ordered = sorted(times)
    return max(
        (sum(first <= time < first + period for time in ordered) for first in ordered),
        default=0,
    )
