"""What a command says: results on stdout in one of five forms, everything else on stderr."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import timedelta
from typing import Any, TextIO, TypeVar

from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Result
from durable_app.management.cli.failures import FAILED, NOT_FOUND, PARTIAL, REFUSED, Failure, code_of
from durable_app.management.cli.formats import cell, columns, id_line, padded, to_json, visible

T = TypeVar("T")

FORMATS = ("table", "wide", "json", "ndjson", "ids")

WIDEST = 60
"""Columns of a table's cell; ``-o wide`` cuts nothing."""

BAR = 30
"""Columns of a progress bar."""

REDRAWN = 0.1
"""Seconds between two drawings of it."""


@dataclass(kw_only=True)
class Terminal:
    """Where a command reads and writes."""

    stdout: Any
    stderr: Any
    stdin: TextIO
    form: str = "table"
    is_quiet: bool = False
    is_interrupted: bool = False
    """Whether a Ctrl-C has ended some work before its end."""

    @property
    def is_for_people(self) -> bool:
        """Whether results are a table, and no data for programs."""
        return self.form in ("table", "wide")

    @property
    def is_watched(self) -> bool:
        """Whether a person sees what goes to stderr, and likes it to move."""
        return not self.is_quiet and self.stderr.isatty() and not os.environ.get("NO_COLOR")

    def operator(self, reason: str = "") -> Operator:
        """Return who types, as an operator."""
        return Operator(actor=Actor.at_terminal(os_user()), reason=reason)

    # Results

    def show(self, rows: Iterable[Any], columns: Sequence[str], key: str) -> None:
        """Print rows: dicts or dataclasses; ``key`` is the column that ``-o ids`` prints."""
        found = map(_as_dict, rows)
        match self.form:
            case "ids":
                self._lines(id_line(str(row[key])) for row in found)
            case "ndjson":
                self._lines(to_json(row) for row in found)
            case "json":
                self.stdout.write(to_json(list(found), indent=2))
            case _:
                self._table(list(found), columns)

    def show_one(self, row: Any, key: str = "") -> None:
        """Print one thing: a line a field, JSON, or only its ``key``."""
        found = _as_dict(row)
        match self.form:
            case "ids" if key:
                self.stdout.write(id_line(str(found[key])))
            case "ndjson":
                self.stdout.write(to_json(found))
            case "table" | "wide":
                width = max(map(len, found), default=0)
                self._lines(f"{name:<{width}}  {cell(value)}" for name, value in found.items())
            case _:
                self.stdout.write(to_json(found, indent=2))

    def line(self, text: str) -> None:
        """Print a line of a report."""
        self.stdout.write(visible(text))

    def show_results(self, results: Sequence[Result]) -> None:
        """Print what became of a verb; end with an exit code unless all was done."""
        shown = [one for one in results if one.is_done] if self.form == "ids" else results
        rows = [
            {
                "target": one.target,
                "outcome": one.outcome,
                "made": one.made,
                "detail": one.detail,
                "id": one.made or one.target,
            }
            for one in shown
        ]
        self.show(rows, ("target", "outcome", "made", "detail"), "id")
        undone = [one for one in results if not one.is_done]
        if not undone:
            return
        if len(undone) < len(results):
            raise Failure(f"{len(undone)} of {len(results)} were not done.", PARTIAL)
        raise Failure(undone[0].detail, _code(undone))

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)

    def _table(self, rows: list[dict[str, Any]], names: Sequence[str]) -> None:
        if not rows:
            self.say("Nothing found.")
            return
        widest = WIDEST if self.form == "table" else None
        head = [name.upper().replace("_", " ") for name in names]
        lines = [head, *([cell(row.get(name), widest) for name in names] for row in rows)]
        widths = [max(columns(line[at]) for line in lines) for at in range(len(names))]
        for line in lines:
            cells = (padded(text, width) for text, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    # Words to a person

    def say(self, sentence: str) -> None:
        """Tell a person something that is no result."""
        if not self.is_quiet:
            self._tell(visible(sentence), "\n")

    def _tell(self, text: str, ending: str) -> None:
        self.stderr.write(text, str, ending)  # Django's own style for it is an error's
        self.stderr.flush()

    def confirm(self, count: int, what: str, *, is_sure: bool) -> None:
        """Let a person type the number before something is done to many; raises Failure."""
        if is_sure or not count:
            return
        runs = "1 run" if count == 1 else f"{count} runs"
        if not self.stdin.isatty():
            raise Failure(f"This would {what} {runs}: add --yes to do it.", REFUSED)
        self._tell(f"This will {what} {runs}. Type {count} to go on: ", "")
        if self.stdin.readline().strip() != str(count):
            raise Failure("Nothing was done.", REFUSED)

    def watch(self, pause: timedelta | None, draw: Callable[[], None]) -> None:
        """Draw once, or again and again with pauses, until Ctrl-C."""
        while True:
            if pause is not None and self.is_for_people and self.stdout.isatty():
                self.stdout.write("\x1b[2J\x1b[H", ending="")
            draw()
            if pause is None:
                return
            self.rest(pause)

    def rest(self, pause: timedelta) -> None:
        """Wait before the next look; what was printed is seen meanwhile."""
        self.stdout.flush()
        time.sleep(pause.total_seconds())

    # Long work

    def counting(self, items: Iterable[T], total: int | None, what: str) -> Iterator[T]:
        """Yield the items, and count them on stderr if somebody watches.

        The first Ctrl-C lets the present item be the last, the second one ends the command at once.
        """
        is_watched, drawn_at, number = self.is_watched, float("-inf"), 0
        try:
            with _draining(self):
                for number, item in enumerate(items, 1):
                    yield item
                    if is_watched and (number == total or time.monotonic() - drawn_at > REDRAWN):
                        self._tell(f"\r{_bar(what, number, total)}", "")
                        drawn_at = time.monotonic()
                    if self.is_interrupted:
                        break
        finally:
            if is_watched and number:
                self._tell(f"\r{_bar(what, number, total)}", "\n")


def _bar(what: str, number: int, total: int | None) -> str:
    if not total:
        return f"{what}: {number}"
    filled = BAR * min(number, total) // total
    return f"{what} [{'#' * filled}{'.' * (BAR - filled)}] {number} of {total}"


@contextlib.contextmanager
def _draining(terminal: Terminal) -> Iterator[None]:
    """Turn the first Ctrl-C into a note; the one after it is Python's again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def drain(number: int, frame: Any) -> None:
        terminal.is_interrupted = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, drain)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _as_dict(row: Any) -> dict[str, Any]:
    found: dict[str, Any] = asdict(row) if is_dataclass(row) and not isinstance(row, type) else row
    return found


def _code(undone: Sequence[Result]) -> int:
    """Return the exit code when nothing was done."""
    if all(one.is_missing for one in undone):
        return NOT_FOUND
    codes = {code_of(one.error) for one in undone if one.outcome == "failed"}
    return max(codes, default=REFUSED) if len(codes) < 2 else FAILED


def os_user() -> str:
    """Return who types, as the operating system knows them: also who has become somebody else."""
    try:
        import pwd  # noqa: PLC0415  (Windows has none)

        name = pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        name = os.environ.get("USERNAME") or f"uid {getattr(os, 'getuid', int)()}"
    before = os.environ.get("SUDO_USER", "")
    return f"{before} as {name}"[:255] if before and before != name else name
