"""What the code of this process says of a schedule, and where that and its row disagree."""

from typing import Any

from django.utils.translation import gettext as _

from durable_app.models import Schedule, ScheduleStatus
from durable_app.registry import DeclaredSchedule, registry
from durable_app.store import schedules

_COMPARED = ("workflow_name", "cron", "timezone", "queue_name", "catch_up", "catch_up_limit", "overlap")


def is_of_code(row: Schedule) -> bool:
    """Return whether only code may change a schedule."""
    return row.is_declared and row.status != ScheduleStatus.RETIRED


def place_of(row: Schedule) -> str:
    """Return the module that declares a schedule, with the line; empty if this process knows of none."""
    declared = registry.schedules.get(row.name)
    if declared is None:
        return ""
    line = declared.location.rpartition(":")[2]
    return _("%(module)s, line %(line)s") % {"module": declared.func.__module__, "line": line}


def conflict(row: Schedule) -> str:
    """Return where code and row disagree, and what will come of it; empty if they agree."""
    declared = registry.schedules.get(row.name)
    if row.status == ScheduleStatus.RETIRED:
        return _("Code declared it, and does so no more: it does not fire. Resumed, it is yours to change.")
    if not row.is_declared:
        return "" if declared is None else _taken(row, declared)
    if declared is None:
        return _("The code of this process does not declare it: a worker with this code will retire it.")
    changed = _differences(row, declared)
    if not changed:
        return ""
    sentence = _("The code of this process declares it differently (%(what)s): the next worker writes that.")
    return sentence % {"what": ", ".join(changed)}


def unwritten() -> list[str]:
    """Return the names of schedules that the code of this process declares and no row has yet."""
    names = set(registry.schedules)
    return sorted(names - schedules.written(names)) if names else []


def _taken(row: Schedule, declared: DeclaredSchedule) -> str:
    if declared.definition.workflow_name == row.workflow_name:
        return _("The code of this process declares a schedule of this name: the next worker takes it over.")
    sentence = _(
        "The code of this process declares a schedule of this name, too, for %(workflow)s (%(place)s): "
        "that one does not fire as long as this one is here."
    )
    return sentence % {"workflow": declared.definition.workflow_name, "place": place_of(row)}


def _differences(row: Schedule, declared: DeclaredSchedule) -> list[str]:
    def shown(value: Any) -> str:
        return "–" if value is None else str(value)

    pairs = [(name, getattr(row, name), getattr(declared.definition, name)) for name in _COMPARED]
    found = [f"{name}: {shown(mine)} → {shown(its)}" for name, mine, its in pairs if mine != its]
    return found + (["context"] if row.context != declared.definition.context else [])
