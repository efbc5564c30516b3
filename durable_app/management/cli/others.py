"""``durable workflow``, ``worker``, ``approval`` and ``version``."""

import inspect
from typing import Any

from django.core.management.base import CommandParser

from durable_app import clock
from durable_app.control import answering, workers
from durable_app.control.answering import Reply
from durable_app.errors import DurableError
from durable_app.management.cli.arguments import Noun, Verb, add_reason, pair
from durable_app.management.cli.terminal import NOT_FOUND, Failure, Terminal
from durable_app.registry import TEMPORARY, Definition, registry
from durable_app.store import approvals, versions
from durable_app.store import workers as rows_of_workers

# workflows


def _definition(found: Definition) -> dict[str, Any]:
    return {
        "name": found.name,
        "location": found.location,
        "parameters": str(inspect.signature(found.func)),
        "is_async": found.is_async,
        "max_recovery_attempts": found.max_recovery_attempts,
    }


def _list_workflows(terminal: Terminal, options: dict[str, Any]) -> None:
    found = [
        _definition(one) for name, one in sorted(registry.workflows.items()) if not name.startswith(TEMPORARY)
    ]
    terminal.show(found, ("name", "parameters", "location"), "name")


def _show_workflow(terminal: Terminal, options: dict[str, Any]) -> None:
    found = registry.workflows.get(options["name"])
    if found is None:
        raise Failure(f"No workflow named {options['name']!r} is registered.", NOT_FOUND)
    terminal.show_one(_definition(found))


def _named(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME")


WORKFLOW = Noun(
    name="workflow",
    help="the workflows that the code has",
    verbs=(
        Verb(name="list", help="List registered workflows.", run=_list_workflows),
        Verb(name="show", help="Show a registered workflow.", run=_show_workflow, arguments=_named),
    ),
)


# workers


def _list_workers(terminal: Terminal, options: dict[str, Any]) -> None:
    now = clock.now()
    found = [
        {
            "id": row.pk,
            "name": row.name,
            "state": "stopped" if row.stopped_at else "alive" if row.expires_at > now else "dead",
            "app_version": row.app_version,
            "queues": row.queues,
            "slots": row.slots,
            "running": row.running,
            "started_at": row.started_at,
            "heartbeat_at": row.heartbeat_at,
        }
        for row in rows_of_workers.all_workers()
    ]
    columns = ("id", "name", "state", "app_version", "queues", "running", "slots", "heartbeat_at")
    terminal.show(found, columns, "id")


def _worker(parser: CommandParser) -> None:
    parser.add_argument("id", metavar="ID")
    add_reason(parser)


def _quiet(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results([workers.quiet(terminal.operator(options["reason"]), options["id"])])


def _stop(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results([workers.stop(terminal.operator(options["reason"]), options["id"])])


def _recover(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results([workers.recover(terminal.operator(options["reason"]), options["id"])])


WORKER = Noun(
    name="worker",
    help="worker processes",
    verbs=(
        Verb(name="list", help="List workers.", run=_list_workers),
        Verb(name="quiet", help="Let a worker take no more runs.", run=_quiet, arguments=_worker),
        Verb(name="stop", help="Let a worker drain and end.", run=_stop, arguments=_worker),
        Verb(name="recover", help="Take a dead worker's runs back now.", run=_recover, arguments=_worker),
    ),
)


# approvals


def _list_approvals(terminal: Terminal, options: dict[str, Any]) -> None:
    found = [
        {
            "id": row.pk,
            "title": row.title,
            "workflow_id": row.workflow.workflow_id,
            "group": row.group,
            "created_at": row.created_at,
            "deadline_at": row.deadline_at,
        }
        for row in approvals.waiting()
    ]
    terminal.show(found, ("id", "title", "workflow_id", "group", "created_at", "deadline_at"), "id")


def _answer_arguments(parser: CommandParser) -> None:
    parser.add_argument("id", type=int, metavar="NUMBER")
    answer = parser.add_mutually_exclusive_group(required=True)
    answer.add_argument("--approve", action="store_true")
    answer.add_argument("--reject", action="store_true")
    parser.add_argument("--field", action="append", default=[], type=pair, metavar="NAME=VALUE")
    parser.add_argument("--comment", default="")


def _answer(terminal: Terminal, options: dict[str, Any]) -> None:
    reply = Reply(approved=options["approve"], data=dict(options["field"]), comment=options["comment"])
    try:
        result = answering.answer(terminal.operator(options["comment"]), options["id"], reply)
    except DurableError as error:
        raise Failure(str(error)) from error
    terminal.show_results([result])


APPROVAL = Noun(
    name="approval",
    help="questions that runs ask people",
    verbs=(
        Verb(name="list", help="List open questions.", run=_list_approvals),
        Verb(name="answer", help="Approve or reject.", run=_answer, arguments=_answer_arguments),
    ),
)


# versions


def _list_versions(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show(versions.all_versions(), ("version_name", "latest_at", "created_at"), "version_name")


def _set_latest(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])

    def act() -> str:
        versions.set_latest(options["name"])
        return ""

    terminal.show_results([operator.perform("set latest", options["name"], act, {}, "version")])


def _version(parser: CommandParser) -> None:
    _named(parser)
    add_reason(parser)


VERSION = Noun(
    name="version",
    help="versions of the code",
    verbs=(
        Verb(name="list", help="List versions, the latest first.", run=_list_versions),
        Verb(name="set-latest", help="Make a version the latest.", run=_set_latest, arguments=_version),
    ),
)
