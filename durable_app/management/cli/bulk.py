"""``durable bulk``: verbs on many runs that workers carry out."""

from typing import Any

from django.core.management.base import CommandParser

from durable_app.control import bulk
from durable_app.management.cli.arguments import Noun, Verb, add_reason, add_watch, positive
from durable_app.management.cli.failures import NOT_FOUND, Failure
from durable_app.management.cli.newest import add_limit, show_newest
from durable_app.management.cli.terminal import Terminal
from durable_app.store import bulk_operations, listing

COLUMNS = ("id", "verb", "state", "matched", "done", "refused", "denied", "failed", "actor", "created_at")


def _found(number: int) -> Any:
    found = bulk_operations.find(number)
    if found is None:
        raise Failure(f"There is no bulk operation {number}.", NOT_FOUND)
    return found


def _shown(found: Any) -> dict[str, Any]:
    run = listing.one(found.workflow_id)
    return {
        "id": found.pk,
        "verb": found.verb,
        "state": "finished" if found.finished_at else "gone" if run is None else run.status,
        "filter": found.filter,
        "options": found.options,
        "matched": found.matched,
        "done": found.done,
        "refused": found.refused,
        "denied": found.denied,
        "failed": found.failed,
        "actor": found.actor_label,
        "reason": found.reason,
        "workflow_id": found.workflow_id,
        "created_at": found.created_at,
        "finished_at": found.finished_at,
    }


def _list_arguments(parser: CommandParser) -> None:
    add_limit(parser)
    add_watch(parser)


def _list(terminal: Terminal, options: dict[str, Any]) -> None:
    def fetch(last: Any, count: int) -> list[Any]:
        return bulk_operations.newest(count, below=None if last is None else last.pk)

    def draw() -> None:
        show_newest(terminal, options["limit"], COLUMNS, fetch, _shown)

    terminal.watch(options["watch"], draw)


def _numbered(parser: CommandParser) -> None:
    parser.add_argument("number", type=positive, metavar="NUMBER")


def _get_arguments(parser: CommandParser) -> None:
    _numbered(parser)
    add_watch(parser)


def _get(terminal: Terminal, options: dict[str, Any]) -> None:
    def draw() -> None:
        terminal.show_one(_shown(_found(options["number"])), "id")

    terminal.watch(options["watch"], draw)


def _cancel_arguments(parser: CommandParser) -> None:
    _numbered(parser)
    add_reason(parser)


def _cancel(terminal: Terminal, options: dict[str, Any]) -> None:
    number = _found(options["number"]).pk
    terminal.show_results([bulk.cancel(terminal.operator(options["reason"]), number)])


NOUN = Noun(
    name="bulk",
    help="verbs on many runs, carried out by workers",
    verbs=(
        Verb(name="list", help="List bulk operations, newest first.", run=_list, arguments=_list_arguments),
        Verb(name="get", help="Show how far one is.", run=_get, arguments=_get_arguments),
        Verb(name="cancel", help="Let one stop where it is.", run=_cancel, arguments=_cancel_arguments),
    ),
)
