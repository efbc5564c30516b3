"""Reading runs and steps for those who show them."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q
from django.db.models.functions import Left
from django.db.models.lookups import Exact
from django.utils import timezone

from durable_app.errors import InvalidOptionError
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import Status, Step, Wait, Workflow, WorkflowQuerySet
from durable_app.models.workflow import ACTIVE
from durable_app.store import database
from durable_app.store.observing import limited
from durable_app.store.waits import CODE

Names = str | Iterable[str] | None

Sight = Callable[[Any], Any]
"""Leaves those of a queryset of runs that somebody may know of."""

Moment = datetime | str | None
"""An aware time, or a text of ISO 8601."""

STATUSES = frozenset(Status.values)

ENDED = Q(finished_at__isnull=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which runs are wanted; conditions are combined with AND, alternatives of one with OR."""

    workflow_ids: Names = None
    workflow_id_prefix: Names = None
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
    error_type: Names = None
    """Classes of the errors that runs ended with, each with its module."""
    waiting_for: Names = None
    """Kinds of what runs wait for, see ``KINDS``."""
    queues_only: bool = False
    attributes: dict[str, Any] | None = None
    start_time: Moment = None
    end_time: Moment = None
    completed_after: Moment = None
    completed_before: Moment = None
    dequeued_after: Moment = None
    dequeued_before: Moment = None
    hides_default_queue: bool = False
    """Whether runs are seen as by one who knows neither the default queue nor parking: what was started, or
    waits, is PENDING already, and stands in no queue."""


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
    "start_time": "created_at__gte",
    "end_time": "created_at__lte",
    "completed_after": "finished_at__gte",
    "completed_before": "finished_at__lte",
    "dequeued_after": "started_at__gte",
    "dequeued_before": "started_at__lte",
}

RETRY = "durable.retry"
"""A failed try, which is no step of its own."""

SAME_PLACE = 100
"""Steps of one ``gather`` that are looked through for the last one."""

NEWS = ("message", "event", "stream", "result")
"""Kinds of what a parked run is told by others; it may wait for several."""

KINDS = frozenset({*NEWS, "approval", "sleep", "code", "queue", "delay"})
"""What a run can wait for: news, a person's answer, its time, code that fits its history, a worker that
takes it, its start."""

APPROVAL = Q(waiting_for__startswith="approval ")
"""It is never waited for together with other news, but its title may say anything."""

FILTERS = frozenset(field.name for field in fields(Filter))
MOMENTS = frozenset(_COMPARED)


def moment(name: str, given: Any) -> datetime | None:
    """Return a time that a filter is given; a naive one is in the project's time zone.

    Raises InvalidOptionError for what is none.
    """
    try:
        found = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        found = ""
    if found is None or isinstance(found, datetime):
        return timezone.make_aware(found) if found is not None and timezone.is_naive(found) else found
    raise InvalidOptionError(f"{name} is a datetime, or a text of ISO 8601, not {given!r}")


@database.retried
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
    with limited():
        return list(found[first : None if limit is None else first + limit])


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """In which order runs are gone through: that of their creation, or its reverse; without the first few."""

    is_descending: bool = True
    offset: int = 0


@database.retried
def next_rows(wanted: Filter, order: Order, after: int | None, limit: int) -> list[Workflow]:
    """Return the next runs behind a row (None: the first ones), without their payloads."""
    found = matching(wanted).defer("inputs", "output", "error")
    if after is not None:
        found = found.filter(**{"pk__lt" if order.is_descending else "pk__gt": after})
    first = order.offset if after is None else 0
    with limited():
        return list(found.order_by("-pk" if order.is_descending else "pk")[first : first + limit])


@database.retried
def ids(wanted: Filter) -> list[str]:
    """Return the ids of runs in the order of their creation."""
    with limited():
        return list(matching(wanted).order_by("pk").values_list("workflow_id", flat=True))


def matching(wanted: Filter) -> WorkflowQuerySet:
    """Return the runs that match, in no order."""
    found = Workflow.objects.using(database.alias()).filter(**_conditions(wanted))
    if wanted.workflow_id_prefix is not None:
        found = found.filter(_has_prefix("workflow_id", wanted.workflow_id_prefix))
    if wanted.error_type is not None:
        found = found.filter(_has_prefix("error", _heads_of(wanted.error_type)))
    if wanted.waiting_for is not None:
        found = found.filter(_waits_for(wanted.waiting_for))
    if wanted.queues_only:
        found = found.filter(queue_name__isnull=False, status__in=ACTIVE)
    if wanted.attributes:
        found = found.with_attributes(wanted.attributes)
    return _without_default_queue(found, wanted) if wanted.hides_default_queue else found


def _without_default_queue(found: WorkflowQuerySet, wanted: Filter) -> WorkflowQuerySet:
    if wanted.queues_only:
        found = found.exclude(queue_name=DEFAULT_QUEUE)
    if wanted.status is None:
        return found
    statuses = {wanted.status} if isinstance(wanted.status, str) else set(wanted.status)
    started = Q(status=Status.ENQUEUED, queue_name=DEFAULT_QUEUE)
    conditions = Q(status__in=statuses) & ~started
    if Status.PENDING in statuses:
        conditions |= started | Q(status=Status.WAITING)
    return found.filter(conditions)


def _has_prefix(column: str, prefixes: Names) -> Q:
    """Return the condition that a value begins with one of these texts; LIKE would ignore case on SQLite."""
    texts = [prefixes] if isinstance(prefixes, str) else list(prefixes or ())
    if "" in texts:
        return Q()
    conditions = [Q(Exact(Left(column, len(text)), text)) for text in texts]
    return reduce(or_, conditions, Q(pk__in=[]))


def _waits_for(kinds: Names) -> Q:
    """Return the condition that a run waits for one of these kinds of things."""
    names = [kinds] if isinstance(kinds, str) else list(kinds or ())
    return reduce(or_, map(_waits_for_one, names), Q(pk__in=[]))


def _waits_for_one(kind: str) -> Q:
    if kind in ("queue", "delay"):
        return Q(status=Status.ENQUEUED if kind == "queue" else Status.DELAYED)
    parked = Q(status=Status.WAITING)
    match kind:
        case "sleep":
            return parked & Q(waiting_for="sleep")
        case "code":
            waits = Wait.objects.using(database.alias()).filter(key=CODE)
            return parked & Q(pk__in=waits.values("workflow_id"))
        case "approval":
            return parked & APPROVAL
        case _:
            words = Q(waiting_for__startswith=f"{kind} ") | Q(waiting_for__contains=f", {kind} ")
            return parked & words & ~APPROVAL


def _heads_of(error_types: Names) -> list[str]:
    """Return how stored errors of these classes begin, ours and portable ones."""
    names = [error_types] if isinstance(error_types, str) else list(error_types or ())
    return [f'{{"{key}":{json.dumps(name)}' for name in names for key in ("type", "name")]


def _conditions(wanted: Filter) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    for name, column in _EQUAL.items():
        value = getattr(wanted, name)
        if value is not None and not (name == "status" and wanted.hides_default_queue):
            values = [value] if isinstance(value, str) else list(value)
            conditions[f"{column}__in"] = values
    for name, lookup in _COMPARED.items():
        value = getattr(wanted, name)
        if value is not None:
            conditions[lookup] = moment(name, value)
    if wanted.was_forked_from is not None:
        conditions["was_forked_from"] = wanted.was_forked_from
    if wanted.has_parent is not None:
        conditions["parent_workflow_id__isnull"] = not wanted.has_parent
    if wanted.is_fork is not None:
        conditions["forked_from__isnull"] = not wanted.is_fork
    return conditions


@database.retried
def one(workflow_id: str, sight: Sight = lambda runs: runs) -> Workflow | None:
    """Return a run with its payloads; ``sight`` leaves out what the asker may not know of."""
    found: Workflow | None = sight(
        Workflow.objects.using(database.alias()).filter(workflow_id=workflow_id)
    ).first()
    return found


@database.retried
def steps(
    workflow_id: str, limit: int | None = None, offset: int | None = None, *, load_output: bool = True
) -> list[Step]:
    """Return a run's steps in the order of their positions."""
    found = Step.objects.using(database.alias()).filter(workflow__workflow_id=workflow_id)
    if not load_output:
        found = found.defer("output", "error")
    first = offset or 0
    with limited():
        if not first and limit is None:
            return sorted(found, key=_place)
        # The order of branches is not the database's: 1.10 comes after 1.9.
        keys = sorted(found.only("position", "branch"), key=_place)
        page = keys[first : None if limit is None else first + limit]
        if not page:
            return []
        around = found.filter(position__range=(page[0].position, page[-1].position))
        return [
            step for step in sorted(around, key=_place) if _place(page[0]) <= _place(step) <= _place(page[-1])
        ]


@database.retried
def last_failed_step(run: int) -> tuple[str, str] | None:
    """Return the place and name of the last step of a run that is recorded with an error, if there is one."""
    failed = Step.objects.using(database.alias()).filter(workflow_id=run, error__isnull=False)
    found = failed.exclude(name=RETRY).only("position", "branch", "name").order_by("-position")[:SAME_PLACE]
    last = max(found, key=_place, default=None)
    return None if last is None else (f"{last.position}{last.branch and '.'}{last.branch}", last.name)


def _place(step: Step) -> tuple[int, tuple[int, ...]]:
    return step.position, _path(step.branch)


def _path(branch: str) -> tuple[int, ...]:
    return tuple(int(part) for part in branch.split(".")) if branch else ()
