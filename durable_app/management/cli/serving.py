"""The arguments of ``durable_worker``, and the banner that says what a worker does."""

import argparse
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandParser
from django.db import connections

from durable_app import conf
from durable_app.errors import InvalidOptionError
from durable_app.limits import checked_queue_name
from durable_app.management.cli.arguments import positive, span, text
from durable_app.registry import TEMPORARY, registry
from durable_app.store import database
from durable_app.worker.claimer import Serving
from durable_app.worker.quota import MEBIBYTE, Quota
from durable_app.worker.worker import Worker

HIGHEST_PORT = 65_535


def seconds(given: str) -> float:
    """Return a number of seconds, zero or more, or raise argparse's error."""
    try:
        number = float(given)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of seconds")
    return number


def queue_names(given: str) -> frozenset[str]:
    """Return the queue names of a comma-separated list, or raise argparse's error."""
    try:
        return frozenset(checked_queue_name(name.strip()) for name in given.split(","))
    except InvalidOptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def address(given: str) -> tuple[str, int]:
    """Return host and port of "8080" (every interface) or "127.0.0.1:8080", or raise argparse's error."""
    host, _, port = given.rpartition(":")
    if not port.isdecimal() or int(port) > HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{given!r} is no port such as 8080 or 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def readable_options() -> conf.Options:
    """Return the project's options, the defaults for unreadable ones: these the system checks report."""
    try:
        return conf.options()
    except ImproperlyConfigured:
        return conf.Options()


# Arguments


def add_capacity(parser: CommandParser) -> None:
    """Add how much is executed at once, and by how many processes."""
    options = readable_options()
    parser.add_argument(
        "--threads",
        type=positive,
        default=options.THREADS,
        metavar="N",
        help="Threads for sync workflows (default: %(default)s).",
    )
    parser.add_argument(
        "--async-concurrency",
        type=positive,
        default=options.ASYNC_CONCURRENCY,
        metavar="N",
        help="Coroutine workflows executed at once (default: %(default)s).",
    )
    parser.add_argument(
        "--processes", type=positive, default=1, metavar="N", help="Worker processes (default: 1)."
    )


def add_work(parser: CommandParser) -> None:
    """Add what the worker does: the queues it serves, and whether it fires schedules."""
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--queues",
        type=queue_names,
        default=frozenset(),
        metavar="NAME,NAME",
        help="Queues to take runs from (default: all).",
    )
    only.add_argument("--all", action="store_true", help="Take runs from all queues, which is the default.")
    parser.add_argument(
        "--exclude",
        type=queue_names,
        default=frozenset(),
        metavar="NAME,NAME",
        help="Queues to take no runs from.",
    )
    scheduler = parser.add_mutually_exclusive_group()
    scheduler.add_argument(
        "--with-scheduler",
        action="store_true",
        default=True,
        help="Fire schedules, which is the default: each tick happens once, however many do.",
    )
    scheduler.add_argument(
        "--no-scheduler", dest="with_scheduler", action="store_false", help="Fire no schedules."
    )


def add_endings(parser: CommandParser) -> None:
    """Add when the worker drains and ends, and how long that may take."""
    parser.add_argument("--burst", action="store_true", help="End when nothing is ready to run.")
    parser.add_argument("--max-runs", type=positive, metavar="N", help="End after so many executed runs.")
    parser.add_argument(
        "--max-memory-mb", type=positive, metavar="N", help="End when the process occupies more."
    )
    parser.add_argument("--max-lifetime", type=span, metavar="SPAN", help="End after so long (6h).")
    parser.add_argument(
        "--graceful-timeout",
        type=seconds,
        default=readable_options().GRACEFUL_TIMEOUT.total_seconds(),
        metavar="S",
        help="Seconds that running steps have to end after SIGTERM (default: %(default)s).",
    )
    parser.add_argument(
        "--reload",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="Start again when code changes (default: if DEBUG).",
    )


def add_telling(parser: CommandParser) -> None:
    """Add what the worker tells, to whom and how."""
    parser.add_argument("--name", type=text, help="Name shown to people (default: host and pid).")
    parser.add_argument(
        "--health-port", type=address, metavar="PORT", help="Answer /healthz on a port, or HOST:PORT."
    )
    parser.add_argument(
        "--health-file", metavar="PATH", help="Touch a file every few seconds while all is well."
    )
    parser.add_argument(
        "--metrics-port", type=address, metavar="PORT", help="Answer /metrics on a port, or HOST:PORT."
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        help="Log to stderr, a line or a JSON object each (default: as LOGGING says).",
    )
    parser.add_argument("--quiet", action="store_true", help="Say nothing on stdout.")


def quota_of(options: dict[str, Any]) -> Quota:
    """Return after what the worker ends."""
    memory = options["max_memory_mb"]
    return Quota(
        runs=options["max_runs"],
        memory=None if memory is None else memory * MEBIBYTE,
        lifetime=options["max_lifetime"],
    )


# The banner


def banner(worker: Worker, options: dict[str, Any]) -> Iterator[str]:
    """Yield lines that say what a worker does."""
    alias = database.alias()
    workflows = sum(not name.startswith(TEMPORARY) for name in registry.workflows)
    version = f", version {worker.version.name}" if worker.version.name else ""
    yield f"database   {alias} ({connections[alias].vendor}){version}"
    yield f"queues     {_queues(worker.claimer.serving)}"
    yield (
        f"executes   {options['threads']} threads and {options['async_concurrency']} coroutines at once; "
        f"{workflows} workflows are registered"
    )
    yield f"schedules  {'are fired' if options['with_scheduler'] else 'are left to others'}"
    ends = [
        f"{name.replace('_', ' ')} {options[name]}"
        for name in ("max_runs", "max_memory_mb", "max_lifetime")
        if options[name] is not None
    ]
    if ends:
        yield f"ends       {', '.join(ends)}"


def _queues(serving: Serving) -> str:
    found = ", ".join(sorted(serving.only)) if serving.only else "all"
    return f"{found} but {', '.join(sorted(serving.excluded))}" if serving.excluded else found
