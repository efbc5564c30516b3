"""Verbs on schedules. What code declares can be paused, triggered and backfilled; only code changes it."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from durable_app import clock
from durable_app.control.operator import Operator, Refused, Result
from durable_app.engine.versions import current
from durable_app.errors import InvalidOptionError, NonExistentScheduleError
from durable_app.registry import ScheduleDefinition, registry
from durable_app.store import schedules, ticks, versions

KIND = "schedule"


def save(
    operator: Operator,
    definition: ScheduleDefinition,
    *,
    is_new: bool,
    is_enabled: bool | None = None,
    expect: Callable[[Any], object] = lambda row: None,
) -> Result:
    """Create a schedule, or give an existing one another definition; ``is_enabled``: pause or resume it, too.

    ``expect`` may raise if the schedule's row, locked by now, is not as the operator has seen it. Raises
    PermissionDeniedError. A declared schedule, and a new one whose name is taken, are refused.
    """
    name = definition.name
    operator.require("add_schedule" if is_new else "change_schedule", "save", KIND, name, schedules.get(name))
    if is_enabled is not None:
        operator.require(
            "pause_schedule", "resume" if is_enabled else "pause", KIND, name, schedules.get(name)
        )
    details: dict[str, Any] = {"cron": definition.cron}

    def act() -> str:
        if is_new:
            _check_name(name)
            schedules.create(definition, uuid.uuid4())
        else:
            expect(schedules.locked(name))
            _refuse_declared(name)
            schedules.apply([definition])
        if is_enabled is not None:
            details["enabled"] = is_enabled
            (schedules.resume if is_enabled else schedules.pause)(name)
        return ""

    return operator.perform("create" if is_new else "change", name, act, details, KIND)


def delete(operator: Operator, name: str) -> Result:
    """Delete a schedule; its runs stay. Raises PermissionDeniedError; a declared one is refused."""
    operator.require("delete_schedule", "delete", KIND, name, schedules.get(name))

    def act() -> str:
        _refuse_declared(name)
        schedules.delete(name)
        return ""

    return operator.perform("delete", name, act, {}, KIND)


def pause(operator: Operator, name: str) -> Result:
    """Let a schedule fire no more; raises PermissionDeniedError."""
    operator.require("pause_schedule", "pause", KIND, name, schedules.get(name))

    def act() -> str:
        schedules.pause(name)
        return ""

    return operator.perform("pause", name, act, {}, KIND)


def resume(operator: Operator, name: str) -> Result:
    """Let a schedule fire again; raises PermissionDeniedError."""
    operator.require("pause_schedule", "resume", KIND, name, schedules.get(name))

    def act() -> str:
        schedules.resume(name)
        return ""

    return operator.perform("resume", name, act, {}, KIND)


def trigger(operator: Operator, name: str) -> Result:
    """Start a run of a schedule now; raises PermissionDeniedError."""
    operator.require("trigger_schedule", "trigger", KIND, name, schedules.get(name))
    return operator.perform("trigger", name, lambda: ticks.trigger(name), {}, KIND)


def backfill(operator: Operator, name: str, start: datetime, end: datetime) -> Result:
    """Start the runs of all ticks between two times, both exclusive; raises PermissionDeniedError."""
    operator.require("backfill_schedule", "backfill", KIND, name, schedules.get(name))
    details = {"start": start.isoformat(), "end": end.isoformat()}

    def act() -> str:
        now = clock.now()
        if not start < end <= now:
            raise InvalidOptionError(
                "a backfill begins before it ends, and ends by now: "
                f"not from {clock.shown(start)} to {clock.shown(end)}",
                "end" if start < end else "start",
            )
        return str(len(ticks.backfill(name, start, end)))

    return operator.perform("backfill", name, act, details, KIND)


def sync(operator: Operator) -> Result:
    """Take over the schedules that this process's code declares, as a worker does when it starts.

    Older code than the latest is refused. Raises PermissionDeniedError.
    """
    operator.require("change_schedule", "sync", KIND)

    def act() -> str:
        version = current()
        if version and not versions.may_be_latest(version):
            raise Refused(f"This code's version, {version!r}, is not the latest.")
        schedules.declare([declared.definition for declared in registry.schedules.values()])
        return ""

    return operator.perform("sync", "", act, {"declared": len(registry.schedules)}, KIND)


def _check_name(name: str) -> None:
    """Raise InvalidOptionError for a name with which a schedule would have no URL."""
    if "/" in name or name in (".", ".."):
        raise InvalidOptionError(
            f"a schedule's name is part of its URL: it has no slash, not {name!r}", "name"
        )


def is_fixed(schedule: Any) -> bool:
    """Return whether only code changes a schedule: code declares it."""
    return bool(schedule.is_declared and schedule.status != "RETIRED")


def _refuse_declared(name: str) -> None:
    found = schedules.get(name)
    if found is None:
        raise NonExistentScheduleError(name)
    if is_fixed(found):
        raise Refused(f"The schedule {name!r} is declared in code: change it there.")
