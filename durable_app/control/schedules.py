"""Verbs on schedules. What code declares can be paused, triggered and backfilled; only code changes it."""

import uuid
from datetime import datetime

from durable_app.control.operator import Operator, Refused, Result
from durable_app.errors import NonExistentScheduleError
from durable_app.registry import ScheduleDefinition
from durable_app.store import schedules, ticks

KIND = "schedule"


def save(operator: Operator, definition: ScheduleDefinition, *, is_new: bool) -> Result:
    """Create a schedule, or give an existing one another definition.

    Raises PermissionDeniedError. A declared schedule, and a new one whose name is taken, are refused.
    """
    name = definition.name
    operator.require("add_schedule" if is_new else "change_schedule", "save", KIND, name)

    def act() -> str:
        if is_new:
            schedules.create(definition, uuid.uuid4())
        else:
            _refuse_declared(name)
            schedules.apply([definition])
        return ""

    return operator.perform("create" if is_new else "change", name, act, {"cron": definition.cron}, KIND)


def delete(operator: Operator, name: str) -> Result:
    """Delete a schedule; its runs stay. Raises PermissionDeniedError; a declared one is refused."""
    operator.require("delete_schedule", "delete", KIND, name)

    def act() -> str:
        _refuse_declared(name)
        schedules.delete(name)
        return ""

    return operator.perform("delete", name, act, {}, KIND)


def pause(operator: Operator, name: str) -> Result:
    """Let a schedule fire no more; raises PermissionDeniedError."""
    operator.require("pause_schedule", "pause", KIND, name)

    def act() -> str:
        schedules.pause(name)
        return ""

    return operator.perform("pause", name, act, {}, KIND)


def resume(operator: Operator, name: str) -> Result:
    """Let a schedule fire again; raises PermissionDeniedError."""
    operator.require("pause_schedule", "resume", KIND, name)

    def act() -> str:
        schedules.resume(name)
        return ""

    return operator.perform("resume", name, act, {}, KIND)


def trigger(operator: Operator, name: str) -> Result:
    """Start a run of a schedule now; raises PermissionDeniedError."""
    operator.require("trigger_schedule", "trigger", KIND, name)
    return operator.perform("trigger", name, lambda: ticks.trigger(name), {}, KIND)


def backfill(operator: Operator, name: str, start: datetime, end: datetime) -> Result:
    """Start the runs of all ticks between two times, both exclusive; raises PermissionDeniedError."""
    operator.require("backfill_schedule", "backfill", KIND, name)
    details = {"start": start.isoformat(), "end": end.isoformat()}

    def act() -> str:
        return str(len(ticks.backfill(name, start, end)))

    return operator.perform("backfill", name, act, details, KIND)


def _refuse_declared(name: str) -> None:
    found = schedules.get(name)
    if found is None:
        raise NonExistentScheduleError(name)
    if found.is_declared:
        raise Refused(f"The schedule {name!r} is declared in code: change it there.")
