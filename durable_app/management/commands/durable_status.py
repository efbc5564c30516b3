"""``manage.py durable_status``: is all well? On one screen, and as an exit code."""

import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from durable_app import conf
from durable_app.insight.overview import Overview, overview
from durable_app.insight.timeline import short
from durable_app.management.cli.arguments import add_watch, positive, span
from durable_app.management.cli.failures import FAILED, Failure, explained
from durable_app.management.cli.formats import cell
from durable_app.management.cli.terminal import Terminal

DAY = timedelta(days=1)

QUEUE_COLUMNS = ("queue", "waiting", "oldest", "running", "delayed", "parked", "limit", "state")


class Command(BaseCommand):
    """Prints the overview."""

    help = "Shows queues, the oldest waits, workers and schedules; ends with 1 if something is not well."
    requires_system_checks = ["durable_app"]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
        parser.add_argument("--quiet", action="store_true", help="Print only what is not well.")
        parser.add_argument(
            "--over", type=span, default=DAY, metavar="SPAN", help="How far back failures count (1d)."
        )
        parser.add_argument("--rows", type=positive, default=12, metavar="N", help="At most N queues (12).")
        add_watch(parser)

    def handle(self, **options: Any) -> None:
        terminal = Terminal(
            stdout=self.stdout,
            stderr=self.stderr,
            stdin=sys.stdin,
            form=options["output"],
            is_quiet=options["quiet"],
        )
        seen: list[Overview] = []

        def draw() -> None:
            seen[:] = [overview(options["over"])]
            _print(terminal, seen[0], options["rows"])

        with explained():
            terminal.watch(options["watch"], draw)
        wrong = [banner for banner in seen[0].banners if banner.is_error]
        if wrong:
            things = "1 thing is" if len(wrong) == 1 else f"{len(wrong)} things are"
            raise Failure(f"{things} not well.", FAILED)


def _print(terminal: Terminal, seen: Overview, rows: int) -> None:
    if terminal.form == "json":
        well = not any(banner.is_error for banner in seen.banners)
        terminal.show_one({"is_well": well, **asdict(seen)})
        return
    for banner in seen.banners:
        terminal.line(f"{'!!' if banner.is_error else ' !'} {banner.sentence}")
    if terminal.is_quiet:
        return
    if not seen.banners:
        terminal.line("ok All is well.")
    _print_counts(terminal, seen)
    _print_queues(terminal, seen, rows)
    _print_failures(terminal, seen)


def _print_counts(terminal: Terminal, seen: Overview) -> None:
    counts, workers = seen.counts, seen.workers
    terminal.line("")
    terminal.line(
        f"runs         {counts.running} running, {counts.waiting} waiting{_since(seen, counts.oldest_at)}, "
        f"{counts.delayed} delayed, {counts.parked} parked, {counts.approvals} questions open"
    )
    terminal.line(
        f"{f'last {short(seen.window)}':<13}{counts.succeeded} succeeded, {counts.failed} failed, "
        f"{counts.cancelled} cancelled"
    )
    versions = ", ".join(f"{name or 'no version'}: {count}" for name, count in workers.versions)
    terminal.line(
        f"workers      {workers.live} live with {workers.slots} slots{versions and f' ({versions})'}, "
        f"{workers.quiet} quiet, {workers.silent} silent"
    )
    terminal.line(f"schedules    {_schedules(seen)}")
    kept = conf.options().RETENTION
    missing = any(banner.code == "migrations" for banner in seen.banners)
    terminal.line(f"retention    {'for ever' if kept is None else short(kept)}")
    terminal.line(f"migrations   {'are missing' if missing else 'are applied'}")


def _schedules(seen: Overview) -> str:
    found = seen.schedules
    soon = "none due within the hour"
    if found.due:
        name, at = found.due[0]
        soon = f"{name} in {short(at - seen.at)}"
    return f"{soon}; {len(found.missed)} overdue, {len(found.paused)} paused"


def _print_queues(terminal: Terminal, seen: Overview, rows: int) -> None:
    lines = sorted(seen.queues, key=lambda line: (-line.waiting, line.name))
    terminal.line("")
    shown = [
        {
            "queue": line.name,
            "waiting": line.waiting,
            "oldest": None if line.oldest_at is None else seen.at - line.oldest_at,
            "running": line.running,
            "delayed": line.delayed,
            "parked": line.parked,
            "limit": line.concurrency,
            "state": _state(line),
        }
        for line in lines[:rows]
    ]
    terminal.show(shown, QUEUE_COLUMNS, "queue")
    if len(lines) > rows:
        terminal.line(f"and {len(lines) - rows} more queues")


def _state(line: Any) -> str:
    if not line.exists:
        return "does not exist"
    if line.is_paused:
        return f"paused until {cell(line.paused_until)}" if line.paused_until else "paused"
    return "" if line.has_worker or not line.waiting else "no worker"


def _print_failures(terminal: Terminal, seen: Overview) -> None:
    if not seen.failures:
        return
    terminal.line("")
    shown = [
        {"failed": one.workflow, "with": one.error or "dead workers", "count": one.count, "last": one.last_at}
        for one in seen.failures
    ]
    terminal.show(shown, ("failed", "with", "count", "last"), "failed")


def _since(seen: Overview, oldest_at: datetime | None) -> str:
    return "" if oldest_at is None else f" (the oldest for {short(seen.at - oldest_at)})"
