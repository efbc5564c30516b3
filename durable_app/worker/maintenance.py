"""What keeps the runs going that nobody executes: due times, deadlines, dead workers.

Every worker runs all of it; the database makes each transition happen once.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from durable_app import clock, exporting, signals
from durable_app.control import alerts
from durable_app.engine.lease import Lease
from durable_app.incarnation import pid_started, process_space
from durable_app.store import (
    audit,
    bulk_operations,
    delays,
    due,
    idempotency,
    lifecycle,
    notify,
    retention,
    waits,
    workers,
)
from durable_app.store.retention import Ended
from durable_app.store.workers import Neighbour
from durable_app.worker.service import Service

READ_EVERY = 3.0
"""Seconds between two statements that look who has died."""


class Timers(Service):
    """Wakes parked runs, releases delayed ones and cancels overdue ones, to the moment.

    Idle, its statement is the only one of a worker's services: ``expect_tick`` is told when the next tick of
    a schedule is, and ``on_ready`` is called while runs are ready for workers.
    """

    name = "timers"
    soonest = 0.005

    def __init__(
        self,
        interval: float,
        *,
        expect_tick: Callable[[datetime | None], None],
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(interval)
        self._expect_tick = expect_tick
        self._on_ready = on_ready

    def tick(self) -> float | None:
        """Do what is due; return the seconds until the next run is."""
        next_at, next_tick, has_requests, has_ready = due.next_due()
        self._expect_tick(next_tick)
        if has_ready:
            self._on_ready()
        if next_at is not None and next_at <= clock.now():
            waits.wake_due()
            delays.release_delayed()
            cancelled = lifecycle.cancel_overdue()
            notify.bulletin.announce(waits.News("result", one).key for one in cancelled)
            next_at = due.next_due().run
        if has_requests:
            lifecycle.cancel_requested()
        if next_at is None:
            return None
        left = (next_at - clock.now()) / timedelta(seconds=1)
        return max(self.soonest, min(left, self.interval))


class Recovery(Service):
    """Takes back the runs of dead workers."""

    name = "recovery"

    def __init__(self, interval: float, lease: Callable[[], Lease]) -> None:
        super().__init__(interval)
        self._lease = lease
        self._ticks = 0
        self._neighbours: list[Neighbour] = []
        self._read_at = float("-inf")

    def tick(self) -> float | None:
        """Look for dead neighbours on this host, and every few seconds for lapsed leases anywhere."""
        if self._somebody_is_dead():
            self.take_back()
            self._read_at = float("-inf")
        self._ticks += 1
        if self._ticks % 100 == 0:
            workers.forget_ended()
            idempotency.forget_old()
        return None

    def take_back(self) -> list[str]:
        """Take back what dead workers held; return the runs' ids."""
        self._declare_dead_neighbours()
        lease = self._lease()
        recovered = workers.recover(by_lease=lease.is_seasoned) if lease.allows_start else []
        for run in recovered:
            signals.workflow_recovered.send(
                sender=None, workflow_id=run.workflow_id, worker=run.worker, status=run.status
            )
        return [run.workflow_id for run in recovered]

    def _somebody_is_dead(self) -> bool:
        """Return whether a worker may have died; a look at pids asks the database nothing."""
        if time.monotonic() - self._read_at > READ_EVERY:
            self._neighbours, self._read_at = workers.neighbours(process_space()), time.monotonic()
        if not self._neighbours:  # not even this worker: its own lease is over
            return True
        return any(one.sees_dead or _is_gone(one) for one in self._neighbours)

    def _declare_dead_neighbours(self) -> None:
        """A pid that is gone needs no lease to run out: its runs may be taken at once."""
        for one in workers.neighbours(process_space()):
            if _is_gone(one):
                workers.stop(one.id)


def _is_gone(neighbour: Neighbour) -> bool:
    return bool(neighbour.pid_started) and pid_started(neighbour.pid) != neighbour.pid_started


class Retention(Service):
    """Deletes runs that ended longer ago than they are kept, a batch at a time."""

    name = "retention"
    batch = 500
    pause = 0.2
    """Seconds between two batches: what is deleted slowly harms nobody."""

    def __init__(self, interval: float, kept: timedelta) -> None:
        super().__init__(interval)
        self._kept = kept
        self._after: tuple[datetime, int] | None = None

    def tick(self) -> float | None:
        """Delete the next batch; return how soon to go on, or begin again after the interval."""
        ended = Ended(before=clock.now() - self._kept)
        found = retention.delete_ended(ended, self.batch, self._after)
        self._after = found.last
        if found.deleted:
            signals.workflows_pruned.send(sender=None, count=found.deleted)
        return None if found.last is None else self.pause


class FileRetention(Service):
    """Deletes the files of exports that ended longer ago than runs are kept: they tell of such runs."""

    name = "file retention"
    batch = 20
    pause = 0.2

    def __init__(self, interval: float, kept: timedelta) -> None:
        super().__init__(interval)
        self._kept = kept

    def tick(self) -> float | None:
        """Delete the next files; return how soon to go on, or begin again after the interval."""
        deleted = exporting.delete_files(clock.now() - self._kept, self.batch)
        return self.pause if deleted == self.batch else None


class AuditRetention(Service):
    """Deletes audit events that are older than they are kept, and bulk operations with them."""

    name = "audit retention"
    batch = 1_000
    pause = 0.2

    def __init__(self, interval: float, kept: timedelta) -> None:
        super().__init__(interval)
        self._kept = kept

    def tick(self) -> float | None:
        """Delete the next batch; return how soon to go on, or begin again after the interval."""
        before = clock.now() - self._kept
        if audit.delete_before(before, self.batch) == self.batch:
            return self.pause
        bulk_operations.delete_before(before)
        return None


class Alerts(Service):
    """Looks whether people should be told of something."""

    name = "alerts"
    has_looked = False

    def tick(self) -> float | None:
        """Start the sending of what is due; first after an interval, when others have started, too."""
        if self.has_looked:
            alerts.send_due()
        self.has_looked = True
        return None
