"""Lists that grow: people see the newest rows, and hear that there are more; programs get all of them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.core.management.base import CommandParser

from durable_app.management.cli.arguments import positive
from durable_app.management.cli.terminal import Terminal

SHOWN = 50
"""Rows of a table."""

BATCH = 500
"""Rows that are fetched at once."""

Fetch = Callable[[Any, int], list[Any]]
"""Returns the next rows behind one (None: the first ones), so many at most."""


def add_limit(parser: CommandParser) -> None:
    """Add how many rows are wanted."""
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help=f"At most so many; default: {SHOWN} in a table, all in other forms.",
    )


def show_newest(
    terminal: Terminal, limit: int | None, columns: Sequence[str], fetch: Fetch, shown: Callable[[Any], Any]
) -> None:
    """Print the rows of a list; its first column is its key."""
    if not terminal.is_for_people:
        terminal.show(map(shown, islice(_each(fetch), limit)), columns, columns[0])
        return
    most = limit or SHOWN
    rows = fetch(None, most + 1)
    terminal.show(map(shown, rows[:most]), columns, columns[0])
    if len(rows) > most:
        terminal.say(f"{most} of more: --limit N")


def _each(fetch: Fetch) -> Iterator[Any]:
    rows = fetch(None, BATCH)
    while rows:
        yield from rows
        rows = fetch(rows[-1], BATCH) if len(rows) == BATCH else []
