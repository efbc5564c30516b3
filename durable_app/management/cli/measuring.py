"""``durable check`` and ``durable bench``: whether all is right here, and how fast it is."""

import logging
import secrets
import time
from typing import Any

from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandParser

from durable_app import conf
from durable_app.enqueueing import enqueue_many
from durable_app.introspection import list_workflows
from durable_app.management.cli.arguments import Verb, add_reason, positive
from durable_app.management.cli.failures import FAILED, Failure
from durable_app.management.cli.terminal import Terminal
from durable_app.managing import cancel_workflows, delete_workflows
from durable_app.queues import delete_queue, register_queue
from durable_app.worker.claimer import Serving
from durable_app.worker.worker import Worker
from durable_app.workflows import bench

LOOK = 0.02
"""Seconds between two looks whether other workers have ended their share."""

ACTIVE = ["ENQUEUED", "PENDING"]

# check


def _check_arguments(parser: CommandParser) -> None:
    parser.add_argument("--deploy", action="store_true", help="Also what matters in production only.")


def _check(terminal: Terminal, options: dict[str, Any]) -> None:
    found = run_checks(
        tags=["durable_app"],
        databases=_databases(),
        include_deployment_checks=options["deploy"],
    )
    rows = [
        {"id": one.id, "is_serious": one.is_serious(), "message": one.msg, "hint": one.hint or ""}
        for one in found
        if not one.is_silenced()
    ]
    if terminal.form in ("table", "wide"):
        for row in rows:
            terminal.line(f"{row['id']}: {row['message']}")
            terminal.line(f"    {row['hint']}")
        terminal.line(f"{len(rows)} found." if rows else "All is well.")
    else:
        terminal.show(rows, (), "id")
    if any(row["is_serious"] for row in rows):
        raise Failure("Nothing runs until the errors are mended.", FAILED)


def _databases() -> list[str]:
    """Return the aliases that may be asked: none if the settings do not say which is the engine's."""
    try:
        return [conf.options().DATABASE]
    except ImproperlyConfigured:
        return []


# bench


def _bench_arguments(parser: CommandParser) -> None:
    parser.add_argument("--runs", type=positive, default=1_000, metavar="N", help="Default: 1000.")
    parser.add_argument("--threads", type=positive, metavar="N", help="Of the worker (the settings').")
    add_reason(parser)


def _bench(terminal: Terminal, options: dict[str, Any]) -> None:
    runs: int = options["runs"]
    queue = f"bench-{secrets.token_hex(4)}"
    terminal.operator(options["reason"]).perform("bench", queue, lambda: "", {"runs": runs}, "queue")
    register_queue(queue)
    ids: list[str] = []
    try:
        began = time.perf_counter()
        ids = [one.workflow_id for one in enqueue_many(queue, bench, [()] * runs)]
        enqueued_at = time.perf_counter()
        _drain(queue, options["threads"])
        ended_at = time.perf_counter()
    finally:
        cancel_workflows(ids)
        delete_workflows(ids)
        delete_queue(queue)
    terminal.show_one(
        {
            "runs": runs,
            "enqueued_per_second": round(runs / (enqueued_at - began)),
            "executed_per_second": round(runs / (ended_at - enqueued_at)),
        }
    )


def _drain(queue: str, threads: int | None) -> None:
    """Execute what stands in a queue, with whichever workers are there besides."""
    serving = Serving(only=frozenset({queue}))
    logging.getLogger("durable_app").setLevel(logging.WARNING)  # this process ends with the figures
    with Worker(threads=threads, serving=serving, fires_schedules=False) as worker:
        worker.run_until_idle()
        while list_workflows(queue_name=queue, status=ACTIVE, limit=1, load_input=False):
            time.sleep(LOOK)


VERBS = (
    Verb(
        name="check",
        help="Say what is wrong with code, settings and database, and how to mend it.",
        run=_check,
        arguments=_check_arguments,
    ),
    Verb(
        name="bench",
        help="Measure how many runs a second this database and one worker here do; they are deleted.",
        run=_bench,
        arguments=_bench_arguments,
    ),
)
