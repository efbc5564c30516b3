"""Each verb on each surface: how somebody uses it there, and what becomes of it."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.management import call_command
from django.urls import resolve

from durable_app import exporting, transfer
from durable_app.control import answering, bulk, changing, queues, schedules, workers
from durable_app.control.answering import Reply
from durable_app.control.changing import Change
from durable_app.control.operator import Operator, Result
from durable_app.errors import NonExistentApprovalError, PermissionDeniedError
from durable_app.models import BulkOperation
from durable_app.registry import ScheduleDefinition
from tests.test_admin.schedules import FORM, chimed
from tests.test_matrix.people import became_of, browser, operator_of

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)


def _defined(name: str) -> ScheduleDefinition:
    return ScheduleDefinition(name=name, workflow_name=chimed.name, cron="0 4 * * *")


def _same_queue(run: Any) -> dict[str, Any]:
    return {"queue_name": [run.queue_name]}


# control

CONTROL: dict[str, Callable[[Operator, Any], Any]] = {
    "queues.pause": queues.pause,
    "queues.resume": queues.resume,
    "queues.configure": lambda by, it: queues.configure(by, it, {"concurrency": 3}),
    "queues.reset": queues.reset,
    "queues.create": queues.create,
    "schedules.create": lambda by, it: schedules.save(by, _defined(f"{it.name}-new"), is_new=True),
    "schedules.change": lambda by, it: schedules.save(by, _defined(it.name), is_new=False),
    "schedules.delete": lambda by, it: schedules.delete(by, it.name),
    "schedules.pause": lambda by, it: schedules.pause(by, it.name),
    "schedules.resume": lambda by, it: schedules.resume(by, it.name),
    "schedules.trigger": lambda by, it: schedules.trigger(by, it.name),
    "schedules.backfill": lambda by, it: schedules.backfill(by, it.name, START, END),
    "schedules.sync": lambda by, it: schedules.sync(by),
    "workers.quiet": lambda by, it: workers.quiet(by, it.pk),
    "workers.stop": lambda by, it: workers.stop(by, it.pk),
    "workers.recover": lambda by, it: workers.recover(by, it.pk),
    "approvals.answer": lambda by, it: answering.answer(by, it.pk, Reply(approved=True)),
    "bulk.begin cancel": lambda by, it: bulk.begin(by, "cancel", _same_queue(it)),
    "bulk.begin delete": lambda by, it: bulk.begin(by, "delete", _same_queue(it)),
    "bulk.cancel": lambda by, it: bulk.cancel(by, it.pk),
    "exports.begin": lambda by, it: exporting.begin(by, _same_queue(it), "csv"),
    "runs.change": lambda by, it: changing.change(by, it.workflow_id, Change(attributes={"a": 1})),
}


def by_control(verb: str, user: Any, it: Any) -> str:
    try:
        result = CONTROL[verb](operator_of(user), it)
    except PermissionDeniedError:
        return "denied"
    except NonExistentApprovalError:
        return "missing"
    if not isinstance(result, Result):  # the number of an operation
        return begun()
    return "missing" if result.is_missing else result.outcome


def begun() -> str:
    """Return whether the newest operation has anything to do."""
    return "done" if BulkOperation.objects.latest("pk").matched else "nothing"


# the admin: a page, and what is posted

PAGES: dict[str, Callable[[Any], tuple[str, dict[str, Any]]]] = {
    "queues.pause": lambda it: (f"queue/{it}/verb/pause/", {}),
    "queues.resume": lambda it: (f"queue/{it}/verb/resume/", {}),
    "queues.configure": lambda it: (
        f"queue/{it}/verb/configure/",
        {"concurrency": "3", "initial-concurrency": "2"},
    ),
    "queues.reset": lambda it: (f"queue/{it}/verb/reset/", {}),
    "queues.create": lambda it: (f"queue/{it}/verb/create/", {}),
    "schedules.create": lambda it: (f"{_SCHEDULES}/add/", {**FORM, "name": f"{it.name}-new", "save": "yes"}),
    "schedules.change": lambda it: (f"{_SCHEDULES}/{it.pk}/edit/", {**FORM, "save": "yes"}),
    "schedules.delete": lambda it: (f"{_SCHEDULES}/{it.pk}/verb/delete/", {}),
    "schedules.pause": lambda it: (f"{_SCHEDULES}/{it.pk}/verb/pause/", {}),
    "schedules.resume": lambda it: (f"{_SCHEDULES}/{it.pk}/verb/resume/", {}),
    "schedules.trigger": lambda it: (f"{_SCHEDULES}/{it.pk}/verb/trigger/", {}),
    "schedules.backfill": lambda it: (
        f"{_SCHEDULES}/{it.pk}/backfill/",
        {"start": "2026-01-01T00:00", "end": "2026-01-03T00:00", "confirmed": "yes"},
    ),
    "workers.quiet": lambda it: (f"worker/{it.pk}/verb/quiet/", {}),
    "workers.stop": lambda it: (f"worker/{it.pk}/verb/stop/", {}),
    "workers.recover": lambda it: (f"worker/{it.pk}/verb/recover/", {}),
    "approvals.answer": lambda it: (f"approval/{it.pk}/change/", {"durable-answer": "approve"}),
    "bulk.begin cancel": lambda it: (f"workflow/bulk/cancel/?queue={it.queue_name}", {}),
    "bulk.begin delete": lambda it: (f"workflow/bulk/delete/?queue={it.queue_name}", {}),
    "bulk.cancel": lambda it: (f"bulkoperation/{it.pk}/cancel/", {}),
    "exports.runs": lambda it: (f"workflow/export/?queue={it.queue_name}", {"format": "csv"}),
    "exports.begin": lambda it: (f"workflow/export/?queue={it.queue_name}", {"format": "csv"}),
    "exports.download": lambda it: (f"workflow/exported/{it.pk}/", {}),
    "exports.run": lambda it: (f"workflow/{it.pk}/export/", {}),
    "exports.audit": lambda it: ("auditevent/export/", {"format": "csv"}),
}

_SCHEDULES = "schedule"


def by_admin(verb: str, user: Any, it: Any) -> str:
    path, posted = PAGES[verb](it)
    outcome = became_of(browser(user).post(f"/admin/durable_app/{path}", posted))
    return begun() if outcome == "done" and verb.startswith("bulk.begin") else outcome


def page_of(verb: str, it: Any) -> str:
    """Return the name of a verb's page, and of the verb where one page has several."""
    match = resolve(f"/admin/durable_app/{PAGES[verb](it)[0].partition('?')[0]}")
    return f"{match.url_name} {match.kwargs.get('name', '')}".strip().removeprefix("durable_app_")


# the API: a method, a path and a body

CALLS: dict[str, Callable[[Any], tuple[str, str, dict[str, Any]]]] = {
    "queues.pause": lambda it: ("POST", f"queues/{it}/pause", {}),
    "queues.resume": lambda it: ("POST", f"queues/{it}/resume", {}),
    "queues.configure": lambda it: ("PATCH", f"queues/{it}", {"concurrency": 3}),
    "schedules.create": lambda it: (
        "POST",
        "schedules",
        {"name": f"{it.name}-new", "workflow": chimed.name, "cron": "0 4 * * *"},
    ),
    "schedules.change": lambda it: ("PATCH", f"schedules/{it.name}", {"cron": "0 4 * * *"}),
    "schedules.delete": lambda it: ("DELETE", f"schedules/{it.name}", {}),
    "schedules.pause": lambda it: ("POST", f"schedules/{it.name}/pause", {}),
    "schedules.resume": lambda it: ("POST", f"schedules/{it.name}/resume", {}),
    "schedules.trigger": lambda it: ("POST", f"schedules/{it.name}/trigger", {}),
    "schedules.backfill": lambda it: (
        "POST",
        f"schedules/{it.name}/backfill",
        {"start": START.isoformat(), "end": END.isoformat()},
    ),
    "workers.quiet": lambda it: ("POST", f"workers/{it.pk}/quiet", {}),
    "workers.stop": lambda it: ("POST", f"workers/{it.pk}/stop", {}),
    "workers.recover": lambda it: ("POST", f"workers/{it.pk}/recover", {}),
    "approvals.answer": lambda it: ("POST", f"approvals/{it.pk}/answer", {"approved": True}),
    "bulk.begin cancel": lambda it: _on_queue("cancel", it),
    "bulk.begin delete": lambda it: _on_queue("delete", it),
    "bulk.cancel": lambda it: ("POST", f"bulk-operations/{it.pk}/cancel", {}),
    "exports.run": lambda it: ("GET", f"workflows/{it.workflow_id}/export", {}),
    "runs.change": lambda it: ("PATCH", f"workflows/{it.workflow_id}", {"attributes": {"a": 1}}),
    "runs.import": lambda it: ("POST", "workflows/import", exported(it)),
}


def _on_queue(verb: str, run: Any) -> tuple[str, str, dict[str, Any]]:
    return "POST", "bulk-operations", {"verb": verb, "filter": {"queue": [run.queue_name]}}


def exported(run: Any) -> Any:
    """Return a run as another database would have it, under an id that is not here."""
    found = json.loads(json.dumps(transfer.export_workflow(run.workflow_id)))
    found["runs"][0]["workflow"]["workflow_id"] += "-elsewhere"
    return found


def by_rest(verb: str, user: Any, it: Any) -> str:
    method, path, body = CALLS[verb](it)
    send = getattr(browser(user), method.lower())
    sent = (body,) if method == "GET" else (body, "application/json")
    outcome = became_of(send(f"/api/durable/v1/{path}", *sent))
    return begun() if outcome == "done" and verb.startswith("bulk.begin") else outcome


def route_of(verb: str, it: Any) -> str:
    """Return the method and the name of the route that a verb has in the API."""
    method, path, _body = CALLS[verb](it)
    return f"{method} {resolve(f'/api/durable/v1/{path}').url_name}"


# the terminal

_SPAN = [START.isoformat(), END.isoformat()]

TYPED: dict[str, Callable[[Any], list[str]]] = {
    "queues.pause": lambda it: ["queue", "pause", it],
    "queues.resume": lambda it: ["queue", "resume", it],
    "queues.configure": lambda it: ["queue", "set", it, "--concurrency", "3"],
    "queues.reset": lambda it: ["queue", "reset", it],
    "queues.drain": lambda it: ["queue", "drain", it],
    "schedules.delete": lambda it: ["schedule", "delete", it.name],
    "schedules.pause": lambda it: ["schedule", "pause", it.name],
    "schedules.resume": lambda it: ["schedule", "resume", it.name],
    "schedules.trigger": lambda it: ["schedule", "trigger", it.name],
    "schedules.backfill": lambda it: ["schedule", "backfill", it.name, *_SPAN],
    "schedules.sync": lambda it: ["schedule", "sync"],
    "workers.quiet": lambda it: ["worker", "quiet", it.pk],
    "workers.stop": lambda it: ["worker", "stop", it.pk],
    "workers.recover": lambda it: ["worker", "recover", it.pk],
    "workers.recover all": lambda it: ["recover", "--worker", it.pk],
    "approvals.answer": lambda it: ["approval", "answer", str(it.pk), "--approve"],
    "bulk.begin cancel": lambda it: ["run", "cancel", *_of_queue(it)],
    "bulk.begin delete": lambda it: ["run", "delete", *_of_queue(it)],
    "bulk.cancel": lambda it: ["bulk", "cancel", str(it.pk)],
    "exports.run": lambda it: ["run", "export", it.workflow_id],
    "runs.import": lambda it: ["run", "import"],
    "runs.prune": lambda it: ["prune", "--keep-rows", "0"],
    "versions.set_latest": lambda it: ["version", "set-latest", "v1"],
    "roles": lambda it: ["roles"],
}


def _of_queue(run: Any) -> list[str]:
    return ["--queue", run.queue_name, "--in-background", "--yes"]


def at_terminal(verb: str, it: Any) -> None:
    """Type a verb's command."""
    stdin = io.StringIO(json.dumps(exported(it)) if verb == "runs.import" else "")
    words = TYPED[verb](it)
    call_command("durable", *words, stdin=stdin, stdout=io.StringIO(), stderr=io.StringIO())
