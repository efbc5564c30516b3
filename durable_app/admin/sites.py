"""Which of our admin classes stand on which site, and in which order the index names them."""

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Model

from durable_app.admin.options import options
from durable_app.errors import InvalidOptionError

APP = "durable_app"

ORDER = ("overview", "runs", "approvals", "schedules", "queues", "workers", "bulk operations", "audit")
"""The entries, in the order of the index."""

Entry = tuple[type[Model], type[Any]]

_entries: dict[str, Entry] = {}


def entry(name: str, model: type[Model], admin_class: type[Any]) -> None:
    """Make known what an entry of the index is."""
    _entries[name] = (model, admin_class)


def register(site: AdminSite, only: Iterable[str] | None = None) -> None:
    """Put our entries on an admin site, all of them or ``only`` some.

    What stands there already is left as it is: a project's own classes win. Raises InvalidOptionError for an
    unknown name.
    """
    names = list(ORDER if only is None else only)
    unknown = set(names) - set(ORDER)
    if unknown:
        raise InvalidOptionError(f"the admin has no entry {min(unknown)!r}; it has {', '.join(ORDER)}")
    if not options().ENABLED:
        return
    for name in names:
        if name in _entries and not site.is_registered(_entries[name][0]):
            site.register(*_entries[name])
    _keep_order(site)


def _keep_order(site: Any) -> None:
    """Let a site list our entries in our order; Django sorts them by the alphabet."""
    if getattr(site, "keeps_durable_order", False):
        return
    listed = site.get_app_list

    def get_app_list(request: Any, app_label: str | None = None) -> list[Any]:
        apps: list[Any] = listed(request, app_label)
        for app in apps:
            if app["app_label"] == APP:
                app["models"].sort(key=_place)
        return apps

    site.get_app_list = get_app_list
    site.keeps_durable_order = True


def _place(listed: dict[str, Any]) -> tuple[int, str]:
    places = {model: ORDER.index(name) for name, (model, _admin) in _entries.items()}
    return places.get(listed["model"], len(ORDER)), listed["name"]
