"""``durable run``: look at runs, and do something to them."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from durable_app import clock, handles
from durable_app.control import starting
from durable_app.control.operator import Operator, Result
from durable_app.control.starting import Order
from durable_app.filters import checked_filter
from durable_app.handles import WorkflowStatus
from durable_app.insight.payloads import payload, plain, redacted
from durable_app.insight.reasons import why
from durable_app.management.cli.arguments import (
    Noun,
    Verb,
    add_filters,
    add_ids,
    add_reason,
    filters_of,
    pair,
    positive,
    span,
    strict_json,
    value,
)
from durable_app.management.cli.terminal import NOT_FOUND, Failure, Terminal
from durable_app.store import listing

COLUMNS = ("workflow_id", "status", "name", "queue_name", "created_at", "finished_at", "waiting_for")
STEP_COLUMNS = ("step_id", "name", "output", "error", "child_workflow_id", "started_at", "finished_at")


def _row(workflow_id: str) -> Any:
    found = listing.one(workflow_id)
    if found is None:
        raise Failure(f"There is no run {workflow_id!r}.", NOT_FOUND)
    return found


def _shown(status: WorkflowStatus) -> dict[str, Any]:
    """Return a run's fields, its values redacted."""
    found = asdict(status)
    for name in ("input", "output"):
        found[name] = redacted(plain(found[name]))
    found["error"] = None if status.error is None else f"{type(status.error).__name__}: {status.error}"
    return found


def _list_arguments(parser: CommandParser) -> None:
    add_filters(parser)
    parser.add_argument("--limit", type=positive, default=50, help="At most so many (default: 50).")
    parser.add_argument("--oldest-first", action="store_true", help="Default: newest first.")
    parser.add_argument("--watch", type=span, metavar="SPAN", help="Print again and again.")


def _list(terminal: Terminal, options: dict[str, Any]) -> None:
    wanted = checked_filter(filters_of(options))
    while True:
        rows = listing.rows(
            wanted,
            limit=options["limit"],
            sort_desc=not options["oldest_first"],
            load_input=False,
            load_output=False,
        )
        shown = [_shown(handles.shown(row, load_input=False, load_output=False)) for row in rows]
        terminal.show(shown, COLUMNS, "workflow_id")
        if options["watch"] is None:
            return
        time.sleep(options["watch"].total_seconds())


def _one(parser: CommandParser) -> None:
    parser.add_argument("id", metavar="ID")


def _get(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_one(_shown(handles.shown(_row(options["id"]))))


def _steps(terminal: Terminal, options: dict[str, Any]) -> None:
    run = _row(options["id"])
    rows = []
    for row in listing.steps(run.workflow_id):
        found = asdict(handles.shown_step(row, load_output=False))
        output = payload(row.output, row.serialization, may_see=True)
        found["output"] = None if output is None else output.value
        found["error"] = row.error and str(handles.shown_step(row).error)
        rows.append(found)
    terminal.show(rows, STEP_COLUMNS, "step_id")


def _events(terminal: Terminal, options: dict[str, Any]) -> None:
    run = _row(options["id"])
    rows = []
    for row in run.events.all():
        shown = payload(row.value, row.serialization, may_see=True)
        rows.append({"key": row.key, "value": shown and shown.value, "updated_at": row.updated_at})
    terminal.show(rows, ("key", "value", "updated_at"), "key")


def _result(terminal: Terminal, options: dict[str, Any]) -> None:
    handle = handles.WorkflowHandle[Any](_row(options["id"]).workflow_id)
    wait = options["wait"].total_seconds() if options["wait"] else 0.0
    try:
        found = handle.get_result(timeout=wait)
    except Exception as error:
        raise Failure(f"{type(error).__name__}: {error}") from error
    terminal.stdout.write(json.dumps(redacted(plain(found)), indent=2, ensure_ascii=False))


def _result_arguments(parser: CommandParser) -> None:
    _one(parser)
    parser.add_argument("--wait", type=span, metavar="SPAN", help="Wait so long for the end.")


def _doctor(terminal: Terminal, options: dict[str, Any]) -> None:
    run = _row(options["id"])
    found = why(run)
    terminal.stdout.write(f"{run.name} {run.workflow_id} is {run.status}.")
    terminal.stdout.write(found.headline)
    for fact in found.facts:
        terminal.stdout.write(f"- {fact}")


# Doing something


def _start_arguments(parser: CommandParser) -> None:
    parser.add_argument("workflow", metavar="NAME", help="A registered workflow.")
    parser.add_argument("arguments", nargs="*", metavar="VALUE", help="Arguments: JSON, or else text.")
    parser.add_argument("--kwarg", action="append", default=[], type=pair, metavar="NAME=VALUE")
    parser.add_argument("--id", default="", help="The run's id.")
    parser.add_argument("--queue", default="default")
    parser.add_argument("--priority", type=positive, default=0)
    parser.add_argument("--delay", type=span, metavar="SPAN")
    parser.add_argument("--timeout", type=span, metavar="SPAN")
    add_reason(parser)


def _start(terminal: Terminal, options: dict[str, Any]) -> None:
    order = Order(
        workflow=options["workflow"],
        args=[value(text) for text in options["arguments"]],
        kwargs=dict(options["kwarg"]),
        workflow_id=options["id"],
        queue_name=options["queue"],
        priority=options["priority"],
        delay=options["delay"],
        timeout=options["timeout"],
    )
    terminal.show_results([starting.start(terminal.operator(options["reason"]), order)])


def _chosen(terminal: Terminal, options: dict[str, Any], what: str) -> list[str]:
    """Return the runs that were named, or that match; asks before many are changed."""
    filters = filters_of(options)
    ids = list(options["ids"])
    if ids == ["-"]:
        ids = [line.strip() for line in terminal.stdin if line.strip()]
    elif not ids and filters:
        found = listing.rows(checked_filter(filters), load_input=False, load_output=False)
        ids = [row.workflow_id for row in found]
    elif ids and filters:
        raise Failure("Give ids or conditions, not both.", 2)
    if not ids and not filters:
        raise Failure("Which runs? Give ids, or conditions.", 2)
    if not options["dry_run"]:
        terminal.confirm(len(ids), what, is_sure=options["yes"] or bool(options["ids"] and ids != ["-"]))
    return ids


Act = Callable[[Operator, list[str], dict[str, Any]], list[Result]]


def _on_many(name: str, act: Act) -> Callable[[Terminal, dict[str, Any]], None]:
    def run(terminal: Terminal, options: dict[str, Any]) -> None:
        ids = _chosen(terminal, options, name)
        if options["dry_run"]:
            terminal.show([{"workflow_id": one} for one in ids], ("workflow_id",), "workflow_id")
            return
        operator = terminal.operator(options["reason"])
        results: list[Result] = []
        for one in terminal.counting(ids, len(ids), name):
            results += act(operator, [one], options)
        terminal.show_results(results)

    return run


def _with_children(parser: CommandParser) -> None:
    add_ids(parser)
    parser.add_argument("--children", action="store_true", help="And all their descendants.")


def _fork_arguments(parser: CommandParser) -> None:
    _one(parser)
    parser.add_argument("--step", type=positive, default=1, help="The first step to run again (default: 1).")
    parser.add_argument("--forked-id", default="", help="The new run's id.")
    parser.add_argument("--to-version", default=None, metavar="VERSION", help="The version to run it.")
    add_reason(parser)


def _fork(terminal: Terminal, options: dict[str, Any]) -> None:
    extra = {"app_version": options["to_version"], "new_workflow_id": options["forked_id"]}
    operator = terminal.operator(options["reason"])
    terminal.show_results([operator.fork(options["id"], options["step"], **extra)])


def _rewind(terminal: Terminal, options: dict[str, Any]) -> None:
    terminal.show_results([terminal.operator(options["reason"]).rewind(options["id"], options["step"])])


def _rewind_arguments(parser: CommandParser) -> None:
    _one(parser)
    parser.add_argument("--step", type=positive, default=1, help="The first step to run again (default: 1).")
    add_reason(parser)


def _send_arguments(parser: CommandParser) -> None:
    _one(parser)
    parser.add_argument("message", type=strict_json, help="JSON.")
    parser.add_argument("--topic", default="")
    parser.add_argument("--key", default=None, help="Idempotency key.")
    add_reason(parser)


def _send(terminal: Terminal, options: dict[str, Any]) -> None:
    operator = terminal.operator(options["reason"])
    terminal.show_results(
        operator.send([options["id"]], options["message"], options["topic"], options["key"])
    )


def _tail_arguments(parser: CommandParser) -> None:
    _one(parser)
    parser.add_argument("--every", type=span, default=span("1s"), metavar="SPAN", help="Default: 1s.")


def _tail(terminal: Terminal, options: dict[str, Any]) -> None:
    for line in _new_lines(options["id"]):
        if line is None:
            time.sleep(options["every"].total_seconds())
        else:
            terminal.stdout.write(line)


def _new_lines(workflow_id: str) -> Iterator[str | None]:
    """Yield a line for every step as it is recorded, None for nothing new, until the run has ended."""
    seen: set[Any] = set()
    while True:
        run = _row(workflow_id)
        for step in listing.steps(workflow_id):
            if step.pk not in seen:
                seen.add(step.pk)
                place = handles.shown_step(step, load_output=False).step_id
                yield f"{step.finished_at:%H:%M:%S} {'✗' if step.error else '✓'} {place} {step.name}"
        if run.finished_at is not None:
            yield f"{clock.now():%H:%M:%S} {run.status}"
            return
        yield None


NOUN = Noun(
    name="run",
    help="workflow runs",
    verbs=(
        Verb(name="list", help="List runs, newest first.", run=_list, arguments=_list_arguments),
        Verb(name="get", help="Show a run.", run=_get, arguments=_one),
        Verb(name="steps", help="Show a run's recorded steps.", run=_steps, arguments=_one),
        Verb(name="events", help="Show what a run has published.", run=_events, arguments=_one),
        Verb(name="result", help="Print a run's result.", run=_result, arguments=_result_arguments),
        Verb(name="tail", help="Print steps as they are recorded.", run=_tail, arguments=_tail_arguments),
        Verb(name="doctor", help="Say why a run is where it is.", run=_doctor, arguments=_one),
        Verb(name="start", help="Start a run.", run=_start, arguments=_start_arguments),
        Verb(
            name="cancel",
            help="Cancel runs.",
            arguments=_with_children,
            run=_on_many(
                "cancel",
                lambda operator, ids, options: operator.cancel(ids, cancel_children=options["children"]),
            ),
        ),
        Verb(
            name="resume",
            help="Let cancelled or dead-lettered runs go on.",
            arguments=add_ids,
            run=_on_many("resume", lambda operator, ids, options: operator.resume(ids)),
        ),
        Verb(
            name="run-now",
            help="Start delayed or queued runs at once.",
            arguments=add_ids,
            run=_on_many("start", lambda operator, ids, options: operator.run_now(ids)),
        ),
        Verb(
            name="retry",
            help="Run unsuccessful runs again from the failed step, under new ids.",
            arguments=add_ids,
            run=_on_many("retry", lambda operator, ids, options: operator.retry(ids)),
        ),
        Verb(name="fork", help="Run a history again under a new id.", run=_fork, arguments=_fork_arguments),
        Verb(name="rewind", help="Run a finished run again.", run=_rewind, arguments=_rewind_arguments),
        Verb(name="send", help="Send a message to a run.", run=_send, arguments=_send_arguments),
        Verb(
            name="delete",
            help="Delete finished runs.",
            arguments=_with_children,
            run=_on_many(
                "delete",
                lambda operator, ids, options: operator.delete(ids, delete_children=options["children"]),
            ),
        ),
    ),
)
