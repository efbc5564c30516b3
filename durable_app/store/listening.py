"""Listening to other processes in one without a worker: on one connection, while somebody waits here."""

import logging
import os
import threading
import time

from durable_app.store import database, notify

logger = logging.getLogger("durable_app")

LINGER = 30.0
"""Seconds that the connection is kept after the last wait."""

RETRY = 1.0


class OnDemand:
    """A listening thread that ends by itself when nobody has wanted it for a while."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._wanted_until = 0.0
        self._running = False

    def want(self) -> None:
        """Listen from now on, or go on listening."""
        with self._guard:
            self._wanted_until = time.monotonic() + LINGER
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="durable-listener", daemon=True).start()

    def _is_unwanted(self) -> bool:
        return time.monotonic() > self._wanted_until

    def _run(self) -> None:
        while True:
            with self._guard:
                if self._is_unwanted():
                    self._running = False
                    return
            try:
                notify.listen(self._is_unwanted)
            except Exception as error:  # noqa: BLE001  (polling finds what it would have heard)
                logger.debug("Not listening error=%s", error)
                time.sleep(RETRY)


_processes: dict[int, OnDemand] = {}


def want() -> None:
    """Let this process hear what others announce, if the database can carry it; returns at once."""
    if not database.is_postgres() or database.is_pooled() or database.joins_caller():
        return
    found = _processes.get(os.getpid())
    if found is None and notify.is_listening():
        return  # a worker's listener
    (found or _processes.setdefault(os.getpid(), OnDemand())).want()
