"""What happened in a span of time, by name: of the newest rows, however many older ones there are.

A span in which more happened than is worth counting is narrowed to its end. Each look begins at an index:
what was created at the newest ids, what ended at ``finished_at``, and from there what began and what was
recorded. So a run that began within the span and is parked since is not seen to begin, nor are its steps.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, F, Max, Q

from durable_app.models import Status, Step, Workflow
from durable_app.store import database
from durable_app.store.gauges import LOOK_WITHIN
from durable_app.store.observing import limited
from durable_app.store.statistics import WORKFLOW_MEASURES

SIZES = (1_000, 30_000, 500_000)
"""How many of the newest rows are looked at: no more than it takes, and the last at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """From a time (inclusive) to another (exclusive)."""

    since: datetime
    until: datetime

    def per_second(self, count: int) -> float:
        """Return how often a second something happened that happened so often in the span."""
        seconds = (self.until - self.since).total_seconds()
        return count / seconds if seconds > 0 else 0.0


class Key(NamedTuple):
    """A workflow, and the queue of its runs; None for those that were called."""

    name: str
    queue_name: str | None


class Ends(NamedTuple):
    """Runs that ended, by their status, and of the successful ones the longest spans."""

    ends: dict[tuple[Key, str], float]
    """How many a second."""
    longest_wait: dict[Key, timedelta]
    longest_latency: dict[Key, timedelta]


class Steps(NamedTuple):
    """Steps of one name that ended; a second, and the longest of the successful ones."""

    name: str
    succeeded: float
    failed: float
    longest: timedelta | None


@database.retried
def created(span: Span) -> dict[Key, float]:
    """Return how many runs were created a second."""
    with limited(LOOK_WITHIN):
        first, span = _narrowed(span, _runs(), "created_at")
        return _per_second(span, [_runs().filter(first, **_within("created_at", span))])


@database.retried
def begun(span: Span) -> dict[Key, float]:
    """Return how many runs were taken from a queue for the first time, a second."""
    with limited(LOOK_WITHIN):
        _, span = _narrowed(span, _finished(), "finished_at")
        parts = [
            _runs().filter(status=Status.PENDING),
            _runs().filter(status=Status.ENQUEUED, started_at__isnull=False),
            _finished().filter(finished_at__gte=span.since),
        ]
        began = _within("started_at", span)
        return _per_second(span, [part.filter(queue_name__isnull=False, **began) for part in parts])


@database.retried
def ended(span: Span) -> Ends:
    """Return what ended."""
    found = Ends({}, {}, {})
    with limited(LOOK_WITHIN):
        first, span = _narrowed(span, _finished().filter(finished_at__lt=span.until), "finished_at")
        rows = _finished().filter(first, **_within("finished_at", span)).order_by()
        measured = rows.values("name", "queue_name", "status").annotate(
            count=Count("pk"),
            wait=WORKFLOW_MEASURES["longest_wait"],
            latency=WORKFLOW_MEASURES["longest_latency"],
        )
        for row in measured:
            key = Key(row["name"], row["queue_name"])
            found.ends[key, row["status"]] = span.per_second(row["count"])
            if row["status"] == Status.SUCCESS:
                _note(found.longest_wait, key, row["wait"])
                _note(found.longest_latency, key, row["latency"])
    return found


def _note(spans: dict[Key, timedelta], key: Key, span: timedelta | None) -> None:
    if span is not None:
        spans[key] = span


@database.retried
def steps(span: Span) -> list[Steps]:
    """Return what was recorded by runs that execute, or ended in the span or since."""
    with limited(LOOK_WITHIN):
        first, span = _narrowed(span, _finished(), "finished_at")
        finished = _finished().filter(first, finished_at__gte=span.since)
        seen = _runs().filter(status=Status.PENDING).values("pk").union(finished.values("pk"), all=True)
        rows = Step.objects.using(database.alias()).filter(
            workflow_id__in=seen, **_within("finished_at", span)
        )
        measured = (
            rows.order_by("name")
            .values_list("name")
            .annotate(
                succeeded=Count("position", filter=Q(error__isnull=True)),
                failed=Count("position", filter=Q(error__isnull=False)),
                longest=Max(F("finished_at") - F("started_at"), filter=Q(error__isnull=True)),
            )
        )
        return [
            Steps(name, span.per_second(succeeded), span.per_second(failed), longest)
            for name, succeeded, failed, longest in measured
        ]


def _narrowed(span: Span, rows: Any, time: str) -> tuple[Q, Span]:
    """Return a condition that leaves out the rows before a span, and the part of it that is looked at.

    Ids are not quite in the order of creation: a row that is late by a thousand others is not counted.
    """
    column = "pk" if time == "created_at" else time
    for size in SIZES:
        edge = next(iter(rows.order_by(f"-{column}").values_list(column, time)[size : size + 1]), None)
        if edge is None:
            return Q(), span
        place, moment = edge
        if moment < span.since:
            break
    else:
        span = replace(span, since=min(moment, span.until))
    return Q(**{f"{column}__gt": place}), span


def _per_second(span: Span, parts: Iterable[Any]) -> dict[Key, float]:
    counts: Counter[Key] = Counter()
    for rows in parts:
        counted = rows.order_by().values_list("name", "queue_name").annotate(count=Count("pk"))
        for name, queue_name, count in counted:
            counts[Key(name, queue_name)] += count
    return {key: span.per_second(count) for key, count in counts.items()}


def _within(column: str, span: Span) -> dict[str, datetime]:
    return {f"{column}__gte": span.since, f"{column}__lt": span.until}


def _finished() -> Any:
    return _runs().filter(finished_at__isnull=False)


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
