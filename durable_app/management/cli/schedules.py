"""``durable schedule``: look at schedules, pause, trigger and backfill them."""

from datetime import datetime
from itertools import islice
from typing import Any

from django.core.management.base import CommandParser

from durable_app import clock
from durable_app.control import schedules as verbs
from durable_app.management.cli.arguments import Noun, Verb, add_reason, add_watch, moment, positive, text
from durable_app.management.cli.failures import NOT_FOUND, Failure
from durable_app.management.cli.terminal import Terminal
from durable_app.recurrence import Recurrence
from durable_app.registry import registry
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

MOST_TICKS = 1_000
"""Ticks that a dry run prints."""


def _found(name: str) -> ScheduleInfo:
    found = schedules.get(name)
    if found is None:
        raise Failure(f"There is no schedule {name!r}.", NOT_FOUND)
    return found


def _list(terminal: Terminal, options: dict[str, Any]) -> None:
    def draw() -> None:
        found = schedules.find(status=None, workflow_name=None, name_prefix=None)
        terminal.show(found, COLUMNS, "schedule_name")

    terminal.watch(options["watch"], draw)


def _get(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_one(_found(options["name"]), "schedule_name")


def _named(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="SCHEDULE", type=text)


def _with_reason(parser: CommandParser) -> None:
    _named(parser)
    add_reason(parser)


def _pause(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([verbs.pause(operator, _found(options["name"]).schedule_name)])


def _resume(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([verbs.resume(operator, _found(options["name"]).schedule_name)])


def _trigger(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([verbs.trigger(operator, _found(options["name"]).schedule_name)])


def _delete(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results([verbs.delete(operator, _found(options["name"]).schedule_name)])


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
        ticks = _ticks(info, options["start"], options["end"], MOST_TICKS + 1)
        terminal.show([{"at": tick} for tick in ticks[:MOST_TICKS]], ("at",), "at")
        if len(ticks) > MOST_TICKS:
            terminal.say(f"{MOST_TICKS} of more.")
        return
    operator = terminal.operator(options["reason"])
    terminal.show_results([verbs.backfill(operator, info.schedule_name, options["start"], options["end"])])


def _sync_arguments(parser: CommandParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="Only print what would be done.")
    add_reason(parser)


def _sync(terminal: Terminal, options: dict[str, Any]) -> None:
    plan = schedules.plan([declared.definition for declared in registry.schedules.values()])
    if not options["dry_run"]:
        result = verbs.sync(terminal.operator(options["reason"]))
        if not result.is_done:
            terminal.show_results([result])
    rows = [{"schedule_name": name, "change": change} for name, change in plan.items()]
    terminal.show(rows, ("schedule_name", "change"), "schedule_name")


NOUN = Noun(
    name="schedule",
    help="schedules",
    verbs=(
        Verb(name="list", help="List schedules.", run=_list, arguments=add_watch),
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
        Verb(
            name="sync",
            help="Take over the schedules that the code declares, as a worker does at its start.",
            run=_sync,
            arguments=_sync_arguments,
        ),
    ),
)
