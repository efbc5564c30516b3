"""Schedules made, changed and looked at while the project runs; those in code are declared by ``@scheduled``.

Each verb has an ``a``-prefixed twin; inside a workflow the verbs on single schedules are recorded steps.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, Unpack, cast

from asgiref.sync import markcoroutinefunction

from durable_app.engine.context import current
from durable_app.engine.flow import Flow, adrive, drive_blocking
from durable_app.errors import InvalidOptionError, NotAllowedInWorkflowError
from durable_app.handles import WorkflowHandle, place
from durable_app.scheduling import ScheduleInput, ScheduleOptions, checked_name, definition_of
from durable_app.store import schedules, ticks
from durable_app.store.listing import Names
from durable_app.store.schedules import ScheduleInfo
from durable_app.verbs import perform, verb_at, verb_flow

T = TypeVar("T")

_OWN_IDS = uuid.UUID("f3a8be3e-61c8-4a7c-8a5a-3f6f0c7b9d11")
"""Namespace of the ids of schedules that workflows make."""


# Defining


def create_schedule(
    *, schedule_name: str, workflow_fn: Any, schedule: str, **options: Unpack[ScheduleOptions]
) -> None:
    """Start a workflow at each tick of a cron expression from now on.

    ``schedule`` has 5 fields, or 6 with the seconds first. ``workflow_fn`` is a decorated function, or the
    name of a workflow that other processes know; it is called with the tick and the context. Options:
    ``context``; ``cron_timezone`` (a name, default UTC); ``queue_name``; ``catch_up``: "none", "last", "all"
    or the most of them, for ticks that are missed (``automatic_backfill=True`` means "all"); ``overlap``:
    "allow", "skip" or "cancel_previous", while a run is active; ``workflow_class_name`` beside a name.

    Raises ScheduleExistsError, InvalidOptionError, NonExistentQueueError, WorkflowFunctionNotFoundError.
    """
    given = ScheduleInput(schedule_name=schedule_name, workflow_fn=workflow_fn, schedule=schedule, **options)
    drive_blocking(_creation(given), "acreate_schedule")


@markcoroutinefunction
def acreate_schedule(
    *, schedule_name: str, workflow_fn: Any, schedule: str, **options: Unpack[ScheduleOptions]
) -> Awaitable[None]:
    """Async twin of ``create_schedule``."""
    given = ScheduleInput(schedule_name=schedule_name, workflow_fn=workflow_fn, schedule=schedule, **options)
    return adrive(_creation(given))


def _creation(given: ScheduleInput) -> Flow[None]:
    scope, position = place()
    schedule_id = uuid.uuid4()
    if scope is not None:  # repeated after a crash it finds its own row
        schedule_id = uuid.uuid5(_OWN_IDS, f"{scope.execution.workflow_id} {position.step_id}")

    def verb() -> None:
        schedules.create(definition_of(given), schedule_id)

    return verb_at(scope, position, "createSchedule", verb)


def apply_schedules(inputs: Iterable[ScheduleInput], *, delete_others: bool = False) -> None:
    """Create or change schedules, all or none: each gets its definition and keeps id, status, last tick.

    Each is a dict of the parameters of ``create_schedule``; options that are left out get their defaults.
    ``delete_others`` deletes those that are not among them, but never one that code declares. Raises what
    ``create_schedule`` raises, and NotAllowedInWorkflowError.
    """
    _outside("apply_schedules", "aapply_schedules", partial(_apply, list(inputs), delete_others))


@markcoroutinefunction
def aapply_schedules(inputs: Iterable[ScheduleInput], *, delete_others: bool = False) -> Awaitable[None]:
    """Async twin of ``apply_schedules``."""
    return _aoutside("aapply_schedules", partial(_apply, list(inputs), delete_others))


def _apply(inputs: list[ScheduleInput], delete_others: bool) -> None:
    definitions = [definition_of(one) for one in inputs]
    if len({one.name for one in definitions}) < len(definitions):
        raise InvalidOptionError("two of the schedules have the same name")
    schedules.apply(definitions, delete_others=delete_others)


# Looking, pausing, deleting


def get_schedule(name: str) -> ScheduleInfo | None:
    """Return a schedule as it stands, None if there is none of that name."""
    return perform("getSchedule", "aget_schedule", partial(schedules.get, checked_name(name)))


@markcoroutinefunction
def aget_schedule(name: str) -> Awaitable[ScheduleInfo | None]:
    """Async twin of ``get_schedule``."""
    return adrive(verb_flow("getSchedule", partial(schedules.get, checked_name(name))))


def list_schedules(
    *, status: Names = None, workflow_name: Names = None, schedule_name_prefix: Names = None
) -> list[ScheduleInfo]:
    """Return schedules by name; filters are combined with AND, and each may be a list of alternatives."""
    verb = _listing(status, workflow_name, schedule_name_prefix)
    return perform("listSchedules", "alist_schedules", verb)


@markcoroutinefunction
def alist_schedules(
    *, status: Names = None, workflow_name: Names = None, schedule_name_prefix: Names = None
) -> Awaitable[list[ScheduleInfo]]:
    """Async twin of ``list_schedules``."""
    return adrive(verb_flow("listSchedules", _listing(status, workflow_name, schedule_name_prefix)))


def _listing(status: Names, workflow_name: Names, prefix: Names) -> Callable[[], list[ScheduleInfo]]:
    return partial(schedules.find, status=status, workflow_name=workflow_name, name_prefix=prefix)


def pause_schedule(name: str) -> None:
    """Let a schedule fire no more until it is resumed; raises NonExistentScheduleError."""
    perform("pauseSchedule", "apause_schedule", partial(schedules.pause, checked_name(name)))


@markcoroutinefunction
def apause_schedule(name: str) -> Awaitable[None]:
    """Async twin of ``pause_schedule``."""
    return adrive(verb_flow("pauseSchedule", partial(schedules.pause, checked_name(name))))


def resume_schedule(name: str) -> None:
    """Let a schedule fire again; its ``catch_up`` says what becomes of the ticks in between.

    Raises NonExistentScheduleError.
    """
    perform("resumeSchedule", "aresume_schedule", partial(schedules.resume, checked_name(name)))


@markcoroutinefunction
def aresume_schedule(name: str) -> Awaitable[None]:
    """Async twin of ``resume_schedule``."""
    return adrive(verb_flow("resumeSchedule", partial(schedules.resume, checked_name(name))))


def delete_schedule(name: str) -> None:
    """Delete a schedule; its runs stay. An unknown name is passed over.

    One that code declares comes back when a worker starts: pause it instead.
    """
    perform("deleteSchedule", "adelete_schedule", partial(schedules.delete, checked_name(name)))


@markcoroutinefunction
def adelete_schedule(name: str) -> Awaitable[None]:
    """Async twin of ``delete_schedule``."""
    return adrive(verb_flow("deleteSchedule", partial(schedules.delete, checked_name(name))))


# Starting runs by hand


def trigger_schedule(schedule_name: str) -> WorkflowHandle[Any]:
    """Start a run of a schedule now, paused or not, whatever else of it is active; return its handle.

    Raises NonExistentScheduleError, NotAllowedInWorkflowError.
    """
    verb = partial(ticks.trigger, checked_name(schedule_name))
    return WorkflowHandle(_outside("trigger_schedule", "atrigger_schedule", verb))


async def atrigger_schedule(schedule_name: str) -> WorkflowHandle[Any]:
    """Async twin of ``trigger_schedule``."""
    verb = partial(ticks.trigger, checked_name(schedule_name))
    return WorkflowHandle(await _aoutside("atrigger_schedule", verb))


def backfill_schedule(schedule_name: str, start: datetime, end: datetime) -> list[WorkflowHandle[Any]]:
    """Start the runs of all ticks between two times, both exclusive; return their handles.

    A time without a zone is UTC. Ticks that have a run already are not run again. Raises
    NonExistentScheduleError, NotAllowedInWorkflowError, InvalidOptionError for too many ticks.
    """
    found = _outside("backfill_schedule", "abackfill_schedule", _backfill(schedule_name, start, end))
    return [WorkflowHandle(one) for one in found]


async def abackfill_schedule(schedule_name: str, start: datetime, end: datetime) -> list[WorkflowHandle[Any]]:
    """Async twin of ``backfill_schedule``."""
    found = await _aoutside("abackfill_schedule", _backfill(schedule_name, start, end))
    return [WorkflowHandle(one) for one in found]


def _backfill(name: str, start: datetime, end: datetime) -> Callable[[], list[str]]:
    return partial(ticks.backfill, checked_name(name), _aware(start), _aware(end))


def _aware(given: datetime) -> datetime:
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given


def _outside(verb: str, twin: str, action: Callable[[], T]) -> T:
    return drive_blocking(_unrecorded(verb, action), twin)


def _aoutside(verb: str, action: Callable[[], T]) -> Awaitable[T]:
    return cast(Awaitable[T], adrive(_unrecorded(verb, action)))


def _unrecorded(verb: str, action: Callable[[], T]) -> Flow[T]:
    scope = current.get()
    if scope is not None and scope.step is None:
        raise NotAllowedInWorkflowError(verb)
    return verb_at(None, None, verb, action)
