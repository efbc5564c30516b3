"""Our entries in django-unfold's sidebar, with icons and badges: ``UNFOLD["SIDEBAR"]["navigation"]``.

The pages need nothing of this: they look for unfold themselves. Their verbs stay buttons of theirs instead of
unfold's ``actions_detail`` and ``actions_row``, which leave out what is not possible now, while ours say why.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db import DatabaseError
from django.http import HttpRequest

from durable_app import clock
from durable_app.control.actors import APP, Actor
from durable_app.control.answering import addressed_to
from durable_app.errors import QueryTimeoutError
from durable_app.models import Workflow
from durable_app.models.workflow import ACTIVE
from durable_app.store import approvals, database, retention
from durable_app.store.observing import limited

MOST = 99
"""More than this is said as "99+"."""

WINDOW = timedelta(hours=1)
"""How long ago a run may have failed to be counted."""

PATIENCE = 0.2
"""Seconds that a badge may take: it stands on every page of the admin."""

ICONS = {
    "Overview": "monitoring",
    "Workflow": "account_tree",
    "Approval": "how_to_reg",
    "Schedule": "schedule",
    "Queue": "stacks",
    "Worker": "memory",
    "BulkOperation": "checklist",
    "AuditEvent": "policy",
}
"""Names of Material symbols, by the entry's model."""


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar's group of our entries: those that the user may see, in the order of the index.

    Empty if there are none. A project adds it to groups of its own.
    """
    listed = admin.site.get_app_list(request, APP)
    actor = Actor.of_request(request)
    return [
        {"title": app["name"], "separator": True, "items": [_item(one, actor) for one in app["models"]]}
        for app in listed
    ]


def waiting_approvals(actor: Actor) -> Any:
    """Return the questions that wait for an answer of this user's."""
    found = approvals.visible(actor.sees).filter(closed_at__isnull=True, workflow__status__in=ACTIVE)
    return addressed_to(actor, found)


def failed_runs(actor: Actor) -> Any:
    """Return the runs that failed within the last hour, of those that the user may know of."""
    runs = actor.sees(Workflow.objects.using(database.alias()))
    return runs.filter(finished_at__gte=clock.now() - WINDOW, status__in=retention.FAILED)


BADGES: Mapping[str, tuple[Callable[[Actor], Any], str]] = {
    "Workflow": (failed_runs, "danger"),
    "Approval": (waiting_approvals, "warning"),
}
"""What an entry's badge counts, and unfold's name for its colour."""


def _item(entry: dict[str, Any], actor: Actor) -> dict[str, Any]:
    name = entry["object_name"]
    item = {"title": entry["name"], "icon": ICONS.get(name, "circle"), "link": entry["admin_url"]}
    counted, variant = BADGES.get(name, (None, ""))
    text = _count(counted, actor) if counted else ""
    return {**item, "badge": text, "badge_variant": variant} if text else item


def _count(counted: Callable[[Actor], Any], actor: Actor) -> str:
    """Return how many there are, in words; nothing for none, and for what cannot be counted soon."""
    try:
        with limited(PATIENCE):
            count = counted(actor).order_by()[: MOST + 1].count()
    except (QueryTimeoutError, DatabaseError):
        return ""
    return f"{MOST}+" if count > MOST else str(count or "")
