"""Reading runs and steps for those who show them."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from durable_app.models import Step, Workflow, WorkflowQuerySet
from durable_app.models.workflow import ACTIVE
from durable_app.store import database

Names = str | Iterable[str] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which runs are wanted; conditions are combined with AND, alternatives of one with OR."""

    workflow_ids: Names = None
    workflow_id_prefix: str | None = None
    status: Names = None
    name: Names = None
    queue_name: Names = None
    app_version: Names = None
    user: Names = None
    worker: Names = None
    schedule_name: Names = None
    parent_workflow_id: Names = None
    has_parent: bool | None = None
    forked_from: Names = None
    is_fork: bool | None = None
    was_forked_from: bool | None = None
    queues_only: bool = False
    attributes: dict[str, Any] | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    completed_after: datetime | None = None
    completed_before: datetime | None = None
    dequeued_after: datetime | None = None
    dequeued_before: datetime | None = None


_EQUAL = {
    "workflow_ids": "workflow_id",
    "status": "status",
    "name": "name",
    "queue_name": "queue_name",
    "app_version": "app_version",
    "user": "user",
    "worker": "worker_id",
    "schedule_name": "schedule_name",
    "parent_workflow_id": "parent_workflow_id",
    "forked_from": "forked_from",
}

_COMPARED = {
    "workflow_id_prefix": "workflow_id__startswith",
    "was_forked_from": "was_forked_from",
    "start_time": "created_at__gte",
    "end_time": "created_at__lte",
    "completed_after": "finished_at__gte",
    "completed_before": "finished_at__lte",
    "dequeued_after": "started_at__gte",
    "dequeued_before": "started_at__lte",
}

FILTERS = frozenset(field.name for field in fields(Filter))


def rows(
    wanted: Filter,
    *,
    limit: int | None = None,
    offset: int | None = None,
    sort_desc: bool = False,
    load_input: bool = True,
    load_output: bool = True,
) -> list[Workflow]:
    """Return runs in the order of their creation, or the reverse."""
    found = matching(wanted)
    hidden = ([] if load_input else ["inputs"]) + ([] if load_output else ["output", "error"])
    found = found.defer(*hidden).order_by("-pk" if sort_desc else "pk")
    first = offset or 0
    return list(found[first : None if limit is None else first + limit])


def matching(wanted: Filter) -> WorkflowQuerySet:
    """Return the runs that match, in no order."""
    found = Workflow.objects.using(database.alias()).filter(**_conditions(wanted))
    if wanted.queues_only:
        found = found.filter(queue_name__isnull=False, status__in=ACTIVE)
    if wanted.attributes:
        found = found.with_attributes(wanted.attributes)
    return found


def _conditions(wanted: Filter) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    for name, column in _EQUAL.items():
        value = getattr(wanted, name)
        if value is not None:
            values = [value] if isinstance(value, str) else list(value)
            conditions[f"{column}__in"] = values
    for name, lookup in _COMPARED.items():
        value = getattr(wanted, name)
        if value is not None:
            conditions[lookup] = value
    if wanted.has_parent is not None:
        conditions["parent_workflow_id__isnull"] = not wanted.has_parent
    if wanted.is_fork is not None:
        conditions["forked_from__isnull"] = not wanted.is_fork
    return conditions


@database.retried
def one(workflow_id: str) -> Workflow | None:
    """Return a run with its payloads."""
    return Workflow.objects.using(database.alias()).filter(workflow_id=workflow_id).first()


@database.retried
def steps(workflow_id: str, limit: int | None = None, offset: int | None = None) -> list[Step]:
    """Return a run's steps in the order of their positions."""
    found = Step.objects.using(database.alias()).filter(workflow__workflow_id=workflow_id)
    first = offset or 0
    ordered = sorted(found, key=lambda step: (step.position, _path(step.branch)))
    return ordered[first : None if limit is None else first + limit]


def _path(branch: str) -> tuple[int, ...]:
    return tuple(int(part) for part in branch.split(".")) if branch else ()
