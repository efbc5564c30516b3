"""A frozen filter in words."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app.admin import display

LABELS: Mapping[str, Any] = {
    "workflow_ids": gettext_lazy("id"),
    "workflow_id_prefix": gettext_lazy("id begins with"),
    "status": gettext_lazy("status"),
    "name": gettext_lazy("workflow"),
    "queue_name": gettext_lazy("queue"),
    "app_version": gettext_lazy("version"),
    "user": gettext_lazy("user"),
    "worker": gettext_lazy("worker"),
    "schedule_name": gettext_lazy("schedule"),
    "parent_workflow_id": gettext_lazy("parent"),
    "forked_from": gettext_lazy("fork of"),
    "error_type": gettext_lazy("error"),
    "waiting_for": gettext_lazy("waiting for"),
    "start_time": gettext_lazy("created since"),
    "end_time": gettext_lazy("created until"),
    "completed_after": gettext_lazy("ended since"),
    "completed_before": gettext_lazy("ended until"),
    "dequeued_after": gettext_lazy("begun since"),
    "dequeued_before": gettext_lazy("begun until"),
}

MOST = 5
"""Alternatives of one condition that are named."""


def in_words(conditions: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the conditions of a filter as labels and values; of none, that all runs are meant."""
    found = [pair for name, value in conditions.items() if value is not None for pair in _pairs(name, value)]
    return found or [(_("all runs"), "")]


def sentence(conditions: Mapping[str, Any]) -> str:
    """Return a filter on one line."""
    return ", ".join(f"{label} {value}".strip() for label, value in in_words(conditions))


def _pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case True | False:
            yield str(name.replace("_", " ")), _("yes") if value else _("no")
        case dict():
            for key, one in value.items():
                yield str(key), str(one)
        case list() | tuple() | set():
            yield _label(name), _listed([str(one) for one in value])
        case _:
            yield _label(name), _moment(str(value))


def _label(name: str) -> str:
    return str(LABELS.get(name, name.replace("_", " ")))


def _listed(values: list[str]) -> str:
    if len(values) <= MOST:
        return f" {_('or')} ".join(values)
    return _("%(count)d chosen: %(some)s …") % {"count": len(values), "some": ", ".join(values[:MOST])}


def _moment(text: str) -> str:
    """Return a time as people read it, any other text as it is."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if found.tzinfo is None else display.exactly(found)
