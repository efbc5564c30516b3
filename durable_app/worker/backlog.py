"""Claimed runs that wait for a slot: as many as begin within a moment, so that short runs wait for no claim.

How many that is follows from how long runs take. Where that is longer than a moment it is none: they stay
in the queue, for whoever has room. Those that wait longer than expected are to be handed back.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from durable_app.engine.context import Execution
from durable_app.engine.flow import Flow

MOMENT = 0.025
"""Seconds for which runs are claimed ahead, a few times what a claim takes; longer ones never are."""

MOST = 250
"""Runs that are claimed ahead at most: so many are counted as crashed if the worker dies."""

TOO_LONG = 0.25
"""Seconds after which a run that still waits goes back."""

WEIGHT = 0.1
"""Of the last run in the average of how long runs take."""

SHORTEST = 0.0001


class Task(NamedTuple):
    """A claimed run, ready to execute."""

    execution: Execution
    flow: Flow[None]


class Backlog:
    """The waiting runs of a pool with so many slots, first come, first served."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._guard = threading.Lock()
        self._waiting: deque[tuple[float, Task]] = deque()
        self._average = TOO_LONG
        self.executed = 0
        """How many runs have occupied a slot, and left it."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_low(self) -> bool:
        """Whether it is time to claim again."""
        return len(self._waiting) <= self.ahead // 2

    @property
    def ahead(self) -> int:
        """How many runs may be claimed beyond the slots: as many as will end within a moment."""
        if self._average > MOMENT:
            return 0
        return min(MOST, int(self._slots * MOMENT / self._average))

    def note(self, seconds: float) -> None:
        """Take note of how long a run has occupied its slot."""
        self.executed += 1  # without a lock: a lost count of one harms nobody
        self._average += WEIGHT * (max(seconds, SHORTEST) - self._average)

    def add(self, tasks: Iterable[Task]) -> None:
        """Let runs wait."""
        now = time.monotonic()
        with self._guard:
            self._waiting.extend((now, task) for task in tasks)

    def take(self) -> Task | None:
        """Return the run that is to begin now, None if there is none."""
        with self._guard:
            return self._waiting.popleft()[1] if self._waiting else None

    def take_back(self, longer_than: float = TOO_LONG) -> list[Task]:
        """Return, and forget, the runs that have waited longer than so many seconds."""
        since = time.monotonic() - longer_than
        found = []
        with self._guard:
            while self._waiting and self._waiting[0][0] <= since:
                found.append(self._waiting.popleft()[1])
        if found:
            self._average = TOO_LONG  # that many was wrong
        return found
