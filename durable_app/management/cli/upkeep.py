"""``durable prune``, ``recover`` and ``roles``: verbs that keep the house in order."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.core.management.base import CommandParser

from durable_app import clock, exporting, retention
from durable_app.control import workers
from durable_app.control.actors import APP
from durable_app.management.cli.arguments import Verb, add_reason, positive, span, text, whole
from durable_app.management.cli.failures import USAGE, Failure
from durable_app.management.cli.others import worker_id
from durable_app.management.cli.terminal import Terminal
from durable_app.store import workers as rows_of_workers

FILES = 100
"""Files of exports that are looked for at once."""

# prune


def _prune_arguments(parser: CommandParser) -> None:
    parser.add_argument("--older-than", type=span, metavar="SPAN", help="Runs that ended so long ago (30d).")
    parser.add_argument(
        "--keep-failed", type=span, metavar="SPAN", help="Failed ones stay so long, if that is longer."
    )
    parser.add_argument(
        "--keep-rows", type=whole, metavar="N", help="Finished runs not among the N newest (1M)."
    )
    parser.add_argument(
        "--batch", type=positive, default=retention.BATCH, metavar="N", help="Deleted at once (%(default)s)."
    )
    parser.add_argument(
        "--max-seconds", type=positive, metavar="N", help="Stop after so long; the next call goes on."
    )
    parser.add_argument("--dry-run", action="store_true", help="Only count.")
    add_reason(parser)


def _prune(terminal: Terminal, options: dict[str, Any]) -> None:
    wanted = {
        "older_than": options["older_than"],
        "keep_failed": options["keep_failed"],
        "keep_newest": options["keep_rows"],
    }
    if options["older_than"] is None and options["keep_rows"] is None:
        raise Failure("Which runs? Give --older-than, --keep-rows, or both.", USAGE)
    if options["dry_run"]:
        terminal.show_one({"would_delete": retention.prunable_workflows(**wanted)})
        return
    operator = terminal.operator(options["reason"])
    operator.require("delete_workflow", "prune", "workflow")
    batches = retention.prune_workflows(**wanted, batch_size=options["batch"])
    deleted, is_finished = 0, True
    for some in _within(options["max_seconds"], terminal.counting(batches, None, "batches")):
        if some is None:
            is_finished = False
            break
        deleted += some
    is_finished = is_finished and not terminal.is_interrupted
    files = _delete_files(options["older_than"]) if is_finished else 0
    details = {name: str(given) for name, given in wanted.items() if given is not None}
    operator.perform("prune", "", lambda: "", {**details, "deleted": deleted, "files": files})
    terminal.show_one({"deleted": deleted, "files": files, "is_finished": is_finished})


def _delete_files(older_than: timedelta | None) -> int:
    """Delete the files of exports that ended so long ago; return how many there were."""
    if older_than is None:
        return 0
    before, deleted = clock.now() - older_than, 0
    while found := exporting.delete_files(before, FILES):
        deleted += found
    return deleted


def _within(seconds: int | None, batches: Iterator[int]) -> Iterator[int | None]:
    """Yield what batches yield, and then None if the time is over before they are."""
    give_up_at = None if seconds is None else time.monotonic() + seconds
    for one in batches:
        yield one
        if give_up_at is not None and time.monotonic() >= give_up_at:
            yield None


PRUNE = Verb(
    name="prune",
    help="Delete finished runs by age or number; active ones and their kin stay.",
    run=_prune,
    arguments=_prune_arguments,
)


# recover


def _recover_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--worker", type=text, metavar="ID", help="Only this one's (default: all silent ones')."
    )
    add_reason(parser)


def _recover(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    given = options["worker"]
    left = rows_of_workers.left() if given is None else [worker_id(given)]
    if not left:
        terminal.say("No worker is silent: nothing is to be taken back.")
    terminal.show_results([workers.recover(operator, one) for one in left])


RECOVER = Verb(
    name="recover",
    help="Take the runs of silent workers back now, without waiting for a worker to notice.",
    run=_recover,
    arguments=_recover_arguments,
)


# roles

VIEWERS, OPERATORS, ADMINS = "Durable viewers", "Durable operators", "Durable admins"

_OPERATED = frozenset(
    {
        "view_payload",
        "start_workflow",
        "cancel_workflow",
        "resume_workflow",
        "fork_workflow",
        "send_message",
        "pause_queue",
        "pause_schedule",
        "trigger_schedule",
        "backfill_schedule",
        "answer_approval",
    }
)
"""What operators may do besides looking; deleting, tuning, exporting and workers are the admins'."""


def _roles(terminal: Terminal, options: dict[str, Any]) -> None:
    permissions = list(Permission.objects.filter(content_type__app_label=APP))
    views = {one.codename for one in permissions if one.codename.startswith("view_")} - {"view_payload"}
    wanted = {
        VIEWERS: views,
        OPERATORS: views | _OPERATED,
        ADMINS: {one.codename for one in permissions},
    }
    rows = []
    for name, codenames in wanted.items():
        group, is_new = Group.objects.get_or_create(name=name)
        group.permissions.add(*(one for one in permissions if one.codename in codenames))
        rows.append({"group": name, "is_new": is_new, "permissions": sorted(codenames)})
    terminal.operator(options["reason"]).perform("roles", "", lambda: "", {"groups": list(wanted)}, "group")
    terminal.show(rows, ("group", "is_new", "permissions"), "group")


ROLES = Verb(
    name="roles",
    help="Make the groups Durable viewers, operators and admins, and give them their permissions.",
    run=_roles,
    arguments=add_reason,
)

VERBS = (PRUNE, RECOVER, ROLES)
