"""Runs as a file: streamed in batches, so that a long list costs no memory."""

import csv
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django import forms
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app import clock
from durable_app.admin.keyset import WrongLink
from durable_app.admin.options import options
from durable_app.admin.runs.conditions import conditions_of
from durable_app.admin.runs.links import RunLinks
from durable_app.control.actors import Actor
from durable_app.insight.payloads import attributes, failure, payload
from durable_app.store import listing

BATCH = 500

COLUMNS = (
    "workflow_id", "name", "status", "queue_name", "priority", "user", "app_version", "parent_workflow_id",
    "forked_from", "schedule_name", "deduplication_id", "attempt", "recovery_attempts", "created_at",
    "enqueued_at", "started_at", "finished_at", "attributes",
)  # fmt: skip

PAYLOADS = ("inputs", "output", "error")

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""

FORMATS: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
}

Row = dict[str, Any]


class ExportForm(forms.Form):
    """Asks for the format, and whether payloads are wanted."""

    format = forms.ChoiceField(
        label=gettext_lazy("Format"), choices=[(name, name.upper()) for name in FORMATS], initial="csv"
    )
    payloads = forms.BooleanField(label=gettext_lazy("With inputs and outputs"), required=False)


class Exports(RunLinks):
    """The view that exports what a list shows."""

    def export_list_view(self, request: HttpRequest) -> HttpResponseBase:
        """Ask for the format, then stream the runs that match a list's link, newest first."""
        operator = self.operator_of(request)
        actor = operator.actor
        if not self.has_view_permission(request) or not actor.may("export_workflow"):
            operator.deny("export", "")
            return self.forbidden(request)
        try:
            conditions = conditions_of(request.GET)
        except WrongLink as error:
            return self.trouble(request, 400, _("This link does not work"), str(error))
        form = ExportForm(request.POST or None)
        if not actor.may("view_payload"):
            form.fields.pop("payloads")
        if not form.is_valid():
            return self._ask(request, form)
        chosen = form.cleaned_data["format"]
        operator.perform("export", "", lambda: "", {"filter": conditions, "format": chosen})
        rows = exported(conditions, actor, form.cleaned_data.get("payloads", False), options().EXPORT_LIMIT)
        return _streamed(request, chosen, rows)

    def _ask(self, request: HttpRequest, form: forms.Form) -> HttpResponse:
        back_url = f"{self.list_url()}?{request.GET.urlencode()}"
        context = self.page_context(
            request, _("Export runs"), form=form, back_url=back_url, most=options().EXPORT_LIMIT
        )
        return TemplateResponse(request, "admin/durable_app/workflow/export.html", context)


def exported(conditions: dict[str, Any], actor: Actor, payloads: bool, most: int) -> Iterator[list[Row]]:
    """Yield runs in batches, as plain values; payloads of those whose policy lets the actor see them."""
    runs = actor.sees(listing.matching(listing.Filter(**conditions)))
    if not payloads:
        runs = runs.without_payloads()
    last: int | None = None
    while most > 0:
        page = runs if last is None else runs.filter(pk__lt=last)
        batch = list(page.order_by("-pk")[: min(BATCH, most)])
        yield [_row(run, actor, payloads) for run in batch]
        if len(batch) < BATCH:
            return
        most -= len(batch)
        last = batch[-1].pk


def _row(run: Any, actor: Actor, payloads: bool) -> Row:
    row: Row = {name: getattr(run, name) for name in COLUMNS}
    row["attributes"] = attributes(run.attributes) or None
    if payloads:
        may_see = actor.may("view_payload", run)
        for name in ("inputs", "output"):
            found = payload(
                getattr(run, name), run.serialization, may_see=may_see, is_inputs=name == "inputs"
            )
            row[name] = None if found is None else found.value
        error = failure(run.error, may_see=may_see)
        row["error"] = None if error is None else f"{error.kind}: {error.message}"
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}


class _Line:
    """What ``csv.writer`` writes to: hands each line back."""

    def write(self, text: str) -> str:
        return text


def _csv(batches: Iterator[list[Row]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    head: list[str] = []
    for batch in batches:
        if not head:
            head = list(batch[0]) if batch else list(COLUMNS)
            yield writer.writerow(head)
        yield "".join(writer.writerow([cell(value) for value in row.values()]) for row in batch)


def cell(value: Any) -> Any:
    """Return a value for a spreadsheet, which must not take it for a formula."""
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULAS) else text


def _ndjson(batches: Iterator[list[Row]]) -> Iterator[str]:
    for batch in batches:
        yield "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in batch)


def _json(batches: Iterator[list[Row]]) -> Iterator[str]:
    between = "[\n"
    for batch in batches:
        for row in batch:
            yield between + json.dumps(row, ensure_ascii=False)
            between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


_WRITERS: Mapping[str, Callable[[Iterator[list[Row]]], Iterator[str]]] = {
    "csv": _csv,
    "json": _json,
    "ndjson": _ndjson,
}


def _streamed(request: HttpRequest, name: str, batches: Iterator[list[Row]]) -> StreamingHttpResponse:
    lines = _WRITERS[name](batches)
    stamp = f"{clock.now():%Y%m%d-%H%M%S}"
    return StreamingHttpResponse(
        _aiter(lines) if isinstance(request, ASGIRequest) else lines,
        content_type=FORMATS[name],
        headers={"Content-Disposition": f'attachment; filename="runs-{stamp}.{name}"'},
    )


async def _aiter(lines: Iterator[str]) -> AsyncIterator[str]:
    """Yield from a thread: under ASGI Django would else read the whole stream before it sends any."""
    step = sync_to_async(lambda: next(lines, None))
    while (line := await step()) is not None:
        yield line
