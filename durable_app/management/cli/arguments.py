"""What commands are given: spans, times, numbers, JSON, filters."""

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from durable_app import clock
from durable_app.identifiers import is_storable
from durable_app.management.cli.terminal import Terminal

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One command below a noun."""

    name: str
    help: str
    run: Callable[[Terminal, dict[str, Any]], None]
    arguments: Callable[[CommandParser], None] = lambda parser: None


@dataclass(frozen=True, kw_only=True)
class Noun:
    """A thing that commands are about."""

    name: str
    help: str
    verbs: tuple[Verb, ...]


LONGEST = timedelta(days=36_500)

MOST = 2**31 - 1
"""The highest number that every database column takes."""


def text(given: str) -> str:
    """Return a text that databases store, or raise argparse's error."""
    if not is_storable(given):
        raise argparse.ArgumentTypeError(f"{given!r} has characters that databases do not store")
    return given


def filled(given: str) -> str:
    """Return a text that is not blank: an empty variable of a shell is no condition."""
    if not given.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text(given)


def span(given: str) -> timedelta:
    """Return a span such as "90s", "5m", "2h", "30d", or raise argparse's error."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw]?)", given.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{given!r} is no span such as 90s, 5m, 2h or 30d")
    seconds = float(found[1]) * UNITS[found[2] or "s"]
    if seconds > LONGEST.total_seconds():
        raise argparse.ArgumentTypeError(f"{given!r} is longer than a hundred years")
    return timedelta(seconds=seconds)


def moment(given: str) -> datetime:
    """Return a time in ISO 8601 (or a span ago), or raise argparse's error."""
    found = _time(given)
    return clock.now() - span(given) if found is None else found


def later(given: str) -> datetime:
    """Return a time in ISO 8601 (or a span from now), or raise argparse's error."""
    found = _time(given)
    return clock.now() + span(given) if found is None else found


def _time(given: str) -> datetime | None:
    try:
        found = parse_datetime(given)
        return make_aware(found) if found is not None and is_naive(found) else found
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(given: str) -> int:
    """Return a whole number above zero, or raise argparse's error."""
    number = _number(given)
    if not 0 < number <= MOST:
        raise argparse.ArgumentTypeError(f"{given!r} is not a whole number above zero")
    return number


def whole(given: str) -> int:
    """Return a whole number from zero on, such as 5000, 10k or 1M, or raise argparse's error."""
    number = _number(given)
    if not 0 <= number <= MOST:
        raise argparse.ArgumentTypeError(f"{given!r} is not a whole number from zero on")
    return number


def _number(given: str) -> int:
    found = re.fullmatch(r"([0-9]{1,12})([kM]?)", given.strip())
    return int(found[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[found[2]] if found else -1


def value(given: str) -> Any:
    """Return the JSON value of a text; what is no JSON is itself."""
    try:
        return json.loads(given)
    except (ValueError, RecursionError):
        return given


def strict_json(given: str) -> Any:
    """Return the JSON value of a text, or raise argparse's error."""
    try:
        return json.loads(given)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None


def pair(given: str) -> tuple[str, Any]:
    """Return name and JSON value of "name=value", or raise argparse's error."""
    name, equals, rest = text(given).partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{given!r} is not NAME=VALUE")
    return name, value(rest)


def add_reason(parser: CommandParser) -> None:
    """Add the reason that the audit keeps."""
    parser.add_argument("--reason", default="", type=text, help="Why; kept in the audit.")


def add_watch(parser: CommandParser) -> None:
    """Add the pause between two looks."""
    parser.add_argument(
        "--watch", type=span, nargs="?", const=span("2s"), metavar="SPAN", help="Look again and again (2s)."
    )


_TEXTS = (
    ("--status", "status", "a status, such as ERROR"),
    ("--name", "name", "a workflow's name"),
    ("--queue", "queue_name", "a queue"),
    ("--schedule", "schedule_name", "a schedule"),
    ("--app-version", "app_version", "a version"),
    ("--user", "user", "a user"),
    ("--worker", "worker", "a worker's id"),
    ("--parent", "parent_workflow_id", "a parent run's id"),
    ("--forked-from", "forked_from", "a run that they were forked from"),
    ("--id-prefix", "workflow_id_prefix", "ids that begin so"),
    ("--waiting-for", "waiting_for", "a wait, such as message, sleep or queue"),
)

_TIMES = (
    ("--since", "start_time", "Created since a time, or a span ago (1h)."),
    ("--until", "end_time", "Created until a time, or a span ago."),
    ("--ended-since", "completed_after", "Ended since then."),
    ("--ended-until", "completed_before", "Ended until then."),
)


def add_filters(parser: CommandParser) -> None:
    """Add the conditions on runs; the names are those of ``list_workflows``."""
    group = parser.add_argument_group("conditions, combined with AND; given twice, one is an OR")
    for flag, name, what in _TEXTS:
        group.add_argument(
            flag, dest=name, action="append", type=filled, metavar=name.upper(), help=f"Runs of {what}."
        )
    for flag, name, what in _TIMES:
        group.add_argument(flag, dest=name, type=moment, metavar="TIME", help=what)
    group.add_argument(
        "--attribute",
        dest="attributes",
        action="append",
        type=pair,
        metavar="NAME=VALUE",
        help="Runs with it.",
    )
    group.add_argument(
        "--queued", dest="queues_only", action="store_true", default=None, help="Active runs of queues."
    )


def filters_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the conditions that were given."""
    names = [name for _, name, _ in (*_TEXTS, *_TIMES)]
    found = {name: options[name] for name in (*names, "queues_only") if options[name] is not None}
    if options["attributes"]:
        found["attributes"] = dict(options["attributes"])
    return found
