"""A named thread that calls ``tick`` again and again: the one loop of everything a worker does."""

import logging
import random
import threading

from durable_app import signals
from durable_app.store import database

logger = logging.getLogger("durable_app")

JITTER = 0.1
LONGEST_BACK_OFF = 30.0


class Service:
    """Subclasses say what a tick does; this class says when, and survives its failures.

    ``interval`` is the pause between two ticks in seconds; ``wake`` ends it early.
    """

    name = "service"

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"durable-{self.name}", daemon=True)

    def tick(self) -> float | None:
        """Do the work once; return the seconds until the next time, None for the interval."""
        raise NotImplementedError

    def start(self) -> None:
        """Start ticking."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Let the next tick come at once."""
        self._woken.set()

    def stop(self) -> None:
        """Let the running tick be the last."""
        self._stopping.set()
        self._woken.set()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._woken.clear()
            pause: float | None = None
            try:
                pause = self.tick()
                failures = 0
            except Exception as error:  # the loop must survive everything
                failures += 1
                pause = min(self.interval * 2.0**failures, LONGEST_BACK_OFF)
                logger.exception("Service failed service=%s", self.name)
                signals.service_failed.send(sender=None, service=self.name, error=error)
                database.close_thread_connections()
            seconds = self.interval if pause is None else pause
            self._woken.wait(seconds * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
        database.close_thread_connections()
