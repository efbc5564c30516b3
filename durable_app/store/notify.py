"""Wake-ups: hints that save a poll. Correctness never rests on them.

``Bulletin`` wakes waiters of this process; on PostgreSQL one NOTIFY a few milliseconds at most carries
the keys to listening workers (each notifying commit takes a lock of the whole cluster).
"""

import asyncio
import atexit
import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from durable_app.store import database

logger = logging.getLogger("durable_app")

WORK = "work"
"""Key of "there is a run to claim"."""

DUE = "due"
"""Key of "the time has been set at which a run is due"."""

VERSIONS = "versions"
"""Key of "another version of the code may be the latest"."""

COALESCE = 0.004
"""Seconds between two NOTIFYs of a process."""

QUIET = 5.0
"""Seconds without news after which the thread ends that carries them."""

LONGEST_PAYLOAD = 7_000
"""Bytes; PostgreSQL refuses 8,000. Beyond it workers are told to look at everything."""

EVERYTHING = "*"

LOOK = 1.0
"""Seconds between two looks of a listening thread whether it shall end."""


class Bulletin:
    """Who in this process waits for which key."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, set[Callable[[], None]]] = defaultdict(set)

    @contextlib.contextmanager
    def subscribed(self, keys: Iterable[str], callback: Callable[[], None]) -> Iterator[None]:
        """Call back, from any thread, whenever one of the keys is announced."""
        names = list(keys)
        with self._guard:
            for key in names:
                self._waiting[key].add(callback)
        try:
            yield
        finally:
            with self._guard:
                for key in names:
                    self._waiting[key].discard(callback)
                    if not self._waiting[key]:
                        del self._waiting[key]

    def announce(self, keys: Iterable[str]) -> None:
        """Wake this process's waiters."""
        with self._guard:
            found: set[Callable[[], None]] = set()
            for key in keys:
                if key == EVERYTHING:
                    found.update(*self._waiting.values())
                elif key in self._waiting:
                    found |= self._waiting[key]
        for callback in found:
            callback()


bulletin = Bulletin()


class Ear:
    """Hears keys from its opening to its end, also what is announced between two waits."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = list(keys)
        self._heard = threading.Event()
        self._waker: Callable[[], None] | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator["Ear"]:
        """Listen in this block."""
        with bulletin.subscribed(self._keys, self._hear):
            yield self

    def _hear(self) -> None:
        self._heard.set()
        if (waker := self._waker) is not None:
            waker()

    def wait(self, timeout: float) -> None:
        """Block until a key was announced since the last wait, or ``timeout`` seconds have passed."""
        self._heard.wait(timeout)
        self._heard.clear()

    async def await_news(self, timeout: float) -> None:
        """Pause the coroutine until a key was announced since the last wait, or for ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(woken.set)

        self._waker = wake  # first: what is heard from now on wakes, what was heard before is seen below
        try:
            if not self._heard.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), timeout)
        finally:
            self._waker = None
            self._heard.clear()


class Notifier:
    """Carries keys to other processes, coalesced; its thread runs only while there is something to say."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._pending: set[str] = set()
        self._running = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, keys: Iterable[str]) -> None:
        with self._news:
            self._pending.update(keys)
            self._news.notify()
            if self._running or not self._pending:
                return
            self._running = True
            self._thread = threading.Thread(target=self._run, name="durable-notifier", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Say what is left to say, and end the thread."""
        with self._news:
            self._closing, thread = True, self._thread
            self._news.notify()
        if thread is not None:
            thread.join(timeout=5)

    def _run(self) -> None:
        while keys := self._next():
            self._send(keys)
            time.sleep(COALESCE)

    def _next(self) -> set[str]:
        """Return what is to be said, once there is something; nothing if the thread is to end."""
        with self._news:
            self._news.wait_for(lambda: self._pending or self._closing, QUIET)
            keys, self._pending = self._pending, set()
            self._running = bool(keys)
        return keys

    def _send(self, keys: set[str]) -> None:
        payload = "\n".join(keys)
        if len(payload.encode()) > LONGEST_PAYLOAD:
            payload = EVERYTHING
        try:
            database.committer().exclusively(lambda writer: writer.notify(payload))
        except Exception as error:  # noqa: BLE001  (a hint; polling finds what it would have said)
            logger.debug("NOTIFY not sent error=%s", error)


_notifiers: dict[int, Notifier] = {}


def announce(*keys: str) -> None:
    """Wake whoever waits for these keys, here and in listening processes."""
    bulletin.announce(keys)
    if database.is_postgres():
        _notifiers.setdefault(os.getpid(), Notifier()).add(keys)


@atexit.register  # before the database's connections are closed: what is registered last comes first
def close() -> None:
    """Say what is left to say, and end this process's notifier; the next announcement starts another."""
    notifier = _notifiers.pop(os.getpid(), None)
    if notifier is not None:
        notifier.close()


def work() -> None:
    """Tell the workers that there is a run to claim."""
    announce(WORK)


_listening: dict[int, int] = {}
"""How many connections of a process, by its pid, listen now."""


def is_listening() -> bool:
    """Return whether this process hears what others announce."""
    return _listening.get(os.getpid(), 0) > 0


def listen(is_over: Callable[[], bool], bell: socket.socket | None = None) -> None:
    """Pass on what other processes announce, until ``is_over`` says so; PostgreSQL only.

    That is asked every ``LOOK`` seconds, and at once when there is something to read from ``bell``.
    """
    import psycopg  # noqa: PLC0415  (only where it is used)

    from durable_app.store.postgres import CHANNEL  # noqa: PLC0415

    params: dict[str, Any] = database.connection().get_connection_params()
    for name in ("cursor_factory", "context"):
        params.pop(name, None)
    with (
        psycopg.connect(**{**params, "autocommit": True}) as connection,
        selectors.DefaultSelector() as selector,
        _counted(),
    ):
        selector.register(connection.fileno(), selectors.EVENT_READ)
        if bell is not None:
            selector.register(bell, selectors.EVENT_READ)
        connection.execute(f"LISTEN {CHANNEL}")
        bulletin.announce([EVERYTHING])  # what was said while nobody listened
        while not is_over():
            for message in connection.notifies(timeout=0):
                bulletin.announce(message.payload.split("\n"))
            selector.select(LOOK)


@contextlib.contextmanager
def _counted() -> Iterator[None]:
    pid = os.getpid()
    _listening[pid] = _listening.get(pid, 0) + 1
    try:
        yield
    finally:
        _listening[pid] -= 1
