"""Start what schedules have due, to the moment.

Every worker runs this; the database makes each tick happen once. When the next tick is, the timers' one
statement a second tells, so that a worker with nothing to fire asks nothing.
"""

import logging
import time
from datetime import datetime, timedelta

from durable_app import clock, signals
from durable_app.errors import DurableError
from durable_app.store import ticks
from durable_app.worker.service import JITTER, Service

logger = logging.getLogger("durable_app")

SOONEST = 0.002
"""Seconds a pause takes at least."""

AGAIN = 0.02
"""Seconds until the next look, if ticks are left that are due: another worker may hold their schedule."""

BROKEN_FOR = 60.0
"""Seconds until a schedule that cannot be read here is tried again."""


class Scheduler(Service):
    """Fires due ticks; sleeps until the next one that it has been told of."""

    name = "scheduler"

    def __init__(self, interval: float) -> None:
        super().__init__(interval)
        self._next_at: datetime | None = None
        self._broken: dict[str, float] = {}
        """Until when (by the process's clock) schedules are passed over."""

    def expect(self, next_at: datetime | None) -> None:
        """Take note of when the next tick is; None for never."""
        sooner = next_at is not None and (self._next_at is None or next_at < self._next_at)
        self._next_at = next_at
        if sooner:
            self.wake()

    def tick(self) -> float | None:
        """Fire what is due; return the seconds until the next tick."""
        if self._next_at is not None and self._next_at <= clock.now():
            self._next_at = self._fire()
        next_at = self._next_at
        if next_at is None:
            return None
        left = (next_at - clock.now()) / timedelta(seconds=1)
        if left <= 0:
            return AGAIN
        # A pause may take a share of it longer than asked: the last, short one ends at the tick.
        return max(SOONEST, min(left, self.interval) / (1 + JITTER))

    def _fire(self) -> datetime | None:
        self._broken = {name: until for name, until in self._broken.items() if until > time.monotonic()}
        for name in ticks.due(self._broken):
            self._fire_one(name)
        return ticks.next_at(self._broken)

    def _fire_one(self, name: str) -> None:
        try:
            found = ticks.fire(name)
        except DurableError as error:  # another worker may be able to read it
            logger.error("Schedule cannot be read schedule=%s error=%s", name, error)
            self._broken[name] = time.monotonic() + BROKEN_FOR
            return
        for tick in found:
            signal = signals.tick_started if tick.started else signals.tick_skipped
            signal.send(
                sender=None,
                schedule_name=tick.schedule_name,
                workflow_id=tick.workflow_id,
                scheduled_at=tick.scheduled_at,
            )
