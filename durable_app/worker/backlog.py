"""Claimed runs that wait for a slot: as many as begin within a moment, so that short runs wait for no claim.

How many that is, is measured. While runs take long it is none: they stay in the queue, for whoever has
room. Runs that were claimed too many are to be handed back.
"""

import threading
import time
from collections import deque
from typing import NamedTuple

from durable_app.engine.context import Execution
from durable_app.engine.flow import Flow

MOMENT = 0.025
"""Seconds for which runs are claimed ahead: a few times what a claim takes."""

MOST = 250
"""Runs that are claimed ahead at most: so many are counted as crashed if the worker dies."""

TOO_LONG = 0.25
"""Seconds after which a run that still waits goes back."""

SHORTEST_LOOK = 0.001


class Task(NamedTuple):
    """A claimed run, ready to execute."""

    execution: Execution
    flow: Flow[None]


class Backlog:
    """One pool's waiting runs, first come, first served."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[tuple[float, Task]] = deque()
        self._begun = 0
        self._counted = 0
        self._counted_at = time.monotonic()
        self._ahead = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_low(self) -> bool:
        """Whether it is time to claim again."""
        return len(self._waiting) <= self._ahead // 2

    def add(self, task: Task) -> None:
        """Let a run wait."""
        with self._guard:
            self._waiting.append((time.monotonic(), task))

    def take(self) -> Task | None:
        """Return the run that is to begin now, None if there is none."""
        with self._guard:
            if not self._waiting:
                return None
            self._begun += 1
            return self._waiting.popleft()[1]

    def take_back(self, longer_than: float = TOO_LONG) -> list[Task]:
        """Return, and forget, the runs that have waited longer than so many seconds."""
        since = time.monotonic() - longer_than
        found = []
        with self._guard:
            while self._waiting and self._waiting[0][0] <= since:
                found.append(self._waiting.popleft()[1])
        return found

    def ahead(self) -> int:
        """Return how many runs may be claimed beyond the slots: what began lately in such a moment."""
        now, begun = time.monotonic(), self._begun
        elapsed = now - self._counted_at
        if elapsed >= SHORTEST_LOOK:
            self._ahead = min(MOST, int((begun - self._counted) / elapsed * MOMENT))
            self._counted, self._counted_at = begun, now
        return self._ahead
