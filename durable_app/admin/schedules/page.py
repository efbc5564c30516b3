"""The page of a schedule: what it is, when it fires, and what became of it."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from durable_app import clock
from durable_app.admin import display
from durable_app.admin.neighbours import page_url
from durable_app.admin.schedules.columns import lateness, status_badge
from durable_app.admin.schedules.declared import conflict, is_of_code, place_of
from durable_app.admin.schedules.links import VERBS, refusal
from durable_app.admin.schedules.lists import ScheduleLists
from durable_app.errors import InvalidOptionError
from durable_app.insight.fires import preview
from durable_app.insight.payloads import payload
from durable_app.models import Schedule, Workflow
from durable_app.recurrence import Recurrence

NEXT = 5
"""Fires to come that a page and a preview show."""


def shown_preview(cron: str, timezone: str) -> dict[str, Any]:
    """Return what an expression means from now on, or what is wrong with it, for the template."""
    try:
        found = preview(Recurrence(cron, timezone or "UTC"), clock.now(), NEXT)
    except InvalidOptionError as error:
        return {"preview_error": str(error)}
    return {"preview": found, "preview_ticks": [(tick, display.ago(tick)) for tick in found.ticks]}


class SchedulePages(ScheduleLists):
    """The view of one schedule."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a schedule; it is changed on a page of its own."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row: Schedule = self.found(request, object_id)
        latest, missed = self.history_of(request, [row])
        runs = latest.get(row.name, [])
        may_see = self.may(request, "view_payload")
        context = self.page_context(
            request,
            row.name,
            schedule=row,
            object=row,
            badge=status_badge(row),
            buttons=self._buttons(request, row),
            history_url=self.history_url(row.pk),
            conflict=conflict(row),
            late=lateness(row),
            is_of_code=is_of_code(row),
            place=place_of(row),
            facts=self._facts(row),
            given=payload(row.context, "json", may_see=may_see),
            dots=self.dots(runs),
            missed=missed.get(row.name),
            runs=[
                (run, display.badge(run.status), self._run(run), display.ago(run.created_at)) for run in runs
            ],
            **shown_preview(row.cron, row.timezone or ""),
        )
        template = "admin/durable_app/schedule/change_form.html"
        return TemplateResponse(request, template, context, headers={"Cache-Control": "no-store"})

    def _run(self, run: Workflow) -> Any:
        return display.identifier(run.workflow_id, page_url(self.admin_site, Workflow, run.pk), is_cut=False)

    def _buttons(self, request: HttpRequest, row: Schedule) -> list[tuple[Any, str, str]]:
        """Return label, link and refusal of each verb; without the permission that is the refusal."""
        found = [
            (name, verb.label, verb.permission, self.verb_url(row, name)) for name, verb in VERBS.items()
        ]
        found += [
            ("backfill", _("Backfill"), "backfill_schedule", self.schedule_url("backfill", row.pk)),
            ("change", _("Change"), "change_schedule", self.schedule_url("edit", row.pk)),
        ]
        missing = _("You need the permission “%(permission)s”.")
        return [
            (
                label,
                url,
                refusal(name, row)
                if self.may(request, permission, row)
                else missing % {"permission": permission},
            )
            for name, label, permission, url in found
        ]

    def _facts(self, row: Schedule) -> list[tuple[Any, Any]]:
        facts: list[tuple[Any, Any]] = [
            (_("Workflow"), display.short_name(row.workflow_name)),
            (_("Class"), row.class_name),
            (_("Cron"), row.cron),
            (_("Time zone"), row.timezone or "UTC"),
            (_("Queue"), row.queue_name or "default"),
            (_("Missed ticks"), self._catch_up(row)),
            (_("While a run is active"), row.get_overlap_display()),
            (_("Last fired"), display.ago(row.last_fired_at) if row.last_fired_at else None),
            (_("Changed"), display.ago(row.updated_at)),
        ]
        return [(label, value) for label, value in facts if value]

    def _catch_up(self, row: Schedule) -> str:
        word = row.get_catch_up_display()
        return f"{word} ({row.catch_up_limit})" if row.catch_up_limit else word
