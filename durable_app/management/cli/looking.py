"""``durable run``: the verbs that only look."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from durable_app import clock, handles
from durable_app.engine.launch import checked_id
from durable_app.filters import checked_filter
from durable_app.insight import payloads
from durable_app.insight.payloads import plain, redacted
from durable_app.insight.reasons import why
from durable_app.management.cli.arguments import (
    Verb,
    add_filters,
    add_watch,
    filters_of,
    span,
    text,
    whole,
)
from durable_app.management.cli.failures import NOT_FOUND, Failure
from durable_app.management.cli.formats import to_json
from durable_app.management.cli.newest import add_limit, show_newest
from durable_app.management.cli.terminal import Terminal
from durable_app.store import listing

COLUMNS = ("workflow_id", "status", "name", "queue_name", "created_at", "finished_at", "waiting_for")
STEP_COLUMNS = ("step_id", "name", "output", "error", "child_workflow_id", "started_at", "finished_at")


def row_of(workflow_id: str) -> Any:
    """Return a run's row; raises Failure if there is none."""
    found = listing.one(checked_id(workflow_id))
    if found is None:
        raise Failure(f"There is no run {workflow_id!r}.", NOT_FOUND)
    return found


def one_run(parser: CommandParser) -> None:
    """Add the id of a run."""
    parser.add_argument("id", metavar="ID", type=text)


def _shown(row: Any, *, with_payloads: bool = True) -> dict[str, Any]:
    """Return a run's fields, its values redacted."""
    found = asdict(handles.shown(row, load_input=with_payloads, load_output=False))
    found["input"] = redacted(plain(found["input"]))
    found["attributes"] = payloads.attributes(found["attributes"]) or None
    if with_payloads:
        found |= _outcome(row)
    return found


def _outcome(row: Any) -> dict[str, Any]:
    output = payloads.payload(row.output, row.serialization, may_see=True)
    failure = payloads.failure(row.error, may_see=True)
    return {
        "output": None if output is None else output.value,
        "error": None if failure is None else _told(failure),
    }


def _told(failure: payloads.Failure) -> str:
    return ": ".join(filter(None, (failure.kind.removeprefix("builtins."), failure.message)))


def _list_arguments(parser: CommandParser) -> None:
    add_filters(parser)
    add_limit(parser)
    parser.add_argument("--offset", type=whole, default=0, metavar="N", help="Without the first so many.")
    parser.add_argument("--oldest-first", action="store_true", help="Default: newest first.")
    add_watch(parser)


def _list(terminal: Terminal, options: dict[str, Any]) -> None:
    wanted = checked_filter(filters_of(options))
    order = listing.Order(is_descending=not options["oldest_first"], offset=options["offset"])

    def fetch(last: Any, count: int) -> list[Any]:
        return listing.next_rows(wanted, order, None if last is None else last.pk, count)

    def draw() -> None:
        show_newest(terminal, options["limit"], COLUMNS, fetch, lambda row: _shown(row, with_payloads=False))

    terminal.watch(options["watch"], draw)


def _watched(parser: CommandParser) -> None:
    one_run(parser)
    add_watch(parser)


def _get(terminal: Terminal, options: dict[str, Any]) -> None:
    def draw() -> None:
        terminal.show_one(_shown(row_of(options["id"])), "workflow_id")

    terminal.watch(options["watch"], draw)


def _steps(terminal: Terminal, options: dict[str, Any]) -> None:
    def draw() -> None:
        run = row_of(options["id"])
        rows = [
            {**asdict(handles.shown_step(row, load_output=False)), **_outcome(row)}
            for row in listing.steps(run.workflow_id)
        ]
        terminal.show(rows, STEP_COLUMNS, "step_id")

    terminal.watch(options["watch"], draw)


def _events(terminal: Terminal, options: dict[str, Any]) -> None:
    def draw() -> None:
        rows = []
        for row in row_of(options["id"]).events.order_by("key"):
            shown = payloads.payload(row.value, row.serialization, may_see=True)
            rows.append({"key": row.key, "value": shown and shown.value, "updated_at": row.updated_at})
        terminal.show(rows, ("key", "value", "updated_at"), "key")

    terminal.watch(options["watch"], draw)


def _result_arguments(parser: CommandParser) -> None:
    one_run(parser)
    parser.add_argument("--wait", type=span, metavar="SPAN", help="Wait so long for the end.")


def _result(terminal: Terminal, options: dict[str, Any]) -> None:
    handle = handles.WorkflowHandle[Any](row_of(options["id"]).workflow_id)
    wait = options["wait"].total_seconds() if options["wait"] else 0.0
    try:
        found = handle.get_result(timeout=wait)
    except Exception as error:
        raise Failure(f"{type(error).__name__}: {error}") from error
    terminal.stdout.write(to_json(redacted(plain(found)), indent=2))


def _doctor(terminal: Terminal, options: dict[str, Any]) -> None:
    run = row_of(options["id"])
    found = why(run)
    if terminal.form in ("json", "ndjson"):
        status = {"workflow_id": run.workflow_id, "name": run.name, "status": run.status}
        terminal.show_one({**status, **asdict(found)})
        return
    terminal.line(f"{run.name} {run.workflow_id} is {run.status}.")
    terminal.line(found.headline)
    for fact in found.facts:
        terminal.line(f"- {fact}")


def _tail_arguments(parser: CommandParser) -> None:
    one_run(parser)
    parser.add_argument("--every", type=span, default=span("1s"), metavar="SPAN", help="Default: 1s.")


def _tail(terminal: Terminal, options: dict[str, Any]) -> None:
    row_of(options["id"])
    terminal.say(f"Times are in {timezone.get_current_timezone_name()}.")
    for line in _new_lines(options["id"]):
        if line is None:
            terminal.rest(options["every"])
        else:
            terminal.line(line)


def _new_lines(workflow_id: str) -> Iterator[str | None]:
    """Yield a line for every step as it is recorded, None for nothing new, until the run has ended."""
    seen: set[Any] = set()
    while True:
        run = row_of(workflow_id)
        for step in listing.steps(run.workflow_id):
            if step.pk not in seen:
                seen.add(step.pk)
                place = handles.shown_step(step, load_output=False).step_id
                at, sign = timezone.localtime(step.finished_at), "✗" if step.error else "✓"
                yield f"{at:%H:%M:%S} {sign} {place} {step.name}"
        if run.finished_at is not None:
            yield f"{timezone.localtime(clock.now()):%H:%M:%S} {run.status}"
            return
        yield None


DOCTOR = Verb(name="doctor", help="Say why a run is where it is.", run=_doctor, arguments=one_run)

VERBS = (
    Verb(name="list", help="List runs, newest first.", run=_list, arguments=_list_arguments),
    Verb(name="get", help="Show a run.", run=_get, arguments=_watched),
    Verb(name="steps", help="Show a run's recorded steps.", run=_steps, arguments=_watched),
    Verb(name="events", help="Show what a run has published.", run=_events, arguments=_watched),
    Verb(name="result", help="Print a run's result as JSON.", run=_result, arguments=_result_arguments),
    Verb(name="tail", help="Print steps as they are recorded.", run=_tail, arguments=_tail_arguments),
    DOCTOR,
)
