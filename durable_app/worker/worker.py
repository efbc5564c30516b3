"""A worker: the services that claim, execute, wake and recover runs, started and stopped together."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType

from durable_app import conf, signals
from durable_app.control import alerts
from durable_app.engine import versions
from durable_app.engine.lease import Lease
from durable_app.incarnation import Capacity, Incarnation
from durable_app.registry import registry
from durable_app.store import database, notify, schedules, waits
from durable_app.worker.claimer import Claimer, Patience, Serving
from durable_app.worker.listener import Listener
from durable_app.worker.maintenance import (
    Alerts,
    AuditRetention,
    FileRetention,
    Recovery,
    Retention,
    Timers,
)
from durable_app.worker.pool import EventLoop, Threads
from durable_app.worker.scheduler import Scheduler
from durable_app.worker.service import Service
from durable_app.worker.versions import CodeVersion

logger = logging.getLogger("durable_app")

ALERTS_INTERVAL = 30.0
MAINTENANCE_INTERVAL = 1.0
RECOVERY_INTERVAL = 1.5

UNASKED_LOOK = 10.0
"""Seconds after which the claimer looks at the queues though nobody has told it to."""
RETENTION_INTERVAL = 60.0


class Worker:
    """Executes runs on ``threads`` threads and one event loop, until it is stopped.

    ``async_concurrency`` is how many coroutine runs execute at once, ``serving`` says from which queues it
    takes them, ``fires_schedules`` whether it starts what is due. Two workers may live in one process.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        async_concurrency: int | None = None,
        name: str | None = None,
        serving: Serving | None = None,
        fires_schedules: bool = True,
    ) -> None:
        options = conf.options()
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self.version = CodeVersion(versions.current())
        self.incarnation = Incarnation(
            name=self.name,
            kind="worker",
            span=options.LEASE.total_seconds(),
            app_version=self.version.name,
        )
        self.incarnation.capacity = Capacity(
            queues=tuple(sorted(serving.only)) if serving else (),
            excluded=tuple(sorted(serving.excluded)) if serving else (),
            slots=(threads or options.THREADS) + (async_concurrency or options.ASYNC_CONCURRENCY),
        )
        self.incarnation.on_request = self._obey
        self.asked_to_stop = threading.Event()
        self.claimer = Claimer(
            interval=UNASKED_LOOK,
            lease=self._lease,
            version=self.version,
            patience=Patience(threads=options.PARK_AFTER, coroutines=options.ASYNC_PARK_AFTER),
            serving=serving or Serving(),
        )
        self.threads = Threads(threads or options.THREADS, self.claimer.refill)
        self.loop = EventLoop(async_concurrency or options.ASYNC_CONCURRENCY, self.claimer.refill)
        self.claimer.use(self.threads, self.loop)
        scheduler = Scheduler(MAINTENANCE_INTERVAL)
        self._timers = Timers(
            min(MAINTENANCE_INTERVAL, options.POLL_INTERVAL.total_seconds()),
            expect_tick=scheduler.expect,
            on_ready=self.claimer.poll,
        )
        self.recovery = Recovery(RECOVERY_INTERVAL, self._lease)
        self._services: list[Service] = [self.claimer, self._timers, self.recovery]
        if fires_schedules:
            self._services.append(scheduler)
        self._services += _retentions(options)
        if not alerts.rules().is_off:
            self._services.append(Alerts(ALERTS_INTERVAL))
        self._subscriptions = ExitStack()
        self._stopped = threading.Event()

    def _lease(self) -> Lease:
        return self.incarnation.lease

    def start(self) -> "Worker":
        """Register, wake what waits for new code, and start the services."""
        self.incarnation.start()
        signals.worker_started.send(sender=None, worker=self.incarnation.lease.id, name=self.name)
        self.version.register()
        waits.wake_blocked()
        self.declare()
        wake: Callable[[], None] = self._wake_all
        self._subscriptions.enter_context(notify.bulletin.subscribed([notify.WORK], wake))
        self._subscriptions.enter_context(
            notify.bulletin.subscribed([notify.VERSIONS], self._look_at_versions)
        )
        self._subscriptions.enter_context(notify.bulletin.subscribed([notify.DUE], self._timers.wake))
        if database.is_postgres() and not database.is_pooled():
            self._services.append(Listener(MAINTENANCE_INTERVAL))
        for service in self._services:
            service.start()
        return self

    def declare(self) -> None:
        """Take over the queues and schedules that the code declares, perhaps since the start."""
        self.claimer.declarations.tell()
        self._declare_schedules()

    def _declare_schedules(self) -> None:
        """Take over what the code declares; older code that starts again takes nothing back."""
        if self.version.takes_unversioned:
            schedules.declare([declared.definition for declared in registry.schedules.values()])

    def _obey(self, request: str) -> None:
        """Do what an operator asks: take no more runs, and then (but not now: the caller does) stop."""
        logger.info("Worker asked to %s worker=%s", request, self.name)
        self.claimer.accepting = False
        if request == "stop":
            self.asked_to_stop.set()

    def _wake_all(self) -> None:
        self.claimer.wake()

    def _look_at_versions(self) -> None:
        self.version.outdate()
        self.claimer.wake()

    @property
    def busy(self) -> int:
        """How many runs execute now."""
        return self.claimer.busy

    @property
    def executed(self) -> int:
        """How many runs it has executed, each until it ended or parked."""
        return self.claimer.executed

    @property
    def is_well(self) -> bool:
        """Whether it can execute runs: its lease is valid, and all of its services live."""
        return self._lease().allows_start and all(service.is_running for service in self._services)

    def run_until_idle(self, timeout: float | None = None) -> bool:
        """Block until nothing is ready or executing; False if that took more than ``timeout`` seconds.

        Runs of workflows that this process does not know are not waited for.
        """
        give_up_at = None if timeout is None else time.monotonic() + timeout
        while True:
            if self.claimer.is_idle():
                return True
            if give_up_at is not None and time.monotonic() > give_up_at:
                return False
            time.sleep(0.02)

    def quiet(self) -> None:
        """Claim nothing more; what executes goes on, and parks if it only waits."""
        self.claimer.accepting = False
        self._subscriptions.close()
        self.claimer.stop()
        self.claimer.join(5)
        self.claimer.hand_back()
        self.incarnation.lease.draining = True
        notify.bulletin.announce([notify.EVERYTHING])

    def stop(self, grace: float | None = None) -> int:
        """Claim nothing more, let runs end for ``grace`` seconds, hand back the rest.

        Returns how many runs were handed back.
        """
        if self._stopped.is_set():
            return 0
        self._stopped.set()
        if grace is None:
            grace = conf.options().GRACEFUL_TIMEOUT.total_seconds()
        give_up_at = time.monotonic() + grace
        self.quiet()
        for pool in (self.threads, self.loop):
            pool.slots.wait_until_idle(max(0.0, give_up_at - time.monotonic()))
        released = self._end()
        signals.worker_stopped.send(sender=None, worker=self.incarnation.lease.id, released=released)
        return released

    def _end(self) -> int:
        self.incarnation.lease.lose()
        self.threads.shut_down()
        self.loop.shut_down()
        for service in self._services:
            service.stop()
        for service in self._services:
            service.join(5)
        return self.incarnation.stop()

    def __enter__(self) -> "Worker":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(grace=10)


def _retentions(options: conf.Options) -> Iterator[Service]:
    if options.RETENTION is not None:
        yield Retention(RETENTION_INTERVAL, options.RETENTION)
        yield FileRetention(RETENTION_INTERVAL, options.RETENTION)
    if options.AUDIT_RETENTION is not None:
        yield AuditRetention(RETENTION_INTERVAL, options.AUDIT_RETENTION)
