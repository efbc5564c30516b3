"""Bulk operations: which runs they match, and how far they have come."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max
from django.db.models.fields.json import KT

from durable_app import clock
from durable_app.models import AuditEvent, AuditOutcome, BulkOperation, Workflow
from durable_app.store import database, listing
from durable_app.store.listing import Filter
from durable_app.store.observing import limited

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


def known_to(operations: Any, sees: Sight, own: dict[str, str]) -> Any:
    """Return those of a queryset of operations that somebody may know of: all, or only their own.

    What an operation is to do, and how many runs it matches, tells of runs that its author may see.
    """
    runs = _runs()
    return operations if sees(runs) is runs else operations.filter(**own)


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
def find(number: int, among: Sight = lambda rows: rows) -> BulkOperation | None:
    """Return a bulk operation; ``among`` leaves out what the asker may not know of."""
    found: BulkOperation | None = among(_rows().filter(pk=number)).first()
    return found


@database.retried
def of_run(workflow_id: str, among: Sight) -> BulkOperation | None:
    """Return the operation that a run carries out, if it is among those that the asker may know of."""
    found: BulkOperation | None = among(_rows().filter(workflow_id=workflow_id)).first()
    return found


@database.retried
def newest(limit: int, below: int | None = None) -> list[BulkOperation]:
    """Return the newest bulk operations, or the newest before one."""
    rows = _rows() if below is None else _rows().filter(pk__lt=below)
    return list(rows.order_by("-pk")[:limit])


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """Runs that an operation did nothing to, for the same reason."""

    outcome: str
    detail: str
    count: int


@database.retried
def left(number: int, most: int) -> list[Left]:
    """Return which runs an operation did nothing to, by reason, the most frequent first."""
    events = AuditEvent.objects.using(database.alias()).filter(bulk_operation=str(number))
    groups = events.exclude(outcome=AuditOutcome.DONE).values("outcome", detail=KT("details__detail"))
    counted = groups.annotate(count=Count("pk")).order_by("-count", "outcome", "detail")
    with limited():
        rows = list(counted[:most])
    return [Left(outcome=row["outcome"], detail=row["detail"] or "", count=row["count"]) for row in rows]


@database.retried
def run_statuses(workflow_ids: Iterable[str]) -> dict[str, str]:
    """Return the statuses of the runs that carry operations out; those deleted meanwhile are left out."""
    runs = _runs().filter(workflow_id__in=list(workflow_ids)).order_by()
    return dict(runs.values_list("workflow_id", "status"))


@database.retried
def next_runs(operation: BulkOperation, sight: Sight, limit: int) -> list[tuple[int, str]]:
    """Return row and id of the next runs that it has to look at, oldest first."""
    found = sight(listing.matching(Filter(**operation.filter)))
    rest = found.filter(pk__gt=operation.last_run, pk__lte=operation.newest_run)
    return list(rest.order_by("pk").values_list("pk", "workflow_id")[:limit])


def advance(number: int, run: int, outcome: str) -> None:
    """Note in the caller's transaction what became of the next run; repeated, it is done once.

    Raises AlreadyDone if the operation has come past this run.
    """
    before = _rows().filter(pk=number, last_run__lt=run)
    if not before.update(last_run=run, **{outcome: F(outcome) + 1}):
        raise AlreadyDone(run)


class AlreadyDone(Exception):
    """The bulk operation has come past this run: an earlier try of the batch got so far."""


@database.retried
def wrote(number: int, runs: int, come_past: int) -> None:
    """Note how many runs an export has written, and how far it has come from the newest one."""
    _rows().filter(pk=number, finished_at__isnull=True).update(done=runs, last_run=come_past)


@database.retried
def finish(number: int, file: str = "") -> None:
    """Note that nothing is left to do, and the file that came of it."""
    _rows().filter(pk=number, finished_at__isnull=True).update(finished_at=clock.now(), file=file)


@database.retried
def with_files(before: datetime, limit: int) -> list[tuple[int, str]]:
    """Return the oldest of the operations that ended before a time and left a file: number and file."""
    rows = _rows().filter(finished_at__lt=before).exclude(file="")
    return list(rows.order_by("finished_at", "pk").values_list("pk", "file")[:limit])


@database.retried
def forget_file(number: int) -> None:
    """Note that an operation's file is deleted."""
    _rows().filter(pk=number).update(file="")


@database.retried
def delete_before(time: datetime) -> int:
    """Delete the operations that ended before a time and left no file; return how many."""
    return int(_rows().filter(finished_at__lt=time, file="").delete()[0])


def _rows() -> Any:
    return BulkOperation.objects.using(database.alias())


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
