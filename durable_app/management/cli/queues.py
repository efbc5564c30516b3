"""``durable queue``: look at queues, pause and drain them, change their limits."""

import argparse
from typing import Any

from django.core.management.base import CommandParser

from durable_app import clock
from durable_app.control import queues
from durable_app.limits import checked_queue_name
from durable_app.management.cli.arguments import (
    Noun,
    Verb,
    add_reason,
    add_watch,
    later,
    positive,
    span,
    text,
)
from durable_app.management.cli.failures import NOT_FOUND, USAGE, Failure
from durable_app.management.cli.terminal import Terminal
from durable_app.store import occupancy
from durable_app.store.occupancy import Occupancy

LIMITS = ("concurrency", "worker_concurrency", "partition_concurrency", "partition_worker_concurrency")

LOOK = span("1s")
"""Pause between two looks whether a queue is drained."""

COLUMNS = ("name", "waiting", "running", "delayed", "oldest_at", "limits", "is_paused")


def _shown(found: Occupancy) -> dict[str, Any]:
    return {
        "name": found.queue.name,
        "waiting": found.waiting,
        "running": found.running,
        "delayed": found.delayed,
        "oldest_at": found.oldest_at,
        "limits": found.queue.limits.as_dict(),
        "is_paused": found.queue.is_paused,
        "paused_until": found.queue.paused_until,
        "pause_reason": found.queue.pause_reason,
        "starts_in_window": found.starts,
        "next_start_at": found.next_start_at,
    }


def _list(terminal: Terminal, options: dict[str, Any]) -> None:
    def draw() -> None:
        terminal.show(map(_shown, occupancy.occupancies()), COLUMNS, "name")

    terminal.watch(options["watch"], draw)


def _get(terminal: Terminal, options: dict[str, Any]) -> None:
    def draw() -> None:
        found = occupancy.named(checked_queue_name(options["name"]))
        if found is None:
            raise Failure(f"There is no queue {options['name']!r}.", NOT_FOUND)
        terminal.show_one(_shown(found), "name")

    terminal.watch(options["watch"], draw)


def _named(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="QUEUE", type=text)


def _get_arguments(parser: CommandParser) -> None:
    _named(parser)
    add_watch(parser)


def _with_reason(parser: CommandParser) -> None:
    _named(parser)
    add_reason(parser)


def _pause_arguments(parser: CommandParser) -> None:
    _with_reason(parser)
    parser.add_argument(
        "--until", type=later, metavar="TIME", help="A time, or a span from now (2h); else until resumed."
    )


def _pause(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([queues.pause(operator, options["name"], options["until"])])


def _resume(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results([queues.resume(terminal.operator(options["reason"]), options["name"])])


def _drain_arguments(parser: CommandParser) -> None:
    _with_reason(parser)
    parser.add_argument("--timeout", type=span, metavar="SPAN", help="How long to wait (for ever).")


def _drain(terminal: Terminal, options: dict[str, Any]) -> None:
    """Pause the queue, and wait until nothing of it runs."""
    result = queues.pause(terminal.operator(options["reason"]), options["name"])
    if not result.is_done:
        terminal.show_results([result])
    give_up_at = None if options["timeout"] is None else clock.now() + options["timeout"]
    while (found := occupancy.named(options["name"])) is not None and found.running:
        runs = "1 run" if found.running == 1 else f"{found.running} runs"
        if give_up_at is not None and clock.now() >= give_up_at:
            raise Failure(f"{runs} of the queue {options['name']!r} still execute; it stays paused.")
        terminal.say(f"Waiting for {runs}; Ctrl-C leaves the queue paused.")
        terminal.rest(LOOK)
    terminal.show_results([result])


def _set_arguments(parser: CommandParser) -> None:
    _with_reason(parser)
    for name in LIMITS:
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(
            flag, dest=name, type=_number_or_none, metavar="N|none", default=argparse.SUPPRESS
        )
    for flag, dest in (("--limiter", "limiter"), ("--partition-limiter", "partition_limiter")):
        parser.add_argument(
            flag,
            dest=dest,
            type=_rate_or_none,
            metavar="N/SPAN|none",
            default=argparse.SUPPRESS,
            help="At most N starts in so long: 50/1m.",
        )


def _number_or_none(given: str) -> int | None:
    return None if given == "none" else positive(given)


def _rate_or_none(given: str) -> dict[str, float] | None:
    if given == "none":
        return None
    starts, slash, period = given.partition("/")
    if not slash:
        raise argparse.ArgumentTypeError(f"{given!r} is no rate such as 50/1m, nor none")
    return {"limit": positive(starts), "period": span(period).total_seconds()}


def _set(terminal: Terminal, options: dict[str, Any]) -> None:
    changes = {name: options[name] for name in (*LIMITS, "limiter", "partition_limiter") if name in options}
    if not changes:
        raise Failure("What is to be changed? Give at least one limit.", USAGE)
    operator = terminal.operator(options["reason"])
    terminal.show_results([queues.configure(operator, options["name"], changes)])


def _reset(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results([queues.reset(terminal.operator(options["reason"]), options["name"])])


NOUN = Noun(
    name="queue",
    help="queues",
    verbs=(
        Verb(name="list", help="List queues and how full they are.", run=_list, arguments=add_watch),
        Verb(name="get", help="Show a queue.", run=_get, arguments=_get_arguments),
        Verb(
            name="pause",
            help="Let workers take nothing from a queue.",
            run=_pause,
            arguments=_pause_arguments,
        ),
        Verb(
            name="resume",
            help="Let workers take runs from a queue again.",
            run=_resume,
            arguments=_with_reason,
        ),
        Verb(
            name="drain",
            help="Pause a queue, and wait until no run of it executes.",
            run=_drain,
            arguments=_drain_arguments,
        ),
        Verb(name="set", help="Change the limits of a queue.", run=_set, arguments=_set_arguments),
        Verb(
            name="reset",
            help="Give a queue the limits again that code declares.",
            run=_reset,
            arguments=_with_reason,
        ),
    ),
)
