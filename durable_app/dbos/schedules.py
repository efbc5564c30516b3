"""Schedules: declared above a function, as in the seed's 2.x, or made at run time, as in its 3.x."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Required, TypedDict, TypeVar, Unpack, cast

from durable_app import public as ours
from durable_app.callables import decorated_in
from durable_app.dbos.declared import declared
from durable_app.dbos.pairs import Given, given, handling, handling_all, plain, shown, unused
from durable_app.dbos.process import process
from durable_app.dbos.shown import seed_schedule_or_none, seed_schedules
from durable_app.dbos.threads import blocking

F = TypeVar("F", bound=Callable[..., Any])


class ScheduleOptions(TypedDict, total=False):
    """What a schedule may say besides what it starts and when."""

    context: Any
    automatic_backfill: bool
    cron_timezone: str | None
    queue_name: str | None
    workflow_class_name: str | None
    application_name: str | None
    shard_key: str | None


class ScheduleInput(ScheduleOptions, total=False):
    """A schedule for ``apply_schedules``."""

    schedule_name: Required[str]
    workflow_fn: Required[Any]
    schedule: Required[str]


class ClientScheduleInput(ScheduleOptions, total=False):
    """A schedule for ``DBOSClient.apply_schedules``."""

    schedule_name: Required[str]
    workflow_name: Required[str]
    schedule: Required[str]


def scheduled(cron: str) -> Callable[[F], F]:
    """Decorator: start a workflow at each tick, with the tick and the actual time as its arguments."""
    declare = ours.scheduled(cron, context=ours.FIRED_AT)

    def decorate(func: F) -> F:
        found = declare(func)
        declared.schedules.add(decorated_in(func).name)
        if process.worker is not None:
            blocking(process.worker.declare)
        return found

    return decorate


def _translated(input_or_options: Any) -> dict[str, Any]:
    found = dict(input_or_options)
    unused(shard_key=found.pop("shard_key", None))
    found.pop("application_name", None)
    if found.get("automatic_backfill") is None:
        found.pop("automatic_backfill", None)
    if "workflow_name" in found:
        found["workflow_fn"] = found.pop("workflow_name")
    return found


@plain(ours.create_schedule, ours.acreate_schedule)
def create_schedule(
    *, schedule_name: str, workflow_fn: Any, schedule: str, **options: Unpack[ScheduleOptions]
) -> Given:
    """Start a workflow at each tick from now on, with the tick and the ``context`` as its arguments."""
    return given(
        schedule_name=schedule_name, workflow_fn=workflow_fn, schedule=schedule, **_translated(options)
    )


@plain(ours.create_schedule, ours.acreate_schedule)
def create_named_schedule(
    *, schedule_name: str, workflow_name: str, schedule: str, **options: Unpack[ScheduleOptions]
) -> Given:
    """Start a workflow, known by its name, at each tick from now on."""
    return given(
        schedule_name=schedule_name, workflow_fn=workflow_name, schedule=schedule, **_translated(options)
    )


@plain(ours.apply_schedules, ours.aapply_schedules)
def apply_schedules(schedules: list[ScheduleInput]) -> Given:
    """Create or change schedules, all or none."""
    return given([cast(ours.ScheduleInput, _translated(one)) for one in schedules])


@plain(ours.apply_schedules, ours.aapply_schedules)
def apply_named_schedules(schedules: list[ClientScheduleInput]) -> Given:
    """Create or change schedules of workflows that are known by name, all or none."""
    return given([cast(ours.ScheduleInput, _translated(one)) for one in schedules])


@shown(ours.get_schedule, ours.aget_schedule, seed_schedule_or_none)
def get_schedule(name: str) -> Given:
    """Return a schedule, None if there is none of that name."""
    return given(name)


@shown(ours.list_schedules, ours.alist_schedules, seed_schedules)
def list_schedules(
    *,
    status: str | list[str] | None = None,
    workflow_name: str | list[str] | None = None,
    schedule_name_prefix: str | list[str] | None = None,
    application_name: str | list[str] | None = None,
) -> Given:
    """Return schedules by name; filters are combined with AND."""
    return given(status=status, workflow_name=workflow_name, schedule_name_prefix=schedule_name_prefix)


@plain(ours.pause_schedule, ours.apause_schedule)
def pause_schedule(name: str) -> Given:
    """Let a schedule fire no more until it is resumed."""
    return given(name)


@plain(ours.resume_schedule, ours.aresume_schedule)
def resume_schedule(name: str) -> Given:
    """Let a schedule fire again."""
    return given(name)


@plain(ours.delete_schedule, ours.adelete_schedule)
def delete_schedule(name: str) -> Given:
    """Delete a schedule; an unknown name is passed over."""
    return given(name)


@handling(ours.trigger_schedule, ours.atrigger_schedule)
def trigger_schedule(schedule_name: str) -> Given:
    """Start a run of a schedule now."""
    return given(schedule_name)


@handling_all(ours.backfill_schedule, ours.abackfill_schedule)
def backfill_schedule(schedule_name: str, start: datetime, end: datetime) -> Given:
    """Start the runs of all ticks between two times, both exclusive."""
    return given(schedule_name, start, end)
