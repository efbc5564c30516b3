"""Deleting finished runs in batches: never an active one, nor one whose parent or child is active.

Each batch looks at the next so many rows of an index and goes on behind them, so that what must stay is
not looked at again. Rows that others have locked are left for another time: any number may prune at once.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q

from durable_app.models import Status, Workflow
from durable_app.models.workflow import ACTIVE, TERMINAL
from durable_app.store import database, lifecycle
from durable_app.store.observing import limited

FINE = frozenset({Status.SUCCESS, Status.CANCELLED})
FAILED = frozenset(TERMINAL - FINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """Which runs are to go: those that ended before a time, with these statuses."""

    before: datetime
    statuses: frozenset[str] = TERMINAL


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What became of a batch: how many were deleted, and behind which row the next one begins."""

    deleted: int
    last: tuple[datetime, int] | None
    """End and number of the last row looked at; None: there are no more."""


@database.retried
def delete_ended(wanted: Ended, limit: int, after: tuple[datetime, int] | None = None) -> Batch:
    """Delete the next of the runs that ended before a time, oldest first."""
    rows = _rows().filter(finished_at__lt=wanted.before)
    if after is not None:
        ended, row = after
        rows = rows.filter(
            Q(finished_at__gt=ended) | Q(finished_at=ended, pk__gt=row), finished_at__gte=ended
        )
    window = list(rows.order_by("finished_at", "pk").values_list("finished_at", "pk", "status")[:limit])
    chosen = [pk for _, pk, status in window if status in wanted.statuses]
    deleted = _delete(Q(pk__in=chosen, finished_at__lt=wanted.before))
    return Batch(deleted=deleted, last=window[-1][:2] if len(window) == limit else None)


@database.retried
def oldest_to_keep(count: int) -> int | None:
    """Return the number of the last row among the newest ``count``; None if there are not so many."""
    if count == 0:
        newest: int | None = _rows().order_by("-pk").values_list("pk", flat=True).first()
        return None if newest is None else newest + 1
    found: int | None = _rows().order_by("-pk").values_list("pk", flat=True)[count - 1 : count].first()
    return found


@database.retried
def delete_below(row: int, limit: int, after: int = 0) -> tuple[int, int | None]:
    """Delete the next finished runs of lower numbers; return how many, and behind which to go on."""
    window = list(
        _rows().filter(pk__lt=row, pk__gt=after).order_by("pk").values_list("pk", flat=True)[:limit]
    )
    deleted = _delete(Q(pk__in=window))
    return deleted, window[-1] if len(window) == limit else None


@database.retried
def count(ended: list[Ended], below: int | None) -> int:
    """Return how many runs may be deleted that ended so, or that have lower numbers than a row."""
    wanted = Q(pk__in=[]) if below is None else Q(pk__lt=below)
    for one in ended:
        wanted |= Q(finished_at__lt=one.before, status__in=one.statuses)
    with limited():
        return int(_deletable(wanted).count())


def _delete(wanted: Q) -> int:
    """Delete those of the runs that have ended, and whose kin have, unless somebody holds them."""
    with database.transact():
        locked = _deletable(wanted).order_by("pk").select_for_update(skip_locked=True, of=("self",))
        return lifecycle.delete_rows(list(locked.values_list("pk", flat=True)))


def _deletable(wanted: Q) -> Any:
    parent = _rows().filter(workflow_id=OuterRef("parent_workflow_id"), status__in=ACTIVE)
    child = _rows().filter(parent_workflow_id=OuterRef("workflow_id"), status__in=ACTIVE)
    return _rows().filter(wanted, ~Exists(parent), ~Exists(child), status__in=TERMINAL)


@database.retried
def active_created_before(cutoff: datetime, limit: int, after: int = 0) -> list[tuple[int, str]]:
    """Return row and id of the next active runs that were created before a time."""
    rows = _rows().filter(status__in=ACTIVE, created_at__lt=cutoff, pk__gt=after).order_by("pk")
    return list(rows.values_list("pk", "workflow_id")[:limit])


def _rows() -> Any:
    return Workflow.objects.using(database.alias())
