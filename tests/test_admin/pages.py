"""Runs to look at, and a browser's eye for what a page would execute."""

import re
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import count
from typing import Any

from django.urls import reverse
from django.utils import timezone

from durable_app import clock
from durable_app.models import Queue, Schedule, Status, Step, Worker, Workflow
from durable_app.models.workflow import TERMINAL

LIST = "/admin/durable_app/workflow/"

ERROR = '{"type":"shop.Declined","message":"no money","args":["no money"],"state":{},"traceback":"T"}'

_numbers = count(1)


def made(status: str = Status.SUCCESS, **fields: Any) -> Workflow:
    """Write a run's row as the engine would leave it in a state."""
    now = clock.now()
    has_begun = status not in (Status.ENQUEUED, Status.DELAYED)
    values: dict[str, Any] = {
        "workflow_id": f"run-{next(_numbers)}",
        "name": "shop.checkout",
        "status": status,
        "queue_name": "default",
        "inputs": '{"args":[1],"kwargs":{}}',
        "output": '"paid"' if status == Status.SUCCESS else None,
        "error": ERROR if status == Status.ERROR else None,
        "attempt": 1,
        "waiting_for": "message “paid”" if status == Status.WAITING else "",
        "run_after": now + timedelta(hours=1) if status == Status.DELAYED else None,
        "recovery_attempts": 101 if status == Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED else 0,
        "max_recovery_attempts": 100,
        "created_at": now - timedelta(minutes=1),
        "enqueued_at": now - timedelta(minutes=1),
        "started_at": now - timedelta(seconds=50) if has_begun else None,
        "finished_at": now - timedelta(seconds=5) if status in TERMINAL else None,
        "updated_at": now,
    }
    return Workflow.objects.create(**{**values, **fields})


def with_steps(run: Workflow, *names: str, fails: bool = False) -> Workflow:
    """Write a run's recorded steps; the last one may be one that failed."""
    began = run.started_at or run.created_at
    for position, name in enumerate(names, 1):
        failed = fails and position == len(names)
        Step.objects.create(
            workflow_id=run.pk,
            position=position,
            name=name,
            output=None if failed else f'{{"step":{position}}}',
            error=ERROR if failed else None,
            started_at=began + timedelta(seconds=position),
            finished_at=began + timedelta(seconds=position, milliseconds=800),
            attempt=1,
        )
    return run


def worker(name: str, **fields: Any) -> Worker:
    now = clock.now()
    values: dict[str, Any] = {
        "id": name, "name": name, "hostname": "h", "process_space": "p", "pid": 1, "pid_started": "1",
        "started_at": now, "heartbeat_at": now, "expires_at": now + timedelta(days=1), "slots": 8,
    }  # fmt: skip
    return Worker.objects.create(**{**values, **fields})


def queue(name: str, **fields: Any) -> Queue:
    now = clock.now()
    return Queue.objects.create(name=name, created_at=now, updated_at=now, **fields)


def schedule(name: str, status: str, next_at: datetime | None) -> Schedule:
    now = clock.now()
    return Schedule.objects.create(
        name=name, workflow_name="w", cron="* * * * *", status=status, next_at=next_at,
        created_at=now, updated_at=now,
    )  # fmt: skip


def page_of(run: Workflow) -> str:
    return reverse("admin:durable_app_workflow_change", args=[run.pk])


def verb_page(run: Workflow, verb: str) -> str:
    return reverse("admin:durable_app_workflow_verb", args=[run.pk, verb])


class Inspector(HTMLParser):
    """Collects what a strict Content-Security-Policy would refuse, and what there is to click."""

    def __init__(self) -> None:
        super().__init__()
        self.offences: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if tag == "style" or (tag == "script" and "src" not in found):
            self.offences.append(f"<{tag}>")
        self.offences += [f"<{tag} {name}>" for name in found if name == "style" or name.startswith("on")]
        for name in ("href", "src", "action", "xlink:href"):
            address = re.sub(r"\s", "", found.get(name, "")).lower()
            if address.startswith(("javascript:", "data:", "http:", "https:", "//")):
                self.offences.append(f"<{tag} {name}={address}>")


def inspected(response: Any) -> Inspector:
    """Return what a page is made of; it may hold nothing that a strict policy refuses."""
    found = Inspector()
    found.feed(response.content.decode())
    assert found.offences == []
    return found


def at(minutes_ago: float) -> Any:
    return timezone.now() - timedelta(minutes=minutes_ago)
