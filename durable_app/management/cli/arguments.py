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


def span(text: str) -> timedelta:
    """Return a span such as "90s", "5m", "2h", "30d", or raise argparse's error."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span such as 90s, 5m, 2h or 30d")
    return timedelta(seconds=float(found[1]) * UNITS[found[2] or "s"])


def moment(text: str) -> datetime:
    """Return a time in ISO 8601 (or a span ago), or raise argparse's error."""
    try:
        found = parse_datetime(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found is None:
        return clock.now() - span(text)
    return make_aware(found) if is_naive(found) else found


def positive(text: str) -> int:
    """Return a whole number above zero, or raise argparse's error."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def value(text: str) -> Any:
    """Return the JSON value of a text; what is no JSON is itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def strict_json(text: str) -> Any:
    """Return the JSON value of a text, or raise argparse's error."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None


def pair(text: str) -> tuple[str, Any]:
    """Return name and JSON value of "name=value", or raise argparse's error."""
    name, equals, rest = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value(rest)


def add_ids(parser: CommandParser) -> None:
    """Add ids, filters instead of ids, and what a verb on many runs needs."""
    parser.add_argument("ids", nargs="*", metavar="ID", help='Runs; "-" reads them from stdin, a line each.')
    add_filters(parser)
    parser.add_argument("--yes", action="store_true", help="Do not ask before many runs are changed.")
    parser.add_argument("--dry-run", action="store_true", help="Only print the runs that would be changed.")
    add_reason(parser)


def add_reason(parser: CommandParser) -> None:
    """Add the reason that the audit keeps."""
    parser.add_argument("--reason", default="", help="Why; kept in the audit.")


def add_filters(parser: CommandParser) -> None:
    """Add the conditions on runs; the names are those of ``list_workflows``."""
    group = parser.add_argument_group("conditions, combined with AND")
    for flag, name, what in (
        ("--status", "status", "a status, such as ERROR"),
        ("--name", "name", "a workflow's name"),
        ("--queue", "queue_name", "a queue"),
        ("--schedule", "schedule_name", "a schedule"),
        ("--app-version", "app_version", "a version"),
        ("--user", "user", "a user"),
        ("--worker", "worker", "a worker's id"),
        ("--parent", "parent_workflow_id", "a parent run's id"),
    ):
        group.add_argument(flag, dest=name, action="append", metavar=name.upper(), help=f"Runs of {what}.")
    group.add_argument("--id-prefix", dest="workflow_id_prefix", help="Runs whose id begins so.")
    group.add_argument("--since", dest="start_time", type=moment, help="Created since a time or span (1h).")
    group.add_argument("--until", dest="end_time", type=moment, help="Created until a time or span ago.")
    group.add_argument("--attribute", dest="attributes", action="append", type=pair, help="NAME=VALUE.")
    group.add_argument("--queued", dest="queues_only", action="store_true", help="Active runs of queues.")


FILTERS = (
    "status", "name", "queue_name", "schedule_name", "app_version", "user", "worker", "parent_workflow_id",
    "workflow_id_prefix", "start_time", "end_time",
)  # fmt: skip


def filters_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the conditions that were given."""
    found = {name: options[name] for name in FILTERS if options.get(name)}
    if options.get("attributes"):
        found["attributes"] = dict(options["attributes"])
    if options.get("queues_only"):
        found["queues_only"] = True
    return found
