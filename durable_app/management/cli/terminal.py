"""What a command says: results on stdout in one of four formats, everything else on stderr."""

import getpass
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime, timedelta
from typing import Any, TextIO, TypeVar

from django.core.management.base import CommandError

from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Result
from durable_app.insight.payloads import plain
from durable_app.insight.timeline import short

T = TypeVar("T")

FORMATS = ("table", "json", "ndjson", "ids")

FAILED = 1
REFUSED = 3
NOT_FOUND = 4
PARTIAL = 5
"""Exit codes; 2 is argparse's, for a wrong command line."""

WIDEST = 60
"""Characters of a cell."""


class Failure(CommandError):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence, returncode=code)


@dataclass(kw_only=True)
class Terminal:
    """Where a command reads and writes."""

    stdout: Any
    stderr: Any
    stdin: TextIO
    form: str = "table"
    is_quiet: bool = False

    @property
    def is_watched(self) -> bool:
        """Whether a person sees what goes to stderr."""
        return not self.is_quiet and sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def operator(self, reason: str = "") -> Operator:
        """Return who types, as an operator."""
        return Operator(actor=Actor.at_terminal(getpass.getuser()), reason=reason)

    def say(self, sentence: str) -> None:
        """Tell a person something that is no result."""
        if not self.is_quiet:
            self.stderr.write(sentence)

    def show(self, rows: Iterable[Any], columns: Sequence[str], key: str) -> None:
        """Print rows: dicts or dataclasses; ``key`` is the column that ``-o ids`` prints."""
        found = [asdict(row) if is_dataclass(row) and not isinstance(row, type) else row for row in rows]
        match self.form:
            case "ids":
                self._lines(str(row[key]) for row in found)
            case "ndjson":
                self._lines(_json(row) for row in found)
            case "json":
                self.stdout.write(_json(found, indent=2))
            case _:
                self._table(found, columns)

    def show_one(self, row: Any) -> None:
        """Print one thing: JSON, or a line a field."""
        found = asdict(row) if is_dataclass(row) and not isinstance(row, type) else row
        if self.form != "table":
            self.stdout.write(_json(found, indent=2))
            return
        width = max(map(len, found), default=0)
        self._lines(f"{name:<{width}}  {_cell(value, None)}" for name, value in found.items())

    def show_results(self, results: Sequence[Result]) -> None:
        """Print what became of a verb; end with an exit code unless all was done."""
        rows = [
            {"target": one.target, "outcome": one.outcome, "made": one.made, "detail": one.detail}
            for one in results
        ]
        self.show(
            rows, ("target", "outcome", "made", "detail"), "made" if rows and rows[0]["made"] else "target"
        )
        undone = [one for one in results if not one.is_done]
        if not undone:
            return
        if len(undone) < len(results):
            raise Failure(f"{len(undone)} of {len(results)} were not done.", PARTIAL)
        missing = all(one.outcome == "failed" and "no such" in one.detail for one in undone)
        raise Failure(undone[0].detail, NOT_FOUND if missing else REFUSED)

    def confirm(self, count: int, what: str, *, is_sure: bool) -> None:
        """Let a person type the number before something is done to many; raises Failure."""
        if is_sure or count <= 1:
            return
        if not self.stdin.isatty():
            raise Failure(f"This would {what} {count} runs: add --yes to do it.", REFUSED)
        self.stderr.write(f"This will {what} {count} runs. Type {count} to go on: ", ending="")
        if self.stdin.readline().strip() != str(count):
            raise Failure("Nothing was done.", REFUSED)

    def counting(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Yield the items, and count them on stderr if somebody watches."""
        for number, item in enumerate(items, 1):
            yield item
            if self.is_watched:
                self.stderr.write(f"\r{what}: {number} of {total}", ending="")
        if self.is_watched and total:
            self.stderr.write("")

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)

    def _table(self, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
        if not rows:
            self.say("Nothing found.")
            return
        cells = [[_cell(row.get(name), WIDEST) for name in columns] for row in rows]
        head = [name.upper().replace("_", " ") for name in columns]
        widths = [max(len(row[at]) for row in [head, *cells]) for at in range(len(columns))]
        for row in [head, *cells]:
            self.stdout.write(
                "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
            )


def _cell(value: Any, widest: int | None) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M:%S}"
        case timedelta():
            text = short(value)
        case str():
            text = value
        case _:
            text = json.dumps(plain(value), ensure_ascii=False)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if widest is None or len(text) <= widest else f"{text[: widest - 1]}…"


def _json(value: Any, indent: int | None = None) -> str:
    def other(found: Any) -> Any:
        match found:
            case datetime():
                return found.isoformat()
            case timedelta():
                return found.total_seconds()
            case BaseException():
                return {"type": type(found).__name__, "message": str(found)}
            case _:
                return plain(found)

    return json.dumps(value, indent=indent, ensure_ascii=False, default=other)
