"""``durable replay``: does a run's history still fit the code?"""

from typing import Any

from django.core.management.base import CommandParser

from durable_app.insight.rehearsing import Rehearsal, rehearsal
from durable_app.management.cli.arguments import Verb, text
from durable_app.management.cli.failures import FAILED, Failure
from durable_app.management.cli.looking import row_of
from durable_app.management.cli.many import ids_of
from durable_app.management.cli.terminal import Terminal

COLUMNS = ("workflow_id", "fits", "replayed", "recorded", "sentence", "location")


def _arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "ids", nargs="+", metavar="ID", type=text, help='Runs; "-" reads them from stdin, a line each.'
    )


def _replay(terminal: Terminal, options: dict[str, Any]) -> None:
    ids = ids_of(terminal, options["ids"])
    found = [(one, rehearsal(row_of(one))) for one in terminal.counting(ids, len(ids), "replay")]
    if len(found) == 1 and terminal.form == "table":
        _tell(terminal, *found[0])
    else:
        rows = [{"workflow_id": one, **_fields(result)} for one, result in found]
        terminal.show(rows, COLUMNS, "workflow_id")
    misfits = [one for one, result in found if not result.fits]
    if misfits:
        runs = "1 run" if len(misfits) == 1 else f"{len(misfits)} runs"
        raise Failure(f"The code does not fit {runs} of {len(found)}.", FAILED)


def _tell(terminal: Terminal, workflow_id: str, result: Rehearsal) -> None:
    terminal.line(f"{workflow_id}: {result.replayed} of {result.recorded} recorded steps replayed.")
    terminal.line(result.sentence)
    if result.location:
        terminal.line(f"at {result.location}")


def _fields(result: Rehearsal) -> dict[str, Any]:
    return {name: getattr(result, name) for name in Rehearsal.__dataclass_fields__}


VERB = Verb(
    name="replay",
    help="Call a run's workflow with what it has recorded, and say where the code no longer fits; "
    "no step is executed, nothing is written.",
    run=_replay,
    arguments=_arguments,
)
