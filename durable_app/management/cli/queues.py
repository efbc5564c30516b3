"""``durable queue``: look at queues, pause them, change their limits."""

from typing import Any

from django.core.management.base import CommandParser

from durable_app.control import queues
from durable_app.errors import DurableError
from durable_app.management.cli.arguments import Noun, Verb, add_reason, moment, pair, positive
from durable_app.management.cli.terminal import NOT_FOUND, Failure, Terminal
from durable_app.store import occupancy
from durable_app.store.occupancy import Occupancy

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
    terminal.show(map(_shown, occupancy.occupancies()), COLUMNS, "name")


def _get(terminal: Terminal, options: dict[str, Any]) -> None:
    for found in occupancy.occupancies():
        if found.queue.name == options["name"]:
            terminal.show_one(_shown(found))
            return
    raise Failure(f"There is no queue {options['name']!r}.", NOT_FOUND)


def _named(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="QUEUE")


def _pause_arguments(parser: CommandParser) -> None:
    _named(parser)
    parser.add_argument("--until", type=moment, help="A time; else until it is resumed.")
    add_reason(parser)


def _pause(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([queues.pause(operator, options["name"], options["until"])])


def _resume_arguments(parser: CommandParser) -> None:
    _named(parser)
    add_reason(parser)


def _resume(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results([queues.resume(terminal.operator(options["reason"]), options["name"])])


def _set_arguments(parser: CommandParser) -> None:
    _named(parser)
    for name in (
        "concurrency",
        "worker_concurrency",
        "partition_concurrency",
        "partition_worker_concurrency",
    ):
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, dest=name, type=_number_or_none, metavar="N|none")
    parser.add_argument(
        "--limiter", type=pair, metavar="STARTS=SECONDS", help="At most so many starts in so long."
    )
    parser.add_argument("--no-limiter", action="store_true")
    add_reason(parser)


def _number_or_none(text: str) -> int | str:
    return "none" if text == "none" else positive(text)


def _set(terminal: Terminal, options: dict[str, Any]) -> None:
    changes = {
        name: None if options[name] == "none" else options[name]
        for name in (
            "concurrency",
            "worker_concurrency",
            "partition_concurrency",
            "partition_worker_concurrency",
        )
        if options[name] is not None
    }
    if options["no_limiter"]:
        changes["limiter"] = None
    elif options["limiter"]:
        limit, period = options["limiter"]
        changes["limiter"] = {"limit": int(limit) if limit.isdecimal() else limit, "period": period}
    if not changes:
        raise Failure("What is to be changed? Give at least one limit.", 2)
    try:
        result = queues.configure(terminal.operator(options["reason"]), options["name"], changes)
    except DurableError as error:
        raise Failure(str(error)) from error
    terminal.show_results([result])


NOUN = Noun(
    name="queue",
    help="queues",
    verbs=(
        Verb(name="list", help="List queues and how full they are.", run=_list),
        Verb(name="get", help="Show a queue.", run=_get, arguments=_named),
        Verb(
            name="pause",
            help="Let workers take nothing from a queue.",
            run=_pause,
            arguments=_pause_arguments,
        ),
        Verb(
            name="resume",
            help="Let workers take runs from it again.",
            run=_resume,
            arguments=_resume_arguments,
        ),
        Verb(name="set", help="Change a queue's limits.", run=_set, arguments=_set_arguments),
    ),
)
