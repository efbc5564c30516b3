"""The verbs on schedules: one click where nothing can go wrong, a form where something is to be said."""

from functools import partial
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from durable_app.admin.confirming import VerbPage, confirm
from durable_app.admin.neighbours import run_url
from durable_app.admin.schedules import choices
from durable_app.admin.schedules.forms import backfill_form_for, form_for, initial_of
from durable_app.admin.schedules.links import VERBS, refusal
from durable_app.admin.schedules.page import SchedulePages, shown_preview
from durable_app.control import schedules
from durable_app.control.operator import Operator, Refused, Result
from durable_app.errors import InvalidOptionError
from durable_app.models import Schedule
from durable_app.store import database, firings
from durable_app.store.schedules import recurrence_of

SAVE = "save"
"""The button that saves a form; another one only previews it."""

CONFIRMED = "confirmed"
"""The button that starts a backfill; another one only shows its ticks."""

Values = dict[str, Any]


class ScheduleVerbs(SchedulePages):
    """The views of the verbs, of the form and of backfills."""

    def verb_view(self, request: HttpRequest, pk: Any, name: str) -> HttpResponse:
        """Show a verb's page, or do it: a row's button comes here directly."""
        if name not in VERBS:
            raise Http404
        if not self.has_view_permission(request):
            return self.denied(request, name)
        row: Schedule = self.found(request, pk)
        verb = VERBS[name]
        if not self.may(request, verb.permission, row):
            return self.denied(request, name, row.name)
        is_from_list = request.POST.get("back") == "list"
        back = self.list_url() if is_from_list or name == "delete" else self.object_url(row.pk)
        page = VerbPage(
            title=_("%(verb)s: %(name)s") % {"verb": verb.label, "name": row.name},
            verb=verb.label,
            done=verb.done,
            back_url=back if name != "delete" else self.object_url(row.pk),
            sentences=tuple(filter(None, (refusal(name, row), str(verb.sentence)))),
            is_destructive=verb.is_destructive,
            done_url=partial(self._done_url, back),
            obj=None if name == "delete" else row,
            context={"object": row, "object_url": self.object_url(row.pk)},
        )
        return confirm(self, request, page, lambda operator, values: [verb.act(operator, row.name)])

    def _done_url(self, back: str, results: list[Result]) -> str:
        """Lead to the run that was triggered, unless the user came from the list."""
        made = results[0].made
        return (made and back != self.list_url() and run_url(self.admin_site, made)) or back

    # defining

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Show the form of a new schedule, or make it."""
        if not self.may(request, "add_schedule"):
            return self.denied(request, "create")
        return self._form(request, None)

    def edit_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Show the form of a schedule, or change it; what code declares is only changed there."""
        if not self.has_view_permission(request):
            return self.denied(request, "change")
        row: Schedule = self.found(request, pk)
        if not self.may(request, "change_schedule", row):
            return self.denied(request, "change", row.name)
        if refusal("change", row):
            return HttpResponseRedirect(self.object_url(row.pk))
        return self._form(request, row)

    def _form(self, request: HttpRequest, row: Schedule | None) -> HttpResponse:
        posted = request.POST.dict() if request.method == "POST" else {}
        initial = initial_of(row)
        if posted and SAVE not in posted:  # without a script, the button for the preview posts, too
            kept = {} if row is None else {"name": row.name}
            initial = {**initial, "is_enabled": False, **posted, **kept}
        form_class = form_for(
            row,
            may_see=row is None or self.may(request, "view_payload"),
            may_pause=self.may(request, "pause_schedule", row),
        )
        shown: Values = posted or initial
        cron, zone = str(shown.get("cron") or ""), str(shown.get("timezone") or "")
        object_url = self.object_url(row.pk) if row is not None else ""
        page = VerbPage(
            title=_("Add a schedule") if row is None else _("Change %(name)s") % {"name": row.name},
            verb=_("Add") if row is None else _("Change"),
            done=_("added") if row is None else _("changed"),
            back_url=object_url or self.list_url(),
            form_class=form_class,
            initial=initial,
            marker=SAVE,
            done_url=self._saved_url,
            template="admin/durable_app/schedule/form.html",
            context={
                "object": row,
                "object_url": object_url,
                "zones": choices.zones(),
                "preview_url": self.schedule_url("preview"),
                **(shown_preview(cron, zone) if cron else {}),
            },
        )
        return confirm(self, request, page, partial(self._save, request, row))

    def _save(
        self, request: HttpRequest, row: Schedule | None, operator: Operator, values: Values
    ) -> list[Result]:
        definition = values["definition"]
        is_enabled = _enabling(row, values.get("is_enabled"))
        result = schedules.save(operator, definition, is_new=row is None, is_enabled=is_enabled)
        if result.outcome in ("refused", "failed"):
            raise Refused(result.detail)  # what was typed stays in the form
        if result.is_done:
            verb = _("Added") if row is None else _("Changed")
            saved = Schedule.objects.using(database.alias()).get(name=definition.name)
            self.note(request, saved, f"{verb}: {operator.reason}" if operator.reason else verb)
        return [result]

    def _saved_url(self, results: list[Result]) -> str:
        saved = Schedule.objects.using(database.alias()).filter(name=results[0].target).first()
        return str(self.list_url()) if saved is None else str(self.object_url(saved.pk))

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return what an expression means, for the page on which it is typed."""
        if not (self.has_view_permission(request) or self.may(request, "add_schedule")):
            return self.forbidden(request)
        found = shown_preview(request.GET.get("cron", ""), request.GET.get("timezone", ""))
        template = "admin/durable_app/schedule/preview.html"
        return TemplateResponse(request, template, found, headers={"Cache-Control": "no-store"})

    # making up for ticks

    def backfill_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask for a span, show its ticks, and start the runs of those that have none."""
        if not self.has_view_permission(request):
            return self.denied(request, "backfill")
        row: Schedule = self.found(request, pk)
        if not self.may(request, "backfill_schedule", row):
            return self.denied(request, "backfill", row.name)
        try:
            recurrence = recurrence_of(row)
        except InvalidOptionError as error:
            return self.trouble(request, 409, _("This schedule cannot be read here"), str(error))
        form_class = backfill_form_for(recurrence)
        tried = form_class(request.POST) if request.method == "POST" else None
        found = tried.cleaned_data["ticks"] if tried is not None and tried.is_valid() else None
        ticks = None if found is None else firings.past_ticks(row.name, recurrence, found)
        page = VerbPage(
            title=_("Backfill: %(name)s") % {"name": row.name},
            verb=_("Backfill"),
            done=_("backfilled"),
            back_url=self.object_url(row.pk),
            sentences=(
                _("Ticks between two times that have no run are started now, all at once."),
                _("Times are those of the schedule's zone, %(zone)s.") % {"zone": recurrence.timezone},
            ),
            form_class=form_class,
            marker=CONFIRMED,
            obj=row,
            template="admin/durable_app/schedule/backfill.html",
            context={
                "object": row,
                "object_url": self.object_url(row.pk),
                "tried": tried,
                "ticks": ticks,
                "missing": sum(not tick.has_run for tick in ticks or ()),
            },
        )
        return confirm(self, request, page, partial(_backfill, row))


def _backfill(row: Schedule, operator: Operator, values: Values) -> list[Result]:
    return [schedules.backfill(operator, row.name, values["start"], values["end"])]


def _enabling(row: Schedule | None, wanted: bool | None) -> bool | None:
    """Return whether a schedule is to be made active or paused; None if that stays as it is."""
    is_active = row is None or row.status == "ACTIVE"
    return None if wanted is None or wanted is is_active else wanted
