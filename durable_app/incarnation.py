"""A process's presence in the database: registered under a fresh id, renewed by a heartbeat.

A lease that has lapsed is never revived: its runs are dropped here (others may hold them already), and
the process goes on under a new id. The heartbeat has a thread and a connection of its own, which user
code cannot starve.
"""

import atexit
import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import Error

from durable_app import clock, conf, signals
from durable_app.engine import versions
from durable_app.engine.lease import Lease
from durable_app.errors import DurableError
from durable_app.store import compensation, database, workers
from durable_app.store.workers import Registration

logger = logging.getLogger("durable_app")

BEATS_PER_LEASE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What a worker tells of itself: the queues it serves (none: all but those excluded), and its slots."""

    queues: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    slots: int = 0


class Incarnation:
    """Holds a lease for a worker, or for a process that runs workflows by calling them."""

    def __init__(self, *, name: str, kind: str, span: float, app_version: str = "") -> None:
        self.name = name
        self.capacity = Capacity()
        self.kind = kind
        self.app_version = app_version
        self.lease = Lease(span)
        self._span = span
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._suspects: set[int] = set()
        self.on_loss: Callable[[], None] = lambda: None
        self.on_request: Callable[[str], None] = lambda request: None
        """Told what an operator asks of the worker: "quiet" or "stop"."""
        self._request = ""

    def start(self) -> None:
        """Register, and keep the lease alive until ``stop``."""
        self._register()
        self._thread = threading.Thread(target=self._keep_alive, name="durable-heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """End the lease and hand back the runs it still holds; return how many."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        lease = self.lease
        lease.lose()
        released = workers.release(lease.id)
        workers.stop(lease.id)
        return released

    def _register(self) -> None:
        database.retried(database.synchronize_clock)()  # this thread's connection may have died unnoticed
        sent_at = clock.boot_seconds()
        registration = Registration(
            id=self.lease.id,
            name=self.name,
            kind=self.kind,
            hostname=socket.gethostname(),
            process_space=process_space(),
            pid=os.getpid(),
            pid_started=pid_started(os.getpid()) or "",
            app_version=self.app_version,
            queues=self.capacity.queues,
            excluded=self.capacity.excluded,
            slots=self.capacity.slots,
        )
        workers.register(registration, conf.options().LEASE)
        self.lease.renewed(sent_at)

    def _keep_alive(self) -> None:
        try:
            while not self._stopping.wait(self._span / BEATS_PER_LEASE):
                self.beat()
        finally:
            database.close_thread_connections()

    def beat(self) -> None:
        """Renew the lease once; take a new one if it is gone."""
        try:
            sent_at = clock.boot_seconds()
            request = workers.renew(self.lease.id, conf.options().LEASE)
            if request is None:
                self._begin_anew()
            else:
                self.lease.renewed(sent_at)
                self._hand_back_strays()
                self._hear(request)
        except Error as error:
            logger.warning("Heartbeat failed worker=%s error=%s", self.name, error)
            database.close_thread_connections()

    def _begin_anew(self) -> None:
        lost = self.lease
        self.lease = Lease(self._span)
        lost.lose()
        signals.worker_lost.send(sender=None, worker=lost.id)
        workers.stop(lost.id)
        self._register()
        self.on_loss()

    def _hear(self, request: str) -> None:
        if request and request != self._request:
            self._request = request
            self.on_request(request)

    def _hand_back_strays(self) -> None:
        """Hand back runs that are ours in the database and that nobody here executes.

        Two sightings in a row are needed: between a claim and its execution a run is neither.
        """
        seen = set(workers.stray_runs(self.lease.id, list(self.lease.running)))
        strays = seen & self._suspects
        self._suspects = seen - strays
        if strays:
            logger.warning("Runs handed back worker=%s count=%d", self.name, len(strays))
            workers.recover_strays(self.lease.id, strays)
        compensation.let_go_of_others(self.lease.id, list(self.lease.running))


def process_space() -> str:
    """Return where a pid means something: the boot, and the pid namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} {os.getpid()}"  # elsewhere: the lease alone tells


def pid_started(pid: int) -> str | None:
    """Return the kernel's start time of a process; None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in ("Z", "X") else fields[18]


def resident_bytes(space: str, pid: int, started: str) -> int | None:
    """Return the memory of the process that a worker's row names; None if it is not to be seen from here."""
    if space != process_space() or not started or pid_started(pid) != started:
        return None
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# The lease of a process that runs workflows by calling them

_callers: tuple[int, str, Incarnation] | None = None
_guard = threading.Lock()
_UNCONTESTED = Lease(None)


def callers_lease() -> Lease:
    """Return the lease under which this thread may run a workflow itself.

    Inside a test's transaction nobody else can see the run, so nothing is registered.
    """
    if database.joins_caller() or database.in_memory():
        return _UNCONTESTED
    return _callers_incarnation().lease


def known_lease() -> Lease | None:
    """Return the process's own lease if it has one already; looks at memory only."""
    found = _callers
    return found[2].lease if found is not None and found[:2] == _key() else None


def _key() -> tuple[int, str]:
    return os.getpid(), str(database.connection().settings_dict["NAME"])


def _callers_incarnation() -> Incarnation:
    global _callers  # noqa: PLW0603  (one a process, made on first use)
    key = _key()
    if _callers is None or _callers[:2] != key:
        with _guard:
            if _callers is None or _callers[:2] != key:
                _callers = (*key, _start_callers())
    return _callers[2]


def _start_callers() -> Incarnation:
    incarnation = Incarnation(
        name=f"{socket.gethostname()}:{os.getpid()}",
        kind="caller",
        span=conf.options().LEASE.total_seconds(),
        app_version=versions.current(),
    )
    database.call(incarnation.start)
    atexit.register(_at_exit)
    return incarnation


def forget_callers() -> None:
    """End the callers' lease of this process (its exit; tests)."""
    global _callers
    with _guard:
        found, _callers = _callers, None
    if found is not None and found[0] == os.getpid():
        try:
            found[2].stop()
        except (Error, DurableError) as error:
            logger.debug("Lease not ended error=%s", error)


def _at_exit() -> None:
    forget_callers()
    database.close_thread_connections()
