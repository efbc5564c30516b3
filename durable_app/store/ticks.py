"""Ticks: the runs that schedules start, each tick once over any number of workers.

Who fires holds the schedule's row: in one transaction the row moves on to its next tick, by a guarded
UPDATE, and the runs are inserted. A run's id is made of the schedule's name and the tick, so that even a tick
which is both backfilled and fired has one run.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from durable_app import clock, conf, serialization
from durable_app.errors import InvalidOptionError, NonExistentScheduleError
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import CatchUp, Overlap, Schedule, ScheduleStatus, Workflow
from durable_app.recurrence import Recurrence
from durable_app.registry import registry
from durable_app.serialization import places
from durable_app.store import bulk, database, lifecycle, runs, versions
from durable_app.store.records import NewRun
from durable_app.store.schedules import recurrence_of

FIRED_AT = '{"$t":"fired_at"}'
"""Stands for a context: each run is given the time at which it is started."""

BATCH = 100
"""Ticks of one schedule that one transaction starts."""

MOST_BACKFILLED = 100_000
"""Ticks of one backfill: more than that is a mistake in the dates."""

MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """What became of a tick; ``started`` is False if an earlier run, still active, kept it from starting."""

    schedule_name: str
    workflow_id: str
    scheduled_at: datetime
    started: bool


@database.retried
def due(passing_over: Collection[str] = ()) -> list[str]:
    """Return the names of the schedules that have a tick due, the longest due first."""
    rows = _rows().filter(next_at__lte=clock.now()).exclude(name__in=list(passing_over))
    return list(rows.order_by("next_at").values_list("name", flat=True)[:1000])


@database.retried
def next_at(passing_over: Collection[str] = ()) -> datetime | None:
    """Return when the next tick of any schedule is; None for never."""
    rows = _rows().filter(next_at__isnull=False).exclude(name__in=list(passing_over))
    found: datetime | None = rows.order_by("next_at").values_list("next_at", flat=True).first()
    return found


@database.retried
def fire(name: str) -> list[Tick]:
    """Start the runs of a schedule's due ticks and move it on, unless another worker does so now.

    Raises InvalidOptionError or SerializationError if this process cannot read the schedule.
    """
    with database.transact():
        now = clock.now()
        active = _rows().filter(name=name, status=ScheduleStatus.ACTIVE, next_at__lte=now)
        row = active.select_for_update(skip_locked=True, no_key=True).first()
        if row is None or row.next_at is None:
            return []
        ticks, following = _plan(row, row.next_at, now)
        changes = {"last_fired_at": ticks[-1]} if ticks else {}
        moved = active.filter(pk=row.pk, next_at=row.next_at).update(
            next_at=following, updated_at=now, **changes
        )
        if not moved or not ticks:
            return []
        runs_of = _Runs(row)
        return [_start(runs_of, tick) for tick in ticks]


def _plan(row: Schedule, first: datetime, now: datetime) -> tuple[list[datetime], datetime]:
    """Return the due ticks to start, at most a batch of them, and the one after them.

    A tick that comes late, but within DURABLE["SCHEDULE_GRACE"], is started whatever the policy; the others
    are missed.
    """
    recurrence = recurrence_of(row)
    since = first - MOMENT
    late_since = max(since, now - conf.options().SCHEDULE_GRACE)
    late = list(islice(recurrence.ticks(late_since, now), BATCH + 1))
    ticks = [*_made_up(row, recurrence, since, late_since, bool(late)), *late]
    if len(ticks) > BATCH:
        return ticks[:BATCH], ticks[BATCH]
    return ticks, recurrence.next_after(now)


def _made_up(
    row: Schedule, recurrence: Recurrence, since: datetime, until: datetime, superseded: bool
) -> list[datetime]:
    """Return which missed ticks the schedule's policy starts; ``superseded``: a later one starts anyway."""
    if row.catch_up == CatchUp.ALL and row.catch_up_limit is None:
        return list(islice(recurrence.ticks(since, until), BATCH + 1))
    if row.catch_up == CatchUp.ALL:
        return recurrence.latest(row.catch_up_limit or 1, since, until)
    if row.catch_up == CatchUp.LAST and not superseded:
        return recurrence.latest(1, since, until)
    return []


def _start(runs_of: "_Runs", tick: datetime) -> Tick:
    """Insert the run of a tick, in the caller's transaction, as far as an active one allows it."""
    row, workflow_id = runs_of.row, runs_of.tick_id(tick)
    started = True
    if row.overlap != Overlap.ALLOW:
        active = list(_active(row.name).exclude(workflow_id=workflow_id))
        started = not active or row.overlap == Overlap.CANCEL_PREVIOUS
        if active and started:
            lifecycle.cancel_soon(active)
    if started:
        runs.create(runs_of.record(tick, workflow_id))
    return Tick(schedule_name=row.name, workflow_id=workflow_id, scheduled_at=tick, started=started)


def _active(name: str) -> Any:
    rows = Workflow.objects.using(database.alias()).filter(schedule_name=name, finished_at__isnull=True)
    return rows.values_list("workflow_id", flat=True)


@database.retried
def trigger(name: str) -> str:
    """Start a run of a schedule now, whatever its status; return its id.

    Raises NonExistentScheduleError.
    """
    with database.transact():
        runs_of = _Runs(_found(name))
        moment = runs_of.now
        while True:
            workflow_id = f"sched-{name}-trigger-{runs_of.recurrence.local(moment).isoformat()}"
            if runs.create(runs_of.record(moment, workflow_id)).run is not None:
                return workflow_id
            moment += MOMENT  # another trigger has had the same one


@database.retried
def backfill(name: str, start: datetime, end: datetime) -> list[str]:
    """Start the runs of all ticks between two times, both exclusive; return their ids.

    Ticks that have a run are passed over. Raises NonExistentScheduleError, InvalidOptionError for more ticks
    than anybody can mean.
    """
    with database.transact():
        runs_of = _Runs(_found(name))
        ticks = list(islice(runs_of.recurrence.between(start, end), MOST_BACKFILLED + 1))
        if len(ticks) > MOST_BACKFILLED:
            raise InvalidOptionError(
                f"the schedule {name!r} has more than {MOST_BACKFILLED} ticks between {start} and {end}"
            )
        return bulk.create([runs_of.record(tick, runs_of.tick_id(tick)) for tick in ticks])


def tick_id(name: str, recurrence: Recurrence, tick: datetime) -> str:
    """Return the id of the run of a schedule's tick, whether it fires or is backfilled."""
    return f"sched-{name}-{recurrence.local(tick).isoformat()}"


class _Runs:
    """The runs of one schedule: what they have in common is looked up once."""

    def __init__(self, row: Schedule) -> None:
        self.row = row
        self.recurrence = recurrence_of(row)
        self.now = clock.now()
        latest = versions.latest()
        self._app_version = None if latest is None else latest.version_name
        self._context = _context(row, self.now)

    def tick_id(self, tick: datetime) -> str:
        return tick_id(self.row.name, self.recurrence, tick)

    def record(self, scheduled_at: datetime, workflow_id: str) -> NewRun:
        """Return a run. A workflow that this process does not know waits for one that does."""
        known = registry.workflows.get(self.row.workflow_name)
        form = serialization.wanted(None if known is None else known.serialization)
        args = self.recurrence.local(scheduled_at), self._context
        what = f"the inputs of schedule {self.row.name!r}"
        return NewRun(
            workflow_id=workflow_id,
            name=self.row.workflow_name,
            class_name=self.row.class_name,
            inputs=form.write_inputs((args, {}), what, places.inputs(workflow_id)),
            serialization=form.name,
            status="ENQUEUED",
            queue_name=self.row.queue_name or DEFAULT_QUEUE,
            schedule_name=self.row.name,
            app_version=self._app_version,
            max_recovery_attempts=100 if known is None else known.max_recovery_attempts,
            created_at=self.now,
            enqueued_at=self.now,
        )


def _context(row: Schedule, now: datetime) -> Any:
    if row.context is None:
        return None
    return now if row.context == FIRED_AT else serialization.decode(row.context)


def _found(name: str) -> Schedule:
    row: Schedule | None = _rows().filter(name=name).first()
    if row is None:
        raise NonExistentScheduleError(name)
    return row


def _rows() -> Any:
    return Schedule.objects.using(database.alias())
