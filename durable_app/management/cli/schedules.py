"""``durable schedule``: look at schedules, pause, trigger and backfill them."""

from datetime import datetime
from itertools import islice
from typing import Any

from django.core.management.base import CommandParser

from durable_app import clock
from durable_app.control import schedules as verbs
from durable_app.management.cli.arguments import Noun, Verb, add_reason, moment, positive
from durable_app.management.cli.terminal import NOT_FOUND, Failure, Terminal
from durable_app.recurrence import Recurrence
from durable_app.store import schedules
from durable_app.store.schedules import ScheduleInfo

COLUMNS = (
    "schedule_name",
    "schedule",
    "cron_timezone",
    "workflow_name",
    "status",
    "next_at",
    "last_fired_at",
)


def _found(name: str) -> ScheduleInfo:
    found = schedules.get(name)
    if found is None:
        raise Failure(f"There is no schedule {name!r}.", NOT_FOUND)
    return found


def _list(terminal: Terminal, options: dict[str, Any]) -> None:
    found = schedules.find(status=None, workflow_name=None, name_prefix=None)
    terminal.show(found, COLUMNS, "schedule_name")


def _get(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_one(_found(options["name"]))


def _named(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="SCHEDULE")


def _with_reason(parser: CommandParser) -> None:
    _named(parser)
    add_reason(parser)


def _pause(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results(
        [verbs.pause(terminal.operator(options["reason"]), _found(options["name"]).schedule_name)]
    )


def _resume(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results(
        [verbs.resume(terminal.operator(options["reason"]), _found(options["name"]).schedule_name)]
    )


def _trigger(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results(
        [verbs.trigger(terminal.operator(options["reason"]), _found(options["name"]).schedule_name)]
    )


def _delete(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results(
        [verbs.delete(terminal.operator(options["reason"]), _found(options["name"]).schedule_name)]
    )


def _next_arguments(parser: CommandParser) -> None:
    _named(parser)
    parser.add_argument("--count", type=positive, default=5, help="Default: 5.")


def _next(terminal: Terminal, options: dict[str, Any]) -> None:
    info = _found(options["name"])
    ticks = _ticks(info, clock.now(), datetime.max.replace(tzinfo=clock.now().tzinfo), options["count"])
    terminal.show([{"at": tick} for tick in ticks], ("at",), "at")


def _ticks(info: ScheduleInfo, start: datetime, end: datetime, most: int) -> list[datetime]:
    recurrence = Recurrence(info.schedule, info.cron_timezone or "UTC")
    return [recurrence.local(tick) for tick in islice(recurrence.between(start, end), most)]


def _backfill_arguments(parser: CommandParser) -> None:
    _named(parser)
    parser.add_argument("start", type=moment, help="A time, exclusive.")
    parser.add_argument("end", type=moment, help="A time, exclusive.")
    parser.add_argument("--dry-run", action="store_true", help="Only print the ticks.")
    add_reason(parser)


def _backfill(terminal: Terminal, options: dict[str, Any]) -> None:
    info = _found(options["name"])
    if options["dry_run"]:
        ticks = _ticks(info, options["start"], options["end"], 1000)
        terminal.show([{"at": tick} for tick in ticks], ("at",), "at")
        return
    operator = terminal.operator(options["reason"])
    terminal.show_results([verbs.backfill(operator, info.schedule_name, options["start"], options["end"])])


NOUN = Noun(
    name="schedule",
    help="schedules",
    verbs=(
        Verb(name="list", help="List schedules.", run=_list),
        Verb(name="get", help="Show a schedule.", run=_get, arguments=_named),
        Verb(name="next", help="Print when a schedule fires next.", run=_next, arguments=_next_arguments),
        Verb(name="pause", help="Let a schedule fire no more.", run=_pause, arguments=_with_reason),
        Verb(name="resume", help="Let a schedule fire again.", run=_resume, arguments=_with_reason),
        Verb(name="trigger", help="Start a run of a schedule now.", run=_trigger, arguments=_with_reason),
        Verb(
            name="backfill",
            help="Start the runs of past ticks.",
            run=_backfill,
            arguments=_backfill_arguments,
        ),
        Verb(name="delete", help="Delete a schedule.", run=_delete, arguments=_with_reason),
    ),
)
