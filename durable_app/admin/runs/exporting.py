"""Runs as a file: streamed in batches, or, above a limit, written in the background and fetched later."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app import exporting
from durable_app.admin.exporting import FORMATS, sent, streamed
from durable_app.admin.keyset import WrongLink
from durable_app.admin.options import options
from durable_app.admin.runs.conditions import Conditions, conditions_of
from durable_app.admin.runs.links import RunLinks
from durable_app.admin.runs.lists import visible
from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.insight.tables import COLUMNS, Table
from durable_app.store import bulk_operations
from durable_app.store.observing import limited


class ExportForm(forms.Form):
    """Asks for the format, and whether payloads are wanted."""

    format = forms.ChoiceField(
        label=gettext_lazy("Format"), choices=[(name, name.upper()) for name in FORMATS], initial="csv"
    )
    payloads = forms.BooleanField(label=gettext_lazy("With inputs and outputs"), required=False)


class Exports(RunLinks):
    """The views that export what a list shows."""

    def export_list_view(self, request: HttpRequest) -> HttpResponseBase:
        """Ask for the format, then stream the runs that match a list's link, newest first.

        More than the limit are written by a bulk operation.
        """
        operator = self.operator_of(request)
        actor = operator.actor
        if not self.has_view_permission(request) or not actor.may("export_workflow"):
            return self.denied(request, "export")
        try:
            conditions = conditions_of(request.GET, actor.sees)
        except WrongLink as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        form = ExportForm(request.POST or None)
        if not actor.may("view_payload"):
            form.fields.pop("payloads")
        if not form.is_valid():
            return self._ask(request, form)
        if self._is_long(actor, conditions):
            return self._begin_export(request, operator, conditions, form.cleaned_data)
        chosen = form.cleaned_data["format"]
        operator.perform("export", "", lambda: "", {"filter": conditions, "format": chosen})
        table = _table(actor, conditions, payloads=form.cleaned_data.get("payloads", False))
        return streamed(request, "runs", chosen, COLUMNS, table.pages(options().EXPORT_LIMIT))

    def _ask(self, request: HttpRequest, form: forms.Form) -> HttpResponse:
        back_url = f"{self.list_url()}?{request.GET.urlencode()}"
        sentence = _(
            "The runs that match are sent as a file, newest first. If they are more than %(most)d, it is "
            "written in the background, and you fetch it later. Secrets are left out."
        )
        context = self.page_context(
            request,
            _("Export runs"),
            form=form,
            back_url=back_url,
            sentence=sentence % {"most": options().EXPORT_LIMIT},
        )
        return TemplateResponse(request, "admin/durable_app/export.html", context)

    def _is_long(self, actor: Actor, conditions: Conditions) -> bool:
        """Return whether more runs match than a request can bear."""
        most = options().EXPORT_LIMIT
        with limited():
            count = visible(actor, conditions).order_by().values_list("pk")[: most + 1].count()
        return bool(count > most)

    def _begin_export(
        self, request: HttpRequest, operator: Operator, conditions: Conditions, values: dict[str, Any]
    ) -> HttpResponse:
        payloads = values.get("payloads", False)
        number = exporting.begin(operator, conditions, values["format"], payloads=payloads)
        messages.success(
            request, _("The export is written in the background, as bulk operation %d.") % number
        )
        return HttpResponseRedirect(self.operation_url(number) or self.run_url("exported", number))

    def exported_view(self, request: HttpRequest, number: int) -> HttpResponseBase:
        """Send the file of a long export to whoever asked for it; until it is whole, say how far it is."""
        operator = self.operator_of(request)
        operation = bulk_operations.find(number)
        if operation is None or not exporting.is_of(operation, operator.actor):
            raise Http404
        wanted = ["export_workflow", *(["view_payload"] if operation.options["payloads"] else [])]
        if not all(operator.actor.may(permission) for permission in wanted):
            return self.denied(request, "download", str(number), bulk.KIND)
        if not operation.file:
            return self._unfinished(request, operation)
        operator.perform("download", str(number), lambda: "", {}, bulk.KIND)
        form = FORMATS[operation.options["format"]]
        return sent(request, exporting.pieces(operation), form.content_type, exporting.file_name(operation))

    def _unfinished(self, request: HttpRequest, operation: Any) -> HttpResponse:
        if operation.finished_at is not None:
            sentence = _("It has ended without a file: it was cancelled, or it failed.")
            return self.trouble(request, 404, _("There is no file"), sentence)
        sentence = _("%(done)d runs are written. Come back to this page for the file.")
        return self.trouble(
            request, 200, _("The export is not ready yet"), sentence % {"done": operation.done}
        )


def _table(actor: Actor, conditions: Conditions, *, payloads: bool) -> Table:
    may_see = (lambda run: actor.may("view_payload", run)) if payloads else None
    return Table(conditions=conditions, sees=actor.sees, may_see=may_see)
