"""What keeps the runs going that nobody executes: due times, deadlines, dead workers.

Every worker runs all of it; the database makes each transition happen once.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from durable_app import clock, signals
from durable_app.control import alerts
from durable_app.engine.lease import Lease
from durable_app.incarnation import pid_started, process_space
from durable_app.store import delays, due, lifecycle, notify, waits, workers
from durable_app.worker.service import Service


class Timers(Service):
    """Wakes parked runs, releases delayed ones and cancels overdue ones, to the moment.

    ``expect_tick`` is told when the next tick of a schedule is, so that nobody else need ask.
    """

    name = "timers"
    soonest = 0.005

    def __init__(self, interval: float, expect_tick: Callable[[datetime | None], None]) -> None:
        super().__init__(interval)
        self._expect_tick = expect_tick

    def tick(self) -> float | None:
        """Do what is due; return the seconds until the next run is. Idle, this is one statement."""
        next_at, next_tick = due.next_due()
        self._expect_tick(next_tick)
        if next_at is not None and next_at <= clock.now():
            waits.wake_due()
            delays.release_delayed()
            cancelled = lifecycle.cancel_overdue()
            notify.bulletin.announce(waits.News("result", one).key for one in cancelled)
            next_at = due.next_due().run
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

    def tick(self) -> float | None:
        """Look for dead neighbours on this host, then for lapsed leases anywhere."""
        self.take_back()
        self._ticks += 1
        if self._ticks % 100 == 0:
            workers.forget_ended()
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

    def _declare_dead_neighbours(self) -> None:
        """A pid that is gone needs no lease to run out: its runs may be taken at once."""
        for worker_id, pid, started in workers.neighbours(process_space()):
            if started and pid_started(pid) != started:
                workers.stop(worker_id)


class Alerts(Service):
    """Looks whether people should be told of something."""

    name = "alerts"

    def tick(self) -> float | None:
        """Start the sending of what is due."""
        alerts.send_due()
        return None
