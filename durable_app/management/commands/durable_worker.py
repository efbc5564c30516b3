"""``manage.py durable_worker``: arguments and signals; the rest is ``worker.Worker``."""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections
from django.utils import autoreload

from durable_app import conf
from durable_app.checks import unapplied_migrations
from durable_app.errors import InvalidOptionError
from durable_app.incarnation import forget_callers
from durable_app.limits import checked_queue_name
from durable_app.store import database
from durable_app.worker.claimer import Serving
from durable_app.worker.supervisor import Supervisor
from durable_app.worker.worker import Worker

RELOAD_GRACE = 1.0
"""Seconds that steps have to end when code has changed: nobody wants to wait for a reload."""


def positive(text: str) -> int:
    """Return a whole number above zero, or raise argparse's error."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return number


def seconds(text: str) -> float:
    """Return a number of seconds, zero or more, or raise argparse's error."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


def queue_names(text: str) -> frozenset[str]:
    """Return the queue names of a comma-separated list, or raise argparse's error."""
    try:
        return frozenset(checked_queue_name(name.strip()) for name in text.split(","))
    except InvalidOptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def readable_options() -> conf.Options:
    """Return the project's options, the defaults for unreadable ones: these the system checks report."""
    try:
        return conf.options()
    except ImproperlyConfigured:
        return conf.Options()


class Command(BaseCommand):
    _worker: Worker | None = None

    help = "Runs workflows: claims, executes, wakes and recovers them, until it is stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        options = readable_options()
        parser.add_argument(
            "--threads",
            type=positive,
            default=options.THREADS,
            help="Threads for sync workflows (default: %(default)s).",
        )
        parser.add_argument(
            "--async-concurrency",
            type=positive,
            default=options.ASYNC_CONCURRENCY,
            help="Coroutine workflows executed at once (default: %(default)s).",
        )
        parser.add_argument("--processes", type=positive, default=1, help="Worker processes (default: 1).")
        parser.add_argument(
            "--queues",
            type=queue_names,
            default=frozenset(),
            metavar="NAME,NAME",
            help="Queues to take runs from (default: all).",
        )
        parser.add_argument(
            "--exclude",
            type=queue_names,
            default=frozenset(),
            metavar="NAME,NAME",
            help="Queues to take no runs from.",
        )
        parser.add_argument("--burst", action="store_true", help="End when nothing is ready to run.")
        parser.add_argument(
            "--reload",
            action=argparse.BooleanOptionalAction,
            default=None,
            help="Start again when code changes (default: if DEBUG).",
        )
        parser.add_argument(
            "--graceful-timeout",
            type=seconds,
            default=options.GRACEFUL_TIMEOUT.total_seconds(),
            help="Seconds that running steps have to end after SIGTERM (default: %(default)s).",
        )
        parser.add_argument("--name", help="Name shown to people (default: host and pid).")

    def handle(self, **options: Any) -> None:
        self._check_database()
        if options["processes"] > 1:
            sys.exit(self._supervise(options["processes"], forever=not options["burst"]))
        reload = settings.DEBUG if options["reload"] is None else options["reload"]
        if reload and not options["burst"]:
            self._run_with_reloader(**options)
        else:
            self._run(**options)

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Run the system checks, of which some ask the database."""
        with self._reaching_database():
            super().check(*args, **kwargs)

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

    def _run_with_reloader(self, **options: Any) -> None:
        """Run until code changes, and hand the runs back before this process ends for the next one."""
        status: Any = 0
        try:
            autoreload.run_with_reloader(self._run, **options)
        except SystemExit as ended:
            status = ended.code
        if self._worker is not None:
            self._end(self._worker, min(RELOAD_GRACE, options["graceful_timeout"]), status)
        sys.exit(status)

    def _run(self, **options: Any) -> None:
        worker = Worker(
            threads=options["threads"],
            async_concurrency=options["async_concurrency"],
            name=options["name"],
            serving=Serving(only=options["queues"], excluded=options["exclude"]),
        )
        stopping = self._listen_for_signals()
        worker.start()
        self._worker = worker
        self._say(f"Worker {worker.name} is running. Stop it with Ctrl-C or SIGTERM.")
        while not stopping.wait(0.2) and not worker.asked_to_stop.is_set():
            if options["burst"] and worker.run_until_idle(timeout=0.2):
                break
        self._end(worker, options["graceful_timeout"], 0)

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
