"""``durable worker``, ``approval`` and ``version``."""

from typing import Any

from django.core.management.base import CommandParser

from durable_app import clock
from durable_app.control import answering, workers
from durable_app.control.answering import Reply
from durable_app.insight.form_schema import schema_of
from durable_app.insight.liveness import liveness, serves_in_words
from durable_app.insight.payloads import plain, redacted
from durable_app.management.cli.arguments import Noun, Verb, add_reason, add_watch, pair, positive, text
from durable_app.management.cli.failures import NOT_FOUND, Failure
from durable_app.management.cli.terminal import Terminal
from durable_app.registry import registry
from durable_app.store import approvals, versions
from durable_app.store import workers as rows_of_workers

# workers


def _list_workers(terminal: Terminal, options: dict[str, Any]) -> None:
    columns = ("id", "name", "state", "app_version", "queues", "running", "slots", "heartbeat_at")

    is_data = terminal.form in ("json", "ndjson")

    def draw() -> None:
        now = clock.now()
        found = [
            {
                "id": row.pk,
                "name": row.name,
                "state": liveness(row, now),
                "asked_to": row.asked_to,
                "app_version": row.app_version,
                "queues": (row.queues or None) if is_data else serves_in_words(row),
                "excluded": row.excluded,
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
        Verb(name="recover", help="Take a silent worker's runs back now.", run=_recover, arguments=_worker),
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


def _number(parser: CommandParser) -> None:
    parser.add_argument("id", type=positive, metavar="NUMBER")


def _get_approval(terminal: Terminal, options: dict[str, Any]) -> None:
    row = approvals.get(options["id"])
    if row is None:
        raise Failure(f"There is no approval {options['id']}.", NOT_FOUND)
    fields = _fields(row.form)
    is_data = terminal.form in ("json", "ndjson")
    terminal.show_one(
        {
            "id": row.pk,
            "title": row.title,
            "is_open": approvals.is_open(row),
            "workflow_id": row.workflow.workflow_id,
            "description": row.description,
            "context": redacted(plain(row.context)),
            **({"fields": fields} if is_data else {}),
            "group": row.group,
            "permission": row.permission or answering.PERMISSION,
            "created_at": row.created_at,
            "deadline_at": row.deadline_at,
            "answered_by": row.answered_by,
            "approved": row.approved,
        },
        "id",
    )
    if fields and terminal.form in ("table", "wide"):
        terminal.line("")
        terminal.show(fields, ("field", "type", "choices", "is_required", "help"), "field")


def _fields(form: str) -> list[dict[str, Any]]:
    """Return what an approval's form asks for; raises Failure if this process does not know it."""
    if not form:
        return []
    if form not in registry.forms:
        raise Failure(f"The form {form} is not known in this process.")
    schema = schema_of(registry.forms[form]())
    return [
        {
            "field": name,
            "type": found.get("format") or found.get("type", "choice" if "enum" in found else "any"),
            "choices": found.get("enum") or found.get("items", {}).get("enum"),
            "is_required": name in schema["required"],
            "help": found.get("description") or found["title"],
        }
        for name, found in schema["properties"].items()
    ]


def _answer_arguments(parser: CommandParser) -> None:
    _number(parser)
    answer = parser.add_mutually_exclusive_group(required=True)
    answer.add_argument("--approve", action="store_true")
    answer.add_argument("--reject", action="store_true")
    parser.add_argument(
        "--field", action="append", default=[], type=pair, metavar="NAME=VALUE", help="A field of its form."
    )
    parser.add_argument("--comment", default="", type=text, help="What the run and the audit get to read.")


def _answer(terminal: Terminal, options: dict[str, Any]) -> None:
    reply = Reply(
        approved=options["approve"], data=dict(options["field"]), comment=options["comment"], is_exact=True
    )
    operator = terminal.operator(options["comment"])
    terminal.show_results([answering.answer(operator, options["id"], reply)])


APPROVAL = Noun(
    name="approval",
    help="questions that runs ask people",
    verbs=(
        Verb(name="list", help="List open questions.", run=_list_approvals),
        Verb(
            name="get", help="Show a question, and what its form asks.", run=_get_approval, arguments=_number
        ),
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
