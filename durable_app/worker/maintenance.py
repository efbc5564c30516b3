"""What keeps the runs going that nobody executes: due times, deadlines, dead workers.

Every worker runs all of it; the database makes each transition happen once.
"""

from collections.abc import Callable
from datetime import timedelta

from durable_app import clock, signals
from durable_app.engine.lease import Lease
from durable_app.incarnation import pid_started, process_space
from durable_app.store import lifecycle, notify, queues, waits, workers
from durable_app.worker.service import Service


class Timers(Service):
    """Makes parked and delayed runs claimable when they are due, to the moment."""

    name = "timers"
    soonest = 0.005

    def __init__(self, interval: float) -> None:
        super().__init__(interval)

    def tick(self) -> float | None:
        """Wake what is due; return the time until the next run is."""
        waits.wake_due()
        queues.release_delayed()
        due = waits.next_due()
        if due is None:
            return None
        left = (due - clock.now()) / timedelta(seconds=1)
        return max(self.soonest, min(left, self.interval))


class Deadlines(Service):
    """Cancels runs past their deadline, whoever executes them."""

    name = "deadlines"

    def tick(self) -> float | None:
        """Cancel what is overdue."""
        cancelled = lifecycle.cancel_overdue()
        notify.bulletin.announce(waits.News("result", one).key for one in cancelled)
        return None


class Recovery(Service):
    """Takes back the runs of dead workers."""

    name = "recovery"

    def __init__(self, interval: float, lease: Callable[[], Lease]) -> None:
        super().__init__(interval)
        self._lease = lease
        self._ticks = 0

    def tick(self) -> float | None:
        """Look for dead neighbours on this host, then for lapsed leases anywhere."""
        self._declare_dead_neighbours()
        lease = self._lease()
        if lease.allows_start:
            for run in workers.recover(by_lease=lease.is_seasoned):
                signals.workflow_recovered.send(
                    sender=None, workflow_id=run.workflow_id, worker=run.worker, status=run.status
                )
        self._ticks += 1
        if self._ticks % 100 == 0:
            workers.forget_ended()
        return None

    def _declare_dead_neighbours(self) -> None:
        """A pid that is gone needs no lease to run out: its runs may be taken at once."""
        for worker_id, pid, started in workers.neighbours(process_space()):
            if started and pid_started(pid) != started:
                workers.stop(worker_id)
