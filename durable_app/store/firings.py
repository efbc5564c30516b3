"""What became of schedules' ticks: their latest runs, and the ticks that have none; bounded looks at both."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import OuterRef, Q, Subquery

from durable_app import clock
from durable_app.errors import InvalidOptionError
from durable_app.models import Schedule, Workflow
from durable_app.recurrence import Recurrence
from durable_app.store import database
from durable_app.store.schedules import recurrence_of
from durable_app.store.ticks import tick_id

LATEST = 20
"""Runs, and ticks, of a schedule that are looked at."""

WITHIN = timedelta(days=31)
"""How far back ticks are looked for: the calendar of rare ones is slow to leaf through."""

Sees = Callable[[Any], Any]
"""Lets those of a queryset of runs through that somebody may know of."""


def latest_runs(names: Sequence[str], sees: Sees) -> dict[str, list[Workflow]]:
    """Return the latest runs of each of these schedules, newest first: two queries for all."""
    runs = Workflow.objects.using(database.alias()).order_by("-pk")
    oldest = runs.filter(schedule_name=OuterRef("name")).values("pk")[LATEST - 1 : LATEST]
    rows = Schedule.objects.using(database.alias()).filter(name__in=names).annotate(oldest=Subquery(oldest))
    since = dict(rows.values_list("name", "oldest"))
    if not since:
        return {}
    conditions = (Q(schedule_name=name, pk__gte=first or 0) for name, first in since.items())
    found: dict[str, list[Workflow]] = {name: [] for name in since}
    for run in sees(runs.without_payloads().filter(reduce(or_, conditions))):
        found[run.schedule_name].append(run)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Missed:
    """How many of a schedule's latest ticks have no run."""

    count: int
    of: int
    """Ticks that were looked at: the latest ones, of a month at most, since the schedule was made."""


def missed(rows: Iterable[Schedule]) -> dict[str, Missed]:
    """Return, by name, how many ticks of each schedule have no run: one query for all.

    They were missed, or skipped by the overlap policy, or came while the schedule was paused, or before it
    was defined as it is now; one that cannot be read here is left out.
    """
    now = clock.now()
    wanted = {}
    for row in rows:
        try:
            recurrence = recurrence_of(row)
        except InvalidOptionError:
            continue
        since = max(row.created_at, now - WITHIN)
        ticks = recurrence.latest(LATEST, since, min(now, row.next_at or now))
        due = [tick for tick in ticks if row.next_at is None or tick < row.next_at]
        wanted[row.name] = {tick_id(row.name, recurrence, tick) for tick in due}
    run = existing({one for ids in wanted.values() for one in ids})
    return {name: Missed(count=len(ids - run), of=len(ids)) for name, ids in wanted.items()}


def existing(workflow_ids: Iterable[str]) -> set[str]:
    """Return those of these ids that a run has."""
    rows = Workflow.objects.using(database.alias()).filter(workflow_id__in=list(workflow_ids))
    return set(rows.values_list("workflow_id", flat=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class PastTick:
    """A tick that could be backfilled."""

    at: datetime
    """As the schedule's clocks show it."""
    has_run: bool


def past_ticks(name: str, recurrence: Recurrence, ticks: Iterable[datetime]) -> list[PastTick]:
    """Return ticks with what a backfill would do: one that has a run is not run again."""
    ids = {tick: tick_id(name, recurrence, tick) for tick in ticks}
    run = existing(ids.values())
    return [PastTick(at=recurrence.local(tick), has_run=one in run) for tick, one in ids.items()]
