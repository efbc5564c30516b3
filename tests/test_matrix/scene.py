"""Something of everything, to be looked at: each with a secret value, and with something in the audit."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from django.core.files.base import ContentFile

from durable_app import clock, exporting
from durable_app.models import (
    Approval,
    AuditEvent,
    BulkOperation,
    Event,
    Message,
    Schedule,
    Status,
    Step,
    StreamEntry,
    Worker,
    Workflow,
)
from tests.test_admin.pages import made, queue, with_steps, worker
from tests.test_admin.schedules import scheduled_row

SECRET = "s3same"
"""Stands in every value of the scene."""

TEXT = f'"{SECRET}"'

HELD = "held"
"""Begins the id of the run that the schedule has started and the worker executes."""

REASON = "for-the-audit-only"
"""Stands in the audit of everything."""

_numbers = count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One of each."""

    run: Workflow
    question: Approval
    schedule: Schedule
    queue: str
    worker: Worker
    operation: BulkOperation
    export: BulkOperation
    """Whose file is there."""
    event: AuditEvent


def scene(tenant: Any, name: str = "tenant") -> Scene:
    """Write one of each, whose runs bear a name; the operations are the tenant's if that is the name."""
    now, number = clock.now(), next(_numbers)
    whose = str(tenant.pk) if name == "tenant" else "4711"
    by = {"actor_kind": "user", "actor_id": whose, "created_at": now}
    run = _run(name)
    found = Scene(
        run=run,
        question=Approval.objects.create(
            workflow=made(Status.WAITING, user=name), position=1, title="Pay?", created_at=now,
            closed_at=now, approved=True, values=TEXT, form="shop.Form",
        ),
        schedule=scheduled_row(f"matrix-{number}", context=TEXT),
        queue=queue(f"matrix-{number}").name,
        worker=worker(f"matrix-{number}"),
        operation=BulkOperation.objects.create(
            workflow_id=f"operation-{number}", verb="send", options={"message": SECRET}, **by
        ),
        export=BulkOperation.objects.create(
            verb="export", options={"format": "csv", "payloads": True}, **by,
            file=exporting.storage().save(f"{number}.csv", ContentFile(SECRET.encode())),
        ),
        event=_event("workflow", run.workflow_id),
    )  # fmt: skip
    made(
        Status.PENDING, user=name, workflow_id=f"{HELD}-{number}", worker_id=found.worker.pk,
        schedule_name=found.schedule.name, started_at=now,
    )  # fmt: skip
    for kind, target in _targets(found):
        _event(kind, target)
    return found


def _run(user: str) -> Workflow:
    now = clock.now()
    run = made(user=user, output=TEXT, inputs=f'{{"args":[{TEXT}],"kwargs":{{}}}}')
    with_steps(run, "first")
    Step.objects.filter(workflow_id=run.pk).update(output=TEXT)
    Event.objects.create(workflow=run, key="key", value=TEXT, updated_at=now)
    Message.objects.create(destination=run, topic="topic", value=TEXT, sent_at=now)
    StreamEntry.objects.create(
        workflow=run, key="key", offset=0, value=TEXT, position=1, written_at=now
    )  # fmt: skip
    return run


def _targets(found: Scene) -> Iterable[tuple[str, str]]:
    return [
        ("approval", str(found.question.pk)),
        ("schedule", found.schedule.name),
        ("queue", found.queue),
        ("worker", found.worker.pk),
        ("bulk operation", found.operation.workflow_id),
    ]


def _event(kind: str, target: str) -> AuditEvent:
    return AuditEvent.objects.create(
        at=clock.now(), verb="seen", outcome="done", actor_kind="user", actor_label="eve",
        target_kind=kind, target_id=target, reason=REASON,
    )  # fmt: skip
