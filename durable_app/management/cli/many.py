"""A verb on many runs: named, read from stdin, or matching conditions; here, or by workers."""

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser

from durable_app.control import bulk
from durable_app.control.operator import Result
from durable_app.control.verbs import VERBS
from durable_app.engine.launch import checked_id
from durable_app.filters import checked_filter
from durable_app.management.cli.arguments import add_filters, add_reason, filters_of, text
from durable_app.management.cli.failures import USAGE, Failure
from durable_app.management.cli.formats import read_id
from durable_app.management.cli.terminal import Terminal
from durable_app.store import listing
from durable_app.store.giving_way import giving_way

BATCH = 500
"""Runs that are looked up at once."""

_WORDS = {"run_now": "start", "set_priority": "set the priority of"}
"""Verbs as they are said, "This will … 3 runs"; others by their names."""

Options = dict[str, Any]


def add_many(parser: CommandParser) -> None:
    """Add ids, conditions instead of ids, and what a verb on many runs needs."""
    parser.add_argument(
        "ids", nargs="*", metavar="ID", type=text, help='Runs; "-" reads them from stdin, a line each.'
    )
    add_filters(parser)
    parser.add_argument("--yes", action="store_true", help="Do not ask before matching runs are changed.")
    parser.add_argument("--dry-run", action="store_true", help="Only print what would be done.")
    parser.add_argument(
        "--in-background", action="store_true", help="Let workers do it to all runs that match."
    )
    add_reason(parser)


def on_many(
    name: str, how: Callable[[Options], Options] = lambda options: {}
) -> Callable[[Terminal, Options], None]:
    """Return the command that performs a verb on many runs, each by itself.

    ``how`` returns the verb's options from the command's.
    """

    def run(terminal: Terminal, options: Options) -> None:
        conditions = filters_of(options)
        _check_one_of(options, conditions)
        if options["in_background"] and not options["dry_run"]:
            _begin(terminal, name, conditions, options, how(options))
            return
        ids = _matching(conditions) if conditions else ids_of(terminal, options["ids"])
        if options["dry_run"]:
            _show_plan(terminal, name, ids)
            return
        terminal.confirm(len(ids), _word(name), is_sure=options["yes"] or not conditions)
        act = getattr(terminal.operator(options["reason"]), name)
        results: list[Result] = []
        for one in terminal.counting(ids, len(ids), name):
            with giving_way():
                results += act([one], **how(options))
        terminal.show_results(results)

    return run


def _word(name: str) -> str:
    return _WORDS.get(name, name)


def _check_one_of(options: dict[str, Any], conditions: dict[str, Any]) -> None:
    if conditions and options["ids"]:
        raise Failure("Give ids or conditions, not both.", USAGE)
    if not conditions and not options["ids"]:
        raise Failure("Which runs? Give ids, - for ids on stdin, or conditions.", USAGE)
    if options["in_background"] and not conditions:
        raise Failure("--in-background takes conditions, no ids.", USAGE)


def ids_of(terminal: Terminal, arguments: list[str]) -> list[str]:
    """Return the ids that were typed, and for "-" those that stdin has; each once."""
    found: list[str] = []
    for one in arguments:
        found += map(read_id, filter(str.strip, terminal.stdin)) if one == "-" else [one]
    return [checked_id(one) for one in dict.fromkeys(found)]


def _matching(conditions: dict[str, Any]) -> list[str]:
    return listing.ids(checked_filter(conditions))


def _show_plan(terminal: Terminal, name: str, ids: list[str]) -> None:
    """Print what the verb would do to each run; as ids, only those that it would change."""
    rows = []
    for first in range(0, len(ids), BATCH):
        some = ids[first : first + BATCH]
        found = listing.rows(listing.Filter(workflow_ids=some), load_input=False, load_output=False)
        statuses = {row.workflow_id: row.status for row in found}
        for one in some:
            refusal = VERBS[name].refusal(statuses[one]) if one in statuses else "There is no such run."
            rows.append(
                {
                    "workflow_id": one,
                    "status": statuses.get(one),
                    "would": name if not refusal else "",
                    "detail": refusal,
                }
            )
    if terminal.form == "ids":
        rows = [row for row in rows if row["would"]]
    terminal.show(rows, ("workflow_id", "status", "would", "detail"), "workflow_id")


def _begin(terminal: Terminal, name: str, conditions: Options, options: Options, how: Options) -> None:
    """Start a bulk operation; print its number."""
    checked_filter(conditions)
    how_many = len(_matching(conditions)) if not options["yes"] else 0
    terminal.confirm(how_many, _word(name), is_sure=options["yes"])
    stored = {key: one.isoformat() if key in listing.MOMENTS else one for key, one in conditions.items()}
    number = bulk.begin(terminal.operator(options["reason"]), name, stored, how)
    terminal.show_one({"id": number, "verb": name, "filter": stored}, "id")
    terminal.say(f"Workers do it now: durable bulk get {number}")
