"""What a schedule may be made of: workflows of the registry, queues, time zones. Never a list of rows."""

from collections.abc import Iterable
from functools import cache
from zoneinfo import available_timezones

from django.utils.translation import gettext as _

from durable_app.models import Queue, Schedule
from durable_app.registry import TEMPORARY, UNDO, registry
from durable_app.store import database

OWN = ("durable.", "_durable_", TEMPORARY, UNDO, "<")
"""Beginnings of the names of workflows that are not the project's."""

MOST_QUEUES = 500

Choices = list[tuple[str, str]]


def workflows(row: Schedule | None) -> Choices:
    """Return the project's functions, and what a schedule starts already."""
    names = {
        name
        for name, found in registry.workflows.items()
        if found.binding in ("function", "static") and not name.startswith(OWN)
    }
    if row is not None:
        names.add(row.workflow_name)
    return [("", "---------"), *_pairs(names)]


def queues(row: Schedule | None) -> Choices:
    """Return the queues that a tick can be put into: partitioned ones want a key that it does not have."""
    found = {name: declared.limits for name, declared in registry.queues.items()}
    rows = Queue.objects.using(database.alias()).order_by("name")[:MOST_QUEUES]
    found |= {one.name: one.limits for one in rows}
    names = {name for name, limits in found.items() if not limits.is_partitioned} - {"default"}
    if row is not None and row.queue_name:
        names.add(row.queue_name)
    return [("", _("default")), *_pairs(names)]


@cache
def zones() -> tuple[str, ...]:
    """Return the names of the zones that this host knows."""
    return tuple(sorted(name for name in available_timezones() if not name.startswith(("Etc/", "SystemV/"))))


def _pairs(names: Iterable[str]) -> Choices:
    return [(name, name) for name in sorted(names)]
