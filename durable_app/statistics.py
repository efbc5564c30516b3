"""Figures of runs and steps: counts, ages and spans by group and time. Every function has an ``a``-twin."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from asgiref.sync import markcoroutinefunction

from durable_app.engine.flow import adrive
from durable_app.errors import InvalidOptionError
from durable_app.filters import checked_filter
from durable_app.serialization import serializable
from durable_app.store import listing, statistics
from durable_app.verbs import perform, verb_flow

T = TypeVar("T")


@serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowAggregate:
    """What a group of runs has in common, and its figures; those not asked for are None."""

    group: dict[str, Any]
    """The values it is grouped by; ``bucket`` is the time at which a span begins."""
    count: int | None = None
    oldest_created_at: datetime | None = None
    longest_wait: timedelta | None = None
    """From the time a run was ready to that it was first begun."""
    longest_latency: timedelta | None = None
    """From creation to end."""


@serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class StepAggregate:
    """What a group of steps has in common, and its figures; those not asked for are None."""

    group: dict[str, Any]
    count: int | None = None
    longest_duration: timedelta | None = None


@serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """How much happened in a window of time, by name."""

    workflows_created: dict[str, int]
    steps_completed: dict[str, int]


def workflow_aggregates(
    group_by: Iterable[str] = ("status",),
    *,
    time_bucket: timedelta | None = None,
    measures: Iterable[str] = ("count",),
    **filters: Any,
) -> list[WorkflowAggregate]:
    """Return figures of runs by any of ``status``, ``name``, ``queue_name``, ``worker``, ``app_version``.

    ``time_bucket`` also groups by spans of their creation, in whole seconds from the epoch on; ``measures``
    are ``count``, ``oldest_created_at``, ``longest_wait``, ``longest_latency``; filters those of
    ``list_workflows``. Raises InvalidOptionError, QueryTimeoutError.
    """
    verb = _workflows(group_by, time_bucket, measures, filters)
    return perform("workflowAggregates", "aworkflow_aggregates", verb)


@markcoroutinefunction
def aworkflow_aggregates(
    group_by: Iterable[str] = ("status",),
    *,
    time_bucket: timedelta | None = None,
    measures: Iterable[str] = ("count",),
    **filters: Any,
) -> Awaitable[list[WorkflowAggregate]]:
    """Async twin of ``workflow_aggregates``."""
    return adrive(verb_flow("workflowAggregates", _workflows(group_by, time_bucket, measures, filters)))


def _workflows(
    group_by: Iterable[str], bucket: timedelta | None, measures: Iterable[str], filters: dict[str, Any]
) -> Callable[[], list[WorkflowAggregate]]:
    grouping = _grouping(group_by, bucket, statistics.WORKFLOW_GROUPS)
    chosen = _chosen("measures", measures, statistics.WORKFLOW_MEASURES)
    wanted = checked_filter(filters)

    def verb() -> list[WorkflowAggregate]:
        found = statistics.workflows(grouping, chosen, wanted)
        return [WorkflowAggregate(group=group, **figures) for group, figures in found]

    return verb


_STEP_FILTERS = frozenset({"workflow_ids", "workflow_id_prefix", "completed_after", "completed_before"})


def step_aggregates(
    group_by: Iterable[str] = ("name",),
    *,
    time_bucket: timedelta | None = None,
    measures: Iterable[str] = ("count",),
    **filters: Any,
) -> list[StepAggregate]:
    """Return figures of recorded steps by ``name``, ``status`` ("SUCCESS" or "ERROR") or both.

    ``time_bucket`` also groups by spans of their ends; ``measures`` are ``count``, ``longest_duration``;
    filters ``name``, ``status``, ``workflow_ids``, ``workflow_id_prefix``, ``completed_after``,
    ``completed_before``. Raises InvalidOptionError, QueryTimeoutError.
    """
    verb = _steps(group_by, time_bucket, measures, filters)
    return perform("stepAggregates", "astep_aggregates", verb)


@markcoroutinefunction
def astep_aggregates(
    group_by: Iterable[str] = ("name",),
    *,
    time_bucket: timedelta | None = None,
    measures: Iterable[str] = ("count",),
    **filters: Any,
) -> Awaitable[list[StepAggregate]]:
    """Async twin of ``step_aggregates``."""
    return adrive(verb_flow("stepAggregates", _steps(group_by, time_bucket, measures, filters)))


def _steps(
    group_by: Iterable[str], bucket: timedelta | None, measures: Iterable[str], filters: dict[str, Any]
) -> Callable[[], list[StepAggregate]]:
    grouping = _grouping(group_by, bucket, statistics.STEP_GROUPS)
    chosen = _chosen("measures", measures, statistics.STEP_MEASURES)
    given = dict(filters)
    name, status = given.pop("name", None), given.pop("status", None)
    if status not in (None, statistics.SUCCESS, statistics.ERROR):
        raise InvalidOptionError(f"a step's status is SUCCESS or ERROR, not {status!r}")
    if unknown := given.keys() - _STEP_FILTERS:
        known = ", ".join(sorted({*_STEP_FILTERS, "name", "status"}))
        raise InvalidOptionError(f"unknown filter {min(unknown)!r}; known are: {known}")
    wanted = checked_filter(given)
    names = [name] if isinstance(name, str) else None if name is None else list(name)

    def verb() -> list[StepAggregate]:
        found = statistics.steps(grouping, chosen, wanted, names=names, status=status)
        return [StepAggregate(group=group, **figures) for group, figures in found]

    return verb


def workflow_metrics(start_time: datetime | str, end_time: datetime | str) -> Metrics:
    """Return how many runs were created and how many steps ended in a window, by name.

    The window includes its start, not its end. Raises InvalidOptionError, QueryTimeoutError.
    """
    return perform("workflowMetrics", "aworkflow_metrics", _metrics(start_time, end_time))


@markcoroutinefunction
def aworkflow_metrics(start_time: datetime | str, end_time: datetime | str) -> Awaitable[Metrics]:
    """Async twin of ``workflow_metrics``."""
    return adrive(verb_flow("workflowMetrics", _metrics(start_time, end_time)))


def _metrics(start_time: datetime | str, end_time: datetime | str) -> Callable[[], Metrics]:
    since, until = listing.moment("start_time", start_time), listing.moment("end_time", end_time)
    if since is None or until is None:
        raise InvalidOptionError("metrics need a start_time and an end_time")

    def verb() -> Metrics:
        return Metrics(
            workflows_created=statistics.created_between(since, until),
            steps_completed=statistics.completed_between(since, until),
        )

    return verb


def _grouping(
    group_by: Iterable[str], bucket: timedelta | None, known: dict[str, str]
) -> statistics.Grouping:
    chosen = _chosen("group_by", group_by, known)
    if bucket is not None and (bucket < timedelta(seconds=1) or bucket.microseconds):
        raise InvalidOptionError(f"time_bucket is a whole number of seconds, not {bucket}")
    return statistics.Grouping(columns={name: known[name] for name in chosen}, bucket=bucket)


def _chosen(what: str, given: Iterable[str], known: Iterable[str]) -> list[str]:
    chosen = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    if unknown := set(chosen) - set(known):
        raise InvalidOptionError(f"{what}: {min(unknown)!r} is none of {', '.join(known)}")
    return chosen
