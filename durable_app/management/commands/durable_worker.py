"""``manage.py durable_worker``: signals, times to end, what is told; the rest is ``worker.Worker``."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections
from django.utils import autoreload

from durable_app.checks import unapplied_migrations
from durable_app.incarnation import forget_callers
from durable_app.management.cli import probes, serving
from durable_app.management.cli.logging_lines import log_to_stderr
from durable_app.store import database
from durable_app.worker.claimer import Serving
from durable_app.worker.supervisor import Supervisor
from durable_app.worker.worker import Worker

logger = logging.getLogger("durable_app")

RELOAD_GRACE = 1.0
"""Seconds that steps have to end when code has changed: nobody wants to wait for a reload."""

LOOK = 0.2
"""Seconds between two looks whether it is time to end."""


class Command(BaseCommand):
    """Is a worker until it is told to end."""

    _worker: Worker | None = None

    help = "Runs workflows: claims, executes, wakes and recovers them, until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        for add in (serving.add_capacity, serving.add_work, serving.add_endings, serving.add_telling):
            add(parser)

    def handle(self, **options: Any) -> None:
        self._options = options
        self._quota = serving.quota_of(options)
        self._check_options()
        self._check_database()
        if options["processes"] > 1:
            sys.exit(self._supervise(options["processes"], forever=not options["burst"]))
        if options["log_format"]:
            log_to_stderr(options["log_format"])
        if self._is_reloading():
            self._run_with_reloader()
        else:
            self._run()

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Run the system checks, of which some ask the database."""
        with self._reaching_database():
            super().check(*args, **kwargs)

    def _is_reloading(self) -> bool:
        asked = self._options["reload"]
        return (settings.DEBUG if asked is None else bool(asked)) and not self._ends_by_itself()

    def _ends_by_itself(self) -> bool:
        return self._options["burst"] or not self._quota.is_endless

    def _check_options(self) -> None:
        """Raise CommandError for options that do not go together."""
        options = self._options
        if options["reload"] and self._ends_by_itself():
            raise CommandError("--reload does not go with --burst and --max-...: a reloader never ends.")
        if options["health_file"] and not Path(options["health_file"]).parent.is_dir():
            raise CommandError(f"--health-file: there is no folder for {options['health_file']}.")
        if options["processes"] > 1:
            for name in ("health_port", "health_file", "metrics_port"):
                if options[name] is not None:
                    flag = f"--{name.replace('_', '-')}"
                    raise CommandError(f"{flag} is of one process: start as many workers as you want.")

    def _check_database(self) -> None:
        alias = database.alias()
        with self._reaching_database():
            missing = unapplied_migrations(alias)
            connections[alias].close()
        if missing:
            raise CommandError(
                f"{missing} migrations of durable_app are not applied to the database {alias!r}. "
                f"Run: python manage.py migrate --database {alias}"
            )

    @contextlib.contextmanager
    def _reaching_database(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise CommandError(f"The database {database.alias()!r} cannot be reached: {error}") from error

    def _supervise(self, count: int, *, forever: bool) -> int:
        """Run the same command in ``count`` processes; a later ``--processes`` wins in each."""
        supervisor = Supervisor([*sys.orig_argv, "--processes", "1"], count, forever=forever)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: supervisor.signal(number))
        self._say(f"Supervising {count} worker processes.")
        return supervisor.run()

    def _run_with_reloader(self) -> None:
        """Run until code changes, and hand the runs back before this process ends for the next one."""
        status: Any = 0
        try:
            autoreload.run_with_reloader(self._run)
        except SystemExit as ended:
            status = ended.code
        if self._worker is not None:
            self._end(self._worker, min(RELOAD_GRACE, self._options["graceful_timeout"]), status)
        sys.exit(status)

    def _run(self) -> None:
        options = self._options
        worker = Worker(
            threads=options["threads"],
            async_concurrency=options["async_concurrency"],
            name=options["name"],
            serving=Serving(only=options["queues"], excluded=options["exclude"]),
            fires_schedules=options["with_scheduler"],
        )
        stopping = self._listen_for_signals()
        with contextlib.ExitStack() as stack:
            told = self._listen_for_probes(worker, stack)
            worker.start()
            self._worker = worker
            for line in (*serving.banner(worker, options), *told):
                self._say(line)
            self._say(f"Worker {worker.name} is running. Stop it with Ctrl-C or SIGTERM.")
            self._wait(worker, stopping)
            self._end(worker, options["graceful_timeout"], 0)

    def _listen_for_probes(self, worker: Worker, stack: contextlib.ExitStack) -> list[str]:
        """Open the ports; return what the banner says of them."""
        try:
            return probes.listen(worker, self._options["health_port"], self._options["metrics_port"], stack)
        except OSError as error:
            raise CommandError(f"The port cannot be had: {error}") from error

    def _wait(self, worker: Worker, stopping: threading.Event) -> None:
        """Return when it is time to end."""
        began = time.monotonic()
        sign = probes.LifeSign(worker, self._options["health_file"])
        try:
            while not stopping.wait(LOOK) and not worker.asked_to_stop.is_set():
                sign.give()
                if self._options["burst"] and worker.run_until_idle(timeout=LOOK):
                    return
                spent = self._quota.spent(worker.executed, began)
                if spent:
                    self._say(f"Worker {worker.name} ends: {spent}.")
                    return
        finally:
            sign.take_back()

    def _end(self, worker: Worker, grace: float, status: int) -> None:
        """Drain the worker; end the process right here if threads still execute."""
        worker.quiet()
        self._say(f"Worker {worker.name} is stopping; {worker.busy} runs have {grace:g} seconds to end.")
        released = worker.stop(grace=grace)
        forget_callers()
        self._say(f"Worker {worker.name} has stopped; {released} runs were handed back.")
        database.close()
        if released or worker.busy:
            os._exit(status)  # threads still execute; their runs belong to others now

    def _say(self, sentence: str) -> None:
        if self._options["quiet"]:
            return
        if self._options["log_format"] == "json":
            logger.info(sentence)
            return
        self.stdout.write(sentence)
        self.stdout.flush()

    def _listen_for_signals(self) -> threading.Event:
        """Let the first signal drain and the second abort. (Under autoreload only the main thread may.)"""
        stopping = threading.Event()

        def stop(number: int, frame: Any) -> None:
            if stopping.is_set():
                os._exit(128 + number)
            stopping.set()

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
        return stopping
