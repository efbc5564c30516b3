"""``durable run``: the verbs that do something to runs."""

from typing import Any

from django.core.management.base import CommandParser

from durable_app.control import starting
from durable_app.control.inputs import Inputs
from durable_app.control.starting import Order
from durable_app.engine.launch import checked_id
from durable_app.management.cli import looking, transferring
from durable_app.management.cli.arguments import (
    Noun,
    Verb,
    add_reason,
    pair,
    positive,
    span,
    strict_json,
    text,
    value,
    whole,
)
from durable_app.management.cli.looking import one_run
from durable_app.management.cli.many import add_many, on_many
from durable_app.management.cli.terminal import Terminal


def _with_children(parser: CommandParser) -> None:
    add_many(parser)
    parser.add_argument("--children", action="store_true", help="And all their descendants.")


def _set_arguments(parser: CommandParser) -> None:
    add_many(parser)
    parser.add_argument(
        "--priority", type=whole, required=True, metavar="N", help="Lower numbers first; 0 is the first."
    )


def _add_inputs(parser: CommandParser) -> None:
    parser.add_argument("arguments", nargs="*", metavar="VALUE", help="Arguments: JSON, or else text.")
    parser.add_argument("--kwarg", action="append", default=[], type=pair, metavar="NAME=VALUE")


def _inputs(options: dict[str, Any]) -> Inputs:
    return Inputs(args=[value(one) for one in options["arguments"]], kwargs=dict(options["kwarg"]))


def _start_arguments(parser: CommandParser) -> None:
    parser.add_argument("workflow", metavar="NAME", type=text, help="A registered workflow.")
    _add_inputs(parser)
    parser.add_argument("--id", default="", type=text, help="The run's id.")
    parser.add_argument("--queue", default="default", type=text)
    parser.add_argument("--priority", type=whole, default=0, metavar="N", help="Lower numbers first.")
    parser.add_argument("--delay", type=span, metavar="SPAN")
    parser.add_argument("--timeout", type=span, metavar="SPAN")
    parser.add_argument("--deduplication-id", type=text, metavar="ID")
    parser.add_argument("--partition-key", type=text, metavar="KEY")
    parser.add_argument("--attribute", action="append", default=[], type=pair, metavar="NAME=VALUE")
    add_reason(parser)


def _start(terminal: Terminal, options: dict[str, Any]) -> None:
    given = _inputs(options)
    order = Order(
        workflow=options["workflow"],
        args=list(given.args),
        kwargs=given.kwargs,
        workflow_id=options["id"],
        queue_name=options["queue"],
        priority=options["priority"],
        delay=options["delay"],
        timeout=options["timeout"],
        deduplication_id=options["deduplication_id"],
        partition_key=options["partition_key"],
        attributes=dict(options["attribute"]) or None,
    )
    terminal.show_results([starting.start(terminal.operator(options["reason"]), order)])


def _from_step(parser: CommandParser) -> None:
    one_run(parser)
    parser.add_argument("--step", type=positive, default=1, metavar="N", help="The first to run again (1).")
    add_reason(parser)


def _fork_arguments(parser: CommandParser) -> None:
    _from_step(parser)
    _add_inputs(parser)
    parser.add_argument("--forked-id", default="", type=text, metavar="ID", help="The new run's id.")
    parser.add_argument("--to-version", type=text, metavar="VERSION", help="The version to run it.")
    parser.add_argument("--to-queue", type=text, metavar="QUEUE", help="The queue to put it in (its own).")


def _fork(terminal: Terminal, options: dict[str, Any]) -> None:
    extra = {"app_version": options["to_version"], "new_workflow_id": options["forked_id"]}
    if options["to_queue"]:
        extra["queue_name"] = options["to_queue"]
    if options["arguments"] or options["kwarg"]:
        extra["inputs"] = _inputs(options)
        terminal.say(
            f"The steps before {options['step']} are copied as they were recorded, with the old arguments."
        )
    operator = terminal.operator(options["reason"])
    terminal.show_results([operator.fork(checked_id(options["id"]), options["step"], **extra)])


def _rewind(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([operator.rewind(checked_id(options["id"]), options["step"])])


def _send_arguments(parser: CommandParser) -> None:
    one_run(parser)
    parser.add_argument("message", type=strict_json, metavar="JSON")
    parser.add_argument("--topic", default="", type=text)
    parser.add_argument("--key", type=text, help="Idempotency key: sent once, however often it is tried.")
    add_reason(parser)


def _send(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    ids = [checked_id(options["id"])]
    terminal.show_results(operator.send(ids, options["message"], options["topic"], options["key"]))


NOUN = Noun(
    name="run",
    help="workflow runs",
    verbs=(
        *looking.VERBS,
        Verb(name="start", help="Start a run.", run=_start, arguments=_start_arguments),
        Verb(
            name="cancel",
            help="Cancel runs.",
            arguments=_with_children,
            run=on_many("cancel", lambda options: {"cancel_children": options["children"]}),
        ),
        Verb(
            name="resume",
            help="Let cancelled or dead-lettered runs go on.",
            arguments=add_many,
            run=on_many("resume"),
        ),
        Verb(
            name="run-now",
            help="Start delayed or queued runs at once.",
            arguments=add_many,
            run=on_many("run_now"),
        ),
        Verb(
            name="set",
            help="Let queued runs be taken sooner or later.",
            arguments=_set_arguments,
            run=on_many("set_priority", lambda options: {"priority": options["priority"]}),
        ),
        Verb(
            name="retry",
            help="Run unsuccessful runs again from the failed step, under new ids.",
            arguments=add_many,
            run=on_many("retry"),
        ),
        Verb(name="fork", help="Run a history again under a new id.", run=_fork, arguments=_fork_arguments),
        Verb(name="rewind", help="Run a finished run again.", run=_rewind, arguments=_from_step),
        Verb(name="send", help="Send a message to a run.", run=_send, arguments=_send_arguments),
        Verb(
            name="delete",
            help="Delete finished runs.",
            arguments=_with_children,
            run=on_many("delete", lambda options: {"delete_children": options["children"]}),
        ),
        *transferring.VERBS,
    ),
)
