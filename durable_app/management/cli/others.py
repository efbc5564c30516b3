"""``durable worker``, ``approval`` and ``version``."""

from typing import Any

from django.core.management.base import CommandParser

from durable_app import clock
from durable_app.control import answering, workers
from durable_app.control.answering import Reply
from durable_app.management.cli.arguments import Noun, Verb, add_reason, add_watch, pair, positive, text
from durable_app.management.cli.failures import NOT_FOUND, Failure
from durable_app.management.cli.terminal import Terminal
from durable_app.store import approvals, versions
from durable_app.store import workers as rows_of_workers

# workers


def _list_workers(terminal: Terminal, options: dict[str, Any]) -> None:
    columns = ("id", "name", "state", "app_version", "queues", "running", "slots", "heartbeat_at")

    def draw() -> None:
        now = clock.now()
        found = [
            {
                "id": row.pk,
                "name": row.name,
                "state": "stopped" if row.stopped_at else "alive" if row.expires_at > now else "dead",
                "asked_to": row.asked_to,
                "app_version": row.app_version,
                "queues": row.queues,
                "slots": row.slots,
                "running": row.running,
                "hostname": row.hostname,
                "pid": row.pid,
                "started_at": row.started_at,
                "heartbeat_at": row.heartbeat_at,
            }
            for row in rows_of_workers.all_workers()
        ]
        terminal.show(found, columns, "id")

    terminal.watch(options["watch"], draw)


def _worker(parser: CommandParser) -> None:
    parser.add_argument("id", metavar="ID", type=text)
    add_reason(parser)


def worker_id(given: str) -> str:
    """Return the id of a worker; raises Failure if there is none."""
    if rows_of_workers.get(given) is None:
        raise Failure(f"There is no worker {given!r}.", NOT_FOUND)
    return given


def _quiet(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([workers.quiet(operator, worker_id(options["id"]))])


def _stop(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([workers.stop(operator, worker_id(options["id"]))])


def _recover(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([workers.recover(operator, worker_id(options["id"]))])


WORKER = Noun(
    name="worker",
    help="worker processes",
    verbs=(
        Verb(name="list", help="List workers, the newest first.", run=_list_workers, arguments=add_watch),
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
    parser.add_argument("id", type=positive, metavar="NUMBER")
    answer = parser.add_mutually_exclusive_group(required=True)
    answer.add_argument("--approve", action="store_true")
    answer.add_argument("--reject", action="store_true")
    parser.add_argument(
        "--field", action="append", default=[], type=pair, metavar="NAME=VALUE", help="A field of its form."
    )
    parser.add_argument("--comment", default="", type=text, help="What the run and the audit get to read.")


def _answer(terminal: Terminal, options: dict[str, Any]) -> None:
    reply = Reply(approved=options["approve"], data=dict(options["field"]), comment=options["comment"])
    operator = terminal.operator(options["comment"])
    terminal.show_results([answering.answer(operator, options["id"], reply)])


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
    parser.add_argument("name", metavar="NAME", type=text)
    add_reason(parser)


VERSION = Noun(
    name="version",
    help="versions of the code",
    verbs=(
        Verb(name="list", help="List versions, the latest first.", run=_list_versions),
        Verb(name="set-latest", help="Make a version the latest.", run=_set_latest, arguments=_version),
    ),
)
