"""How many, how long, how old: runs and steps counted by group and by span of time.

A window of time is found through the indexes that are there anyway: what was created or recorded since a
moment belongs to runs that are active or have finished since.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    Field,
    Func,
    Max,
    Min,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from durable_app.models import Status, Step, Wait, Workflow
from durable_app.store import database, listing
from durable_app.store.listing import Filter
from durable_app.store.observing import limited

WORKFLOW_GROUPS = {
    "status": "status",
    "name": "name",
    "queue_name": "queue_name",
    "worker": "worker_id",
    "app_version": "app_version",
}

STEP_GROUPS = {"name": "name", "status": "outcome"}

SUCCESS, ERROR = "SUCCESS", "ERROR"
"""What a step's status may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """By which columns, and by what span of time from the epoch on, something is counted."""

    columns: dict[str, str]
    bucket: timedelta | None = None

    def measured(self, rows: Any, time: str, measures: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the measures of each group; ``time`` is the column that tells the bucket."""
        names = list(self.columns.values())
        if self.bucket is not None:
            rows = rows.annotate(bucket=_Bucket(F(time), int(self.bucket.total_seconds())))
            names.append("bucket")
        if not names:
            return [rows.aggregate(**measures)]
        groups = rows.order_by().values(*names).annotate(**measures)
        # Sorted here: PostgreSQL takes each bucket for a time of its own, and would sort the rows on disk.
        return sorted(groups, key=lambda group: [(group[name] is None, group[name]) for name in names])

    def key(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the names and values that make a group."""
        found = {name: row[column] for name, column in self.columns.items()}
        if self.bucket is not None:
            found["bucket"] = _moment(row["bucket"])
        return found


def _moment(bucket: datetime | int) -> datetime:
    return bucket if isinstance(bucket, datetime) else datetime.fromtimestamp(bucket, UTC)


class _Bucket(Func):
    """The beginning of a time's bucket: a time on PostgreSQL, where seconds take twice as long to count.

    Elsewhere in whole seconds since the epoch.
    """

    output_field: Any = Field()  # neither of both kinds is converted

    def __init__(self, time: Any, seconds: int) -> None:
        super().__init__(time, Value(seconds))

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return SQL for PostgreSQL."""
        return self._as(compiler, connection, "date_bin('{1} s', {0}, 'epoch')")

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Return SQL for SQLite."""
        return self._as(compiler, connection, "CAST(strftime('%%s', {0}) AS INTEGER) / {1} * {1}")

    def _as(self, compiler: Any, connection: Any, template: str) -> Any:
        time, params = compiler.compile(self.get_source_expressions()[0])
        return f"({template.format(time, int(self.get_source_expressions()[1].value))})", params


def _span(start: Any, end: str) -> Any:
    return ExpressionWrapper(F(end) - start, output_field=DurationField())


_READY_AT = Coalesce("run_after", "created_at", output_field=DateTimeField())

WORKFLOW_MEASURES: dict[str, Any] = {
    "count": Count("*"),
    "oldest_created_at": Min("created_at"),
    "longest_wait": Max(_span(_READY_AT, "started_at")),
    "longest_latency": Max(_span(F("created_at"), "finished_at")),
}

STEP_MEASURES: dict[str, Any] = {
    "count": Count("position"),
    "longest_duration": Max(_span(F("started_at"), "finished_at")),
}

Found = list[tuple[dict[str, Any], dict[str, Any]]]
"""Of each group its key and its measures."""


@database.retried
def workflows(grouping: Grouping, measures: Iterable[str], wanted: Filter) -> Found:
    """Return measures of the runs that match, by group; buckets are of their creation."""
    rows = listing.matching(wanted)
    since = listing.moment("start_time", wanted.start_time)
    if since is not None:
        rows = rows.filter(pk__in=alive_since(since))
    return _measured(grouping, {name: WORKFLOW_MEASURES[name] for name in measures}, rows, "created_at")


@database.retried
def steps(
    grouping: Grouping,
    measures: Iterable[str],
    wanted: Filter,
    *,
    names: list[str] | None,
    status: str | None,
) -> Found:
    """Return measures of recorded steps, by group; buckets are of their ends.

    Of the filter, ids and prefix are those of their runs, the window is that of their own ends.
    """
    rows = _steps_between(wanted.completed_after, wanted.completed_before)
    if wanted.workflow_ids is not None or wanted.workflow_id_prefix is not None:
        runs = Filter(workflow_ids=wanted.workflow_ids, workflow_id_prefix=wanted.workflow_id_prefix)
        rows = rows.filter(workflow_id__in=listing.matching(runs).values("pk"))
    if names is not None:
        rows = rows.filter(name__in=names)
    if status is not None:
        rows = rows.filter(error__isnull=status == SUCCESS)
    if "outcome" in grouping.columns.values():
        failed = When(error__isnull=False, then=Value(ERROR))
        rows = rows.annotate(outcome=Case(failed, default=Value(SUCCESS)))
    return _measured(grouping, {name: STEP_MEASURES[name] for name in measures}, rows, "finished_at")


def _measured(grouping: Grouping, measures: dict[str, Any], rows: Any, time: str) -> Found:
    with limited():
        found = grouping.measured(rows, time, {f"m_{name}": one for name, one in measures.items()})
    return [(grouping.key(row), {name: row[f"m_{name}"] for name in measures}) for row in found]


@database.retried
def created_between(since: datetime, until: datetime) -> dict[str, int]:
    """Return how many runs of each workflow were created in [since, until)."""
    rows = _runs().filter(created_at__gte=since, created_at__lt=until, pk__in=alive_since(since))
    with limited():
        return dict(rows.order_by("name").values_list("name").annotate(count=Count("pk")))


@database.retried
def completed_between(since: datetime, until: datetime) -> dict[str, int]:
    """Return how many steps of each name ended in [since, until)."""
    rows = _steps_between(since, None).filter(finished_at__lt=until)
    with limited():
        return dict(rows.order_by("name").values_list("name").annotate(count=Count("position")))


def _steps_between(since: Any, until: Any) -> Any:
    """Return the steps that ended in [since, until]."""
    rows = Step.objects.using(database.alias())
    after, before = listing.moment("completed_after", since), listing.moment("completed_before", until)
    if after is not None:
        rows = rows.filter(finished_at__gte=after, workflow_id__in=alive_since(after))
    return rows if before is None else rows.filter(finished_at__lte=before)


def alive_since(moment: datetime) -> "QuerySet[Any, Any]":
    """Return the rows of the runs that are active, or have finished since.

    Each part is a partial index of its own; every parked run has a time to wake at, or a row of ``Wait``.
    """
    parts = [_runs().filter(status=one) for one in (Status.PENDING, Status.DELAYED)]
    parts.append(_runs().filter(status=Status.WAITING, wake_at__isnull=False))
    parts.append(_runs().filter(finished_at__gte=moment))
    waiting = Wait.objects.using(database.alias()).values("workflow_id")
    ready: Any = _runs().filter(status=Status.ENQUEUED).values("pk")
    return ready.union(*[part.values("pk") for part in parts], waiting, all=True)  # type: ignore[no-any-return]


def _runs() -> Any:
    return Workflow.objects.using(database.alias()).order_by()
