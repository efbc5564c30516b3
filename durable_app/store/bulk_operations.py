"""Bulk operations: which runs they match, and how far they have come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Max

from durable_app import clock
from durable_app.models import BulkOperation, Workflow
from durable_app.store import database, listing
from durable_app.store.listing import Filter

COUNTED = 10_000
"""Matches are counted up to here; more are shown as so many and more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a bulk operation is to do, for whom, and why."""

    workflow_id: str
    verb: str
    filter: dict[str, Any]
    options: dict[str, Any]
    reason: str
    actor_kind: str
    actor_id: str
    actor_label: str


Sight = Callable[[Any], Any]
"""Leaves those of a queryset of runs that the operator may know of."""


@database.retried
def create(plan: Plan, sight: Sight) -> int:
    """Write a new bulk operation on the runs that exist now; return its number."""
    newest = _runs().aggregate(newest=Max("pk"))["newest"] or 0
    row = BulkOperation(
        workflow_id=plan.workflow_id,
        verb=plan.verb,
        filter=plan.filter,
        options=plan.options,
        reason=plan.reason,
        actor_kind=plan.actor_kind,
        actor_id=plan.actor_id,
        actor_label=plan.actor_label,
        newest_run=newest,
        matched=matching(plan.filter, sight),
        created_at=clock.now(),
    )
    row.save(using=database.alias(), force_insert=True)
    return int(row.pk)


@database.retried
def matching(conditions: dict[str, Any], sight: Sight, most: int = COUNTED) -> int:
    """Return how many runs match, but no more than ``most`` + 1."""
    return len(sight(listing.matching(Filter(**conditions))).values_list("pk")[: most + 1])


@database.retried
def get(number: int) -> BulkOperation:
    """Return a bulk operation."""
    found: BulkOperation = _rows().get(pk=number)
    return found


@database.retried
def next_runs(operation: BulkOperation, sight: Sight, limit: int) -> list[tuple[int, str]]:
    """Return row and id of the next runs that it has to look at, oldest first."""
    found = sight(listing.matching(Filter(**operation.filter)))
    left = found.filter(pk__gt=operation.last_run, pk__lte=operation.newest_run)
    return list(left.order_by("pk").values_list("pk", "workflow_id")[:limit])


def advance(number: int, run: int, outcome: str) -> None:
    """Note in the caller's transaction what became of the next run; repeated, it is done once.

    Raises AlreadyDone if the operation has come past this run.
    """
    left = _rows().filter(pk=number, last_run__lt=run)
    if not left.update(last_run=run, **{outcome: F(outcome) + 1}):
        raise AlreadyDone(run)


class AlreadyDone(Exception):
    """The bulk operation has come past this run: an earlier try of the batch got so far."""


@database.retried
def finish(number: int) -> None:
    """Note that nothing is left to do."""
    _rows().filter(pk=number, finished_at__isnull=True).update(finished_at=clock.now())


def _rows() -> Any:
    return BulkOperation.objects.using(database.alias())


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
