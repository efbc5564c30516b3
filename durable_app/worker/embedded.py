"""The worker that ``runserver`` carries in development, if ``DURABLE["DEV_WORKER"]`` is true.

Only the process that answers requests has one: not the autoreloader's parent, no other command.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from durable_app import conf
from durable_app.store import database
from durable_app.worker.worker import Worker

logger = logging.getLogger("durable_app")

LOOK_AGAIN = 1.0
"""Seconds between two looks whether the database has been migrated meanwhile."""

GRACE = 1.0
"""Seconds that runs have to end when the server stops or reloads: nobody wants to wait for a reload."""


def is_serving(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Return whether this process is ``runserver``'s, and the one that answers requests."""
    if list(argv[1:2]) != ["runserver"]:
        return False
    return environ.get(DJANGO_AUTORELOAD_ENV) == "true" or "--noreload" in argv


def is_wanted() -> bool:
    """Return whether the settings ask for it; unreadable ones are for the system checks to report."""
    try:
        return conf.options().DEV_WORKER
    except ImproperlyConfigured:
        return False


class Embedded:
    """Runs a worker from when the project is loaded and migrated until the process ends."""

    def __init__(self, is_migrated: Callable[[], bool]) -> None:
        self._is_migrated = is_migrated
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="durable-embedded", daemon=True)
        self._worker: Worker | None = None
        self._complaint = ""

    def start(self) -> None:
        """Start the worker in the background, now or once it can work."""
        # Not atexit: that comes after the interpreter has waited for the runs' threads to end.
        threading._register_atexit(self.stop)  # type: ignore[attr-defined]  # noqa: SLF001
        self._thread.start()

    def stop(self) -> None:
        """Hand back what does not end at once."""
        self._stopping.set()
        self._thread.join(timeout=5)
        if self._worker is not None:
            self._worker.stop(grace=GRACE)

    def _run(self) -> None:
        apps.ready_event.wait()
        try:
            while not self._stopping.is_set() and not self._can_work():
                self._stopping.wait(LOOK_AGAIN)
            if not self._stopping.is_set():
                self._worker = Worker().start()
        except Exception:
            logger.exception("The embedded worker could not start")
        finally:
            database.close_thread_connections()

    def _can_work(self) -> bool:
        try:
            complaint = "" if self._is_migrated() else "python manage.py migrate"
        except Error as error:
            complaint = str(error)
        if complaint and complaint != self._complaint:
            logger.warning("The embedded worker waits for the database: %s", complaint)
        self._complaint = complaint
        return not complaint
