"""The list of schedules, by name: two queries for the history of all, whatever ran."""

from typing import Any, ClassVar

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from durable_app.admin.keyset import KeysetChangeList, Order
from durable_app.admin.schedules.columns import ROW_FORM, ScheduleColumns
from durable_app.admin.schedules.declared import unwritten
from durable_app.admin.schedules.links import VERBS
from durable_app.models import Schedule, ScheduleStatus
from durable_app.store import firings
from durable_app.store.observing import limited

BY_NAME = Order(label=_("By name"), fields=("name",))

ROW_VERBS = ("pause", "resume", "trigger")
"""Verbs of one click in a row."""


class ScheduleChangeList(KeysetChangeList):
    """Pages of schedules with what became of their runs."""

    def get_results(self, request: HttpRequest) -> None:
        """Add to each row its latest runs, its missed ticks and the verbs that the user has."""
        super().get_results(request)
        model_admin: Any = self.model_admin
        rows: list[Any] = self.result_list
        latest, missed = model_admin.history_of(request, rows)
        verbs = [name for name in ROW_VERBS if model_admin.may(request, VERBS[name].permission)]
        for row in rows:
            row.latest, row.missed, row.verbs = latest.get(row.name, []), missed.get(row.name), verbs


class ScheduleLists(ScheduleColumns):
    """The view of the list."""

    list_display_links: Any = None
    search_fields: ClassVar[Any] = ("name", "workflow_name")
    search_help_text: ClassVar[Any] = _("A part of the name, or of the workflow's")
    orders: ClassVar[Any] = {"": BY_NAME}
    ordering: ClassVar[Any] = ("name",)

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Let a link ask for nothing: not for what contexts contain."""
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the change list of schedules, on top of the theme's."""
        found: Any = super().get_changelist(request, **kwargs)
        return type("ScheduleChangeList", (ScheduleChangeList, found), {})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Add the form that the rows' buttons post, and what is declared and not written yet."""
        return super().changelist_view(
            request, {"row_form": ROW_FORM, "unwritten": unwritten(), **(extra_context or {})}
        )

    def history_of(self, request: HttpRequest, rows: list[Schedule]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the latest runs and the missed ticks of schedules, as far as the user may look at runs."""
        if not self.may(request, "view_workflow"):
            return {}, {}
        with limited():
            latest = firings.latest_runs([row.name for row in rows], self.actor_of(request).sees)
            return latest, firings.missed(row for row in rows if row.status == ScheduleStatus.ACTIVE)
