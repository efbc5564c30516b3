"""The entry "audit" put together: the list, a page of each event, the list as a file."""

import json
from collections.abc import Iterator
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app.admin import display
from durable_app.admin.audit.conditions import conditions_of
from durable_app.admin.audit.lists import AuditLists, outcome
from durable_app.admin.audit.words import changes_of, label_of
from durable_app.admin.base import SITE, BaseAdmin
from durable_app.admin.exporting import FORMATS, Row, streamed
from durable_app.admin.keyset import WrongLink
from durable_app.admin.options import options
from durable_app.admin.runs.many import meant
from durable_app.insight.payloads import plain, redacted
from durable_app.models import AuditEvent, BulkOperation

BATCH = 1_000

COLUMNS = (
    "id", "at", "verb", "outcome", "actor_kind", "actor_id", "actor_label", "target_kind", "target_id",
    "reason", "details", "ip", "request_id", "bulk_operation",
)  # fmt: skip

KIND = "audit"
"""What the audit calls itself."""


class FormatForm(forms.Form):
    """Asks for the format."""

    format = forms.ChoiceField(
        label=gettext_lazy("Format"), choices=[(name, name.upper()) for name in FORMATS], initial="csv"
    )


class AuditAdminMixin(AuditLists):
    """Audit events: nobody changes them."""

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the events that the user may know of."""
        return self.actor_of(request).sees_events(super().get_queryset(request))

    def get_urls(self) -> list[URLPattern]:
        """Add the export."""
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name="durable_app_auditevent_export"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list, with a link to the same as a file."""
        export_url = reverse(f"{SITE}:durable_app_auditevent_export", current_app=self.admin_site.name)
        context = {"export_url": f"{export_url}?{meant(request.GET).urlencode()}"}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show an event with its details."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        event = self.found(request, object_id)
        context = self.page_context(
            request,
            f"{label_of(event.verb)} {event.target_id}".strip(),
            verb=label_of(event.verb),
            changes=changes_of(event),
            object=event,
            event=event,
            outcome=outcome(event),
            facts=self._facts(request, event),
            details=json.dumps(redacted(plain(event.details)), indent=2, ensure_ascii=False),
        )
        return TemplateResponse(
            request, "admin/durable_app/audit/page.html", {**context, **(extra_context or {})}
        )

    def _facts(self, request: HttpRequest, event: AuditEvent) -> list[tuple[Any, Any]]:
        number = event.bulk_operation
        bulk_url = self.url_of_list(request, BulkOperation) if number else ""
        facts = [
            (_("When"), display.exactly(event.at)),
            (_("Who"), f"{event.actor_label} ({event.actor_kind}, {event.actor_id or '–'})"),
            (_("Target"), display.identifier(event.target_id, self.target_url(event), is_cut=False)),
            (_("Kind of target"), event.target_kind),
            (_("Reason"), event.reason),
            (_("Address"), event.ip),
            (_("Request"), event.request_id),
            (
                _("Bulk operation"),
                display.identifier(number, f"{bulk_url}{number}/change/" if bulk_url else ""),
            ),
        ]
        return [(label, value) for label, value in facts if value and value is not display.NOTHING]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Ask for the format, then stream the events that match a list's link, newest first."""
        operator = self.operator_of(request)
        if not self.has_view_permission(request):
            return self.denied(request, "export", kind=KIND)
        try:
            conditions = conditions_of(request.GET)
        except WrongLink as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        form = FormatForm(request.POST or None)
        if not form.is_valid():
            return self._ask(request, form)
        chosen = form.cleaned_data["format"]
        details = {"filter": dict(meant(request.GET).items()), "format": chosen}
        operator.perform("export", "", lambda: "", details, KIND)
        rows = self.get_queryset(request).filter(conditions)
        return streamed(request, "audit", chosen, COLUMNS, exported(rows, options().EXPORT_LIMIT))

    def _ask(self, request: HttpRequest, form: forms.Form) -> HttpResponse:
        sentence = _("The events that match are sent as a file, newest first, %(most)d at most.")
        context = self.page_context(
            request,
            _("Export audit"),
            form=form,
            back_url=f"{self.list_url()}?{request.GET.urlencode()}",
            sentence=sentence % {"most": options().EXPORT_LIMIT},
        )
        return TemplateResponse(request, "admin/durable_app/export.html", context)


def exported(events: Any, most: int) -> Iterator[list[Row]]:
    """Yield events in batches, as plain values."""
    last: int | None = None
    while most > 0:
        page = events if last is None else events.filter(pk__lt=last)
        batch = list(page.order_by("-pk")[: min(BATCH, most)])
        yield [_row(event) for event in batch]
        if len(batch) < BATCH:
            return
        most -= len(batch)
        last = batch[-1].pk


def _row(event: AuditEvent) -> Row:
    row: Row = {name: getattr(event, name) for name in COLUMNS}
    return {**row, "at": event.at.isoformat(), "details": redacted(plain(event.details)) or None}


class AuditAdmin(AuditAdminMixin, BaseAdmin):
    """The audit."""
