"""The mode without a daemon: cron runs ``tick`` every minute, where nobody may run a worker.

``CRONJOBS = [("* * * * *", "durable_app.cron.tick")]`` for django-crontab. A tick is a worker that ends when
there is nothing to do, or when its time is over.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.db import connections

from durable_app import clock, conf
from durable_app.incarnation import forget_callers
from durable_app.store import due, workers
from durable_app.worker.worker import Worker

logger = logging.getLogger("durable_app")

LOOK = 0.1
"""Seconds between two looks whether there is nothing left to do."""


def tick() -> None:
    """Recover runs, fire schedules and run what is ready, for at most ``DURABLE["CRON_BUDGET"]``.

    It ends sooner if nothing is ready, nor will be within that time. While another tick for the same
    database works on this host, this one does nothing. Runs that do not end within
    ``DURABLE["GRACEFUL_TIMEOUT"]`` after the budget are handed back.
    """
    with _alone() as is_alone:
        if not is_alone:
            logger.info("The tick before is still at work")
            return
        busy = _work(conf.options().CRON_BUDGET.total_seconds())
    if busy and sys.argv[1:3] == ["crontab", "run"]:
        logging.shutdown()
        os._exit(0)  # threads still execute; their runs belong to others now


def _work(budget: float) -> int:
    """Be a worker; return how many threads still execute in the end."""
    give_up_at = time.monotonic() + budget
    with _until_terminated() as terminated:
        worker = Worker().start()
        try:
            worker.recovery.take_back()  # a dead neighbour's lease may run on: nothing else tells of its runs
            while (left := give_up_at - time.monotonic()) > 0 and _has_more(worker, left):
                if terminated.wait(min(LOOK, left)) or worker.asked_to_stop.is_set():
                    break
        finally:
            worker.stop()
            forget_callers()
    return worker.busy


def _has_more(worker: Worker, seconds: float) -> bool:
    """Return whether something is to be done, or will be within so many seconds.

    What is due becomes ready, and what executes becomes due when it parks: a look at the one between two
    looks at the other misses neither.
    """
    if not worker.run_until_idle(timeout=0):
        return True
    until = clock.now() + timedelta(seconds=seconds)
    if any(moment is not None and moment <= until for moment in due.next_due()[:2]):
        return True
    return workers.any_dead() or not worker.run_until_idle(timeout=0)


@contextlib.contextmanager
def _alone() -> Iterator[bool]:
    """Hold the host's lock; false if another process has it. It goes with its process, whatever ends that."""
    file = os.open(lock_path(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(file)


def lock_path() -> Path:
    """Return the file that is locked: one for each database."""
    options = conf.options()
    if options.CRON_LOCK:
        return Path(options.CRON_LOCK)
    found = connections[options.DATABASE].settings_dict
    text = "\n".join(str(found[key]) for key in ("ENGINE", "HOST", "PORT", "NAME"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"durable-cron-{os.getuid()}-{digest}.lock"


@contextlib.contextmanager
def _until_terminated() -> Iterator[threading.Event]:
    """Turn SIGTERM into an event, where a thread may: runs are then handed back before the end."""
    terminated = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield terminated
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: terminated.set())
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, before)
