"""Schedules as rows: defined by verbs or declared in code, paused, resumed and looked at."""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Q

from durable_app import clock, serialization
from durable_app.errors import (
    InvalidOptionError,
    NonExistentQueueError,
    NonExistentScheduleError,
    ScheduleExistsError,
)
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import CatchUp, Queue, Schedule, ScheduleStatus
from durable_app.recurrence import Recurrence
from durable_app.registry import ScheduleDefinition, registry
from durable_app.store import database, notify
from durable_app.store.listing import Names

logger = logging.getLogger("durable_app")

_DEFINING = (
    "name", "workflow_name", "class_name", "cron", "timezone", "context", "queue_name", "catch_up",
    "catch_up_limit", "overlap",
)  # fmt: skip


@serialization.serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleInfo:
    """A schedule as it stands. Times are aware datetimes, in the schedule's zone where they are its ticks."""

    schedule_id: str
    schedule_name: str
    workflow_name: str
    workflow_class_name: str | None
    schedule: str
    cron_timezone: str | None
    context: Any
    queue_name: str | None
    status: str
    catch_up: str
    catch_up_limit: int | None
    overlap: str
    is_declared: bool
    next_at: datetime | None
    last_fired_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def automatic_backfill(self) -> bool:
        """Whether all ticks that were missed are started."""
        return self.catch_up == CatchUp.ALL and self.catch_up_limit is None


# Defining


@database.retried
def create(definition: ScheduleDefinition, schedule_id: uuid.UUID) -> None:
    """Insert a schedule; again, with the same id, it changes nothing.

    Raises ScheduleExistsError if the name is taken, NonExistentQueueError, InvalidOptionError.
    """
    with database.transact():
        _check_queues([definition])
        if not _insert(definition, schedule_id):
            raise ScheduleExistsError(definition.name)
        _announce()


@database.retried
def apply(definitions: Iterable[ScheduleDefinition], *, delete_others: bool = False) -> None:
    """Give each of these schedules its definition, all or none; others go only if asked.

    A schedule that exists keeps its id, status and last tick. Raises ScheduleExistsError for one that code
    declares, NonExistentQueueError.
    """
    wanted = sorted(definitions, key=lambda one: one.name)
    with database.transact():
        _check_queues(wanted)
        for definition in wanted:
            if not _insert(definition, uuid.uuid4()):
                row = _locked(definition.name)
                if row.is_declared and row.status != ScheduleStatus.RETIRED:
                    raise ScheduleExistsError(definition.name, "is declared in code: change it there")
                _redefine(row, definition)
        if delete_others:
            _rows().filter(is_declared=False).exclude(name__in=[one.name for one in wanted]).delete()
        _announce()


@database.retried
def declare(definitions: Iterable[ScheduleDefinition]) -> None:
    """Give the schedules that code declares their definitions, and retire those it declares no more.

    What an operator has paused stays paused. A name that a schedule of another workflow has is left to that.
    """
    wanted = {one.name: one for one in definitions}
    if not wanted and not _rows().filter(is_declared=True).exists():
        return
    with database.transact():
        for name in sorted(wanted):
            _declare(wanted[name])
        gone = _rows().filter(is_declared=True, status=ScheduleStatus.ACTIVE).exclude(name__in=wanted)
        for name in gone.values_list("name", flat=True):
            logger.warning("Schedule retired: the code declares it no more schedule=%s", name)
        gone.update(status=ScheduleStatus.RETIRED, next_at=None, updated_at=clock.now())
        _announce()


@database.retried
def plan(definitions: Iterable[ScheduleDefinition]) -> dict[str, str]:
    """Return what ``declare`` would do, by name: "create", "change", "retire", "leave" or "" for nothing."""
    wanted = {one.name: one for one in definitions}
    rows = {row.name: row for row in _rows()}
    active = {name for name, row in rows.items() if row.is_declared and row.status == ScheduleStatus.ACTIVE}
    found = {name: _change(rows.get(name), one) for name, one in sorted(wanted.items())}
    return found | dict.fromkeys(sorted(active - wanted.keys()), "retire")


def _change(row: Schedule | None, definition: ScheduleDefinition) -> str:
    if row is None:
        return "create"
    if not row.is_declared and row.workflow_name != definition.workflow_name:
        return "leave"
    same = all(getattr(row, column) == value for column, value in _columns(definition).items())
    return "" if same and row.is_declared and row.status != ScheduleStatus.RETIRED else "change"


def _declare(definition: ScheduleDefinition) -> None:
    if _insert(definition, uuid.uuid4(), is_declared=True):
        return
    row = _locked(definition.name)
    if not row.is_declared and row.workflow_name != definition.workflow_name:
        logger.error(
            "Schedule not declared: its name is another's schedule=%s workflow=%s",
            row.name,
            row.workflow_name,
        )
        return
    _redefine(row, definition, is_declared=True)


def _insert(definition: ScheduleDefinition, schedule_id: uuid.UUID, *, is_declared: bool = False) -> bool:
    """Insert a schedule; False if another one has the name."""
    found = _rows().filter(name=definition.name).values_list("pk", flat=True)
    if not found.exists():
        now = clock.now()
        new = Schedule(
            id=schedule_id,
            is_declared=is_declared,
            next_at=_recurrence(definition).next_after(now),
            created_at=now,
            updated_at=now,
            **_columns(definition),
        )
        _rows().bulk_create([new], ignore_conflicts=True)
    return bool(found.first() == schedule_id)


def _redefine(row: Schedule, definition: ScheduleDefinition, *, is_declared: bool = False) -> None:
    """Write a definition into a row that is locked; its rhythm starts anew only if that has changed."""
    if row.status == ScheduleStatus.RETIRED:
        row.status = ScheduleStatus.ACTIVE
    before = (row.cron, row.timezone)
    for column, value in {**_columns(definition), "is_declared": is_declared}.items():
        setattr(row, column, value)
    has_changed = row.next_at is None or before != (row.cron, row.timezone)
    if has_changed and row.status == ScheduleStatus.ACTIVE:
        row.next_at = recurrence_of(row).next_after(clock.now())
    row.updated_at = clock.now()
    row.save(using=database.alias())


def _columns(definition: ScheduleDefinition) -> dict[str, Any]:
    return {column: getattr(definition, column) for column in _DEFINING}


def _check_queues(definitions: list[ScheduleDefinition]) -> None:
    """Raise NonExistentQueueError for a queue that there is not, InvalidOptionError for a partitioned one."""
    wanted = {one.queue_name for one in definitions if one.queue_name not in (None, DEFAULT_QUEUE)}
    limits = {name: declared.limits for name, declared in registry.queues.items()}
    limits |= {row.name: row.limits for row in Queue.objects.using(database.alias()).filter(pk__in=wanted)}
    for name in sorted(filter(None, wanted)):
        if name not in limits:
            raise NonExistentQueueError(name)
        if limits[name].is_partitioned:
            raise InvalidOptionError(
                f"the queue {name!r} is partitioned: a tick has no partition key", "queue_name"
            )


def _recurrence(definition: ScheduleDefinition) -> Recurrence:
    return Recurrence(definition.cron, definition.timezone or "UTC")


def recurrence_of(row: Schedule) -> Recurrence:
    """Return when a schedule's ticks are; raises InvalidOptionError for what cannot be read here."""
    return Recurrence(row.cron, row.timezone or "UTC")


# Pausing


@database.retried
def pause(name: str) -> None:
    """Let a schedule fire no more; raises NonExistentScheduleError."""
    with database.transact():
        row = _locked(name)
        _set_status(row, ScheduleStatus.PAUSED, None)


@database.retried
def resume(name: str) -> None:
    """Let a schedule fire again; raises NonExistentScheduleError.

    The time it was paused counts as missed: its catch-up policy says what becomes of those ticks. A retired
    one is from now on the operator's.
    """
    with database.transact():
        row = _locked(name)
        if row.status == ScheduleStatus.RETIRED:
            row.is_declared = False
        if row.status != ScheduleStatus.ACTIVE:
            makes_up = row.catch_up != CatchUp.NONE and row.last_fired_at is not None
            since = row.last_fired_at if makes_up and row.last_fired_at is not None else clock.now()
            _set_status(row, ScheduleStatus.ACTIVE, recurrence_of(row).next_after(since))


def _set_status(row: Schedule, status: ScheduleStatus, next_at: datetime | None) -> None:
    row.status = status
    row.next_at = next_at
    row.updated_at = clock.now()
    row.save(using=database.alias(), update_fields=["status", "next_at", "updated_at", "is_declared"])
    _announce()


@database.retried
def delete(name: str) -> None:
    """Delete a schedule; its runs stay. An unknown name is passed over."""
    with database.transact():
        _rows().filter(name=name).delete()


# Looking


@database.retried
def get(name: str) -> ScheduleInfo | None:
    """Return a schedule, None if there is none of that name."""
    row = _rows().filter(name=name).first()
    return None if row is None else _info(row)


def locked(name: str) -> Schedule:
    """Return a schedule's row, locked for the rest of the caller's transaction.

    Raises NonExistentScheduleError.
    """
    return _locked(name)


@database.retried
def written(names: Iterable[str]) -> set[str]:
    """Return those of these names that schedules have."""
    return set(_rows().filter(name__in=names).values_list("name", flat=True))


@database.retried
def find(*, status: Names, workflow_name: Names, name_prefix: Names) -> list[ScheduleInfo]:
    """Return schedules by name; conditions are combined with AND, alternatives of one with OR."""
    rows = _rows()
    for column, names in (("status", status), ("workflow_name", workflow_name)):
        if names is not None:
            rows = rows.filter(**{f"{column}__in": _listed(names)})
    if name_prefix is not None:
        prefixes = (Q(name__startswith=one) for one in _listed(name_prefix))
        rows = rows.filter(reduce(or_, prefixes, Q(pk__in=[])))
    return [_info(row) for row in rows.order_by("name")]


def _listed(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def _info(row: Schedule) -> ScheduleInfo:
    return ScheduleInfo(
        schedule_id=str(row.pk),
        schedule_name=row.name,
        workflow_name=row.workflow_name,
        workflow_class_name=row.class_name,
        schedule=row.cron,
        cron_timezone=row.timezone,
        context=context_of(row),
        queue_name=row.queue_name,
        status=row.status,
        catch_up=row.catch_up,
        catch_up_limit=row.catch_up_limit,
        overlap=row.overlap,
        is_declared=row.is_declared,
        next_at=_local(row, row.next_at),
        last_fired_at=_local(row, row.last_fired_at),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def context_of(row: Schedule) -> Any:
    """Return what every run of a schedule is given; its stored text, where that cannot be read here."""
    return serialization.decode_or_text(row.context)


def _local(row: Schedule, moment: datetime | None) -> datetime | None:
    """Return a time in the schedule's zone; as it is, where that is not known here."""
    try:
        return None if moment is None else recurrence_of(row).local(moment)
    except InvalidOptionError:
        return moment


def _locked(name: str) -> Schedule:
    row: Schedule | None = _rows().filter(name=name).select_for_update(no_key=True).first()
    if row is None:
        raise NonExistentScheduleError(name)
    return row


def _announce() -> None:
    transaction.on_commit(lambda: notify.announce(notify.DUE), using=database.alias())


def _rows() -> Any:
    return Schedule.objects.using(database.alias())
