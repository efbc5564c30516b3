"""``durable run export`` and ``import``: runs as a file, with all that belongs to them."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from durable_app.control.operator import Operator
from durable_app.management.cli.arguments import Verb, add_reason, text
from durable_app.management.cli.failures import FAILED, USAGE, Failure
from durable_app.management.cli.many import ids_of
from durable_app.management.cli.terminal import Terminal
from durable_app.transfer import export_workflow, import_workflow

PERMISSION = "export_workflow"

NAMED = 100
"""Ids that the audit of an import names."""


def _export_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "ids", nargs="+", metavar="ID", type=text, help='Runs; "-" reads them from stdin, a line each.'
    )
    parser.add_argument("--children", action="store_true", help="And all their descendants.")
    add_reason(parser)


def _export(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    ids = ids_of(terminal, options["ids"])
    document: dict[str, Any] = {}
    runs: dict[str, Any] = {}
    for one in terminal.counting(ids, len(ids), "export"):
        operator.require(PERMISSION, "export", "workflow", one)
        document = export_workflow(one, export_children=options["children"])
        for run in document["runs"]:
            runs.setdefault(run["workflow"]["workflow_id"], run)
        operator.perform("export", one, lambda: "", {"children": options["children"]})
    if document and not terminal.is_interrupted:
        terminal.stdout.write(json.dumps({**document, "runs": list(runs.values())}, indent=1))


def _import_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help='What export has printed (default: "-", stdin).'
    )
    parser.add_argument("--dry-run", action="store_true", help="Only print which runs are in the file.")
    add_reason(parser)


def _import(terminal: Terminal, options: dict[str, Any]) -> None:
    document = _read(terminal, options["file"])
    ids = _ids_in(document)
    if not options["dry_run"]:
        _insert(terminal.operator(options["reason"]), document, ids)
    terminal.show([{"workflow_id": one} for one in ids], ("workflow_id",), "workflow_id")


def _read(terminal: Terminal, name: str) -> Any:
    try:
        return json.loads(terminal.stdin.read() if name == "-" else Path(name).read_text())
    except OSError as error:
        raise Failure(f"{name} cannot be read: {error.strerror}.", USAGE) from error
    except (ValueError, RecursionError) as error:
        raise Failure(f"This is no JSON: {error}.") from error


def _ids_in(document: Any) -> list[str]:
    try:
        return [str(run["workflow"]["workflow_id"]) for run in document["runs"]]
    except (KeyError, TypeError):
        raise Failure("This is no export: it has no list of runs.") from None


def _insert(operator: Operator, document: Any, ids: list[str]) -> None:
    """Insert all runs or none, with one audit event."""
    target = ids[0] if ids else ""
    operator.require(PERMISSION, "import", "workflow", target)

    def act() -> str:
        import_workflow(document)
        return ""

    result = operator.perform("import", target, act, {"runs": len(ids), "ids": ids[:NAMED]})
    if not result.is_done:
        raise Failure(result.detail, FAILED)


VERBS = (
    Verb(
        name="export",
        help="Print runs with all that belongs to them, as JSON.",
        run=_export,
        arguments=_export_arguments,
    ),
    Verb(name="import", help="Insert exported runs, all or none.", run=_import, arguments=_import_arguments),
)
