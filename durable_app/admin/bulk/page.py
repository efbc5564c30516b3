"""The page of a bulk operation: what it is to do, how far it has come, and what it did nothing to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from durable_app.admin import display
from durable_app.admin.audit.words import label_of
from durable_app.admin.base import SITE
from durable_app.admin.bulk.words import in_words
from durable_app.admin.confirming import VerbPage, confirm
from durable_app.admin.histories import HistoryPages
from durable_app.admin.live import FRAGMENT
from durable_app.admin.neighbours import run_url
from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Result
from durable_app.control.verbs import ACTIVE
from durable_app.insight.payloads import plain, redacted
from durable_app.models import AuditEvent, BulkOperation
from durable_app.store import bulk_operations
from durable_app.store.bulk_operations import COUNTED

MOST_REASONS = 20

OUTCOMES = ("done", "refused", "denied", "failed")
KINDS = {"done": "is-ok", "refused": "is-wait", "denied": "is-wait", "failed": "is-bad"}

SECRET = "message"  # noqa: S105  (the name of an option, whose value is a payload)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A part of the progress bar. Places are texts: a template must not put them into a locale's figures."""

    kind: str
    x: str
    width: str


def looked_at(operation: BulkOperation) -> int:
    """Return how many runs an operation has come past."""
    return sum(getattr(operation, outcome) for outcome in OUTCOMES)


def state(operation: BulkOperation, run_status: str | None) -> SafeString:
    """Return where an operation is: its own end, else the state of the run that carries it out."""
    if operation.finished_at is not None:
        return display.mark("is-ok", "✓", _("finished"))
    return display.mark("is-idle", "⊘", _("gone")) if run_status is None else display.badge(run_status)


def bars(operation: BulkOperation) -> Iterator[Bar]:
    """Yield the parts of the progress bar; of more runs than are counted, by where among them it is."""
    seen = looked_at(operation)
    if not seen:
        return
    share = min(1.0, seen / max(1, operation.matched))
    if operation.matched > COUNTED:
        share = min(1.0, operation.last_run / max(1, operation.newest_run))
    share, x = 1.0 if operation.finished_at else share, 0.0
    for outcome in OUTCOMES:
        width = share * getattr(operation, outcome) / seen * 100
        if width:
            yield Bar(kind=KINDS[outcome], x=f"{x:.2f}%", width=f"{width:.2f}%")
        x += width


class BulkPages(HistoryPages):
    """The views of one operation."""

    target_kind = bulk.KIND

    def target_id(self, obj: Any) -> str:
        """Return the id that the audit has: its run's, not the row's number."""
        return str(obj.workflow_id)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show an operation; nothing is changed here."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        operation = self.found(request, object_id)
        is_part = request.headers.get(FRAGMENT) == "operation"
        template = "body.html" if is_part else "page.html"
        context = {**self._context(request, operation), **(extra_context or {})}
        return TemplateResponse(
            request,
            f"admin/durable_app/bulk/{template}",
            context,
            headers={"Cache-Control": "no-store"},
        )

    def _context(self, request: HttpRequest, operation: BulkOperation) -> dict[str, Any]:
        actor = self.actor_of(request)
        status = bulk_operations.run_statuses([operation.workflow_id]).get(operation.workflow_id)
        is_live = operation.finished_at is None and status in ACTIVE
        numbers = {outcome: getattr(operation, outcome) for outcome in OUTCOMES}
        return self.page_context(
            request,
            f"{label_of(operation.verb)} {operation.pk}",
            object=operation,
            operation=operation,
            label=label_of(operation.verb),
            state=state(operation, status),
            is_live=is_live,
            bars=list(bars(operation)),
            looked_at=looked_at(operation),
            is_capped=operation.matched > COUNTED,
            most=COUNTED,
            numbers=numbers,
            filter=in_words(operation.filter),
            options=_options(operation, actor),
            begun=display.ago(operation.created_at),
            took=display.duration(operation.created_at, operation.finished_at),
            reasons=bulk_operations.left(operation.pk, MOST_REASONS),
            run_url=run_url(self.admin_site, operation.workflow_id) if actor.may("view_workflow") else "",
            history_url=self.history_url(operation.pk),
            file_url=self._file_url(operation),
            cancel_url=self._cancel_url(operation) if is_live and _may_cancel(actor, operation) else "",
            audit_url=self.url_of_list(request, AuditEvent, bulk=str(operation.pk)),
            audit=self.audit_of(request, operation, MOST_REASONS),
        )

    def _file_url(self, operation: BulkOperation) -> str:
        """Return where the file is that an export has written; the view knows who may have it."""
        if not operation.file:
            return ""
        name = f"{SITE}:durable_app_workflow_exported"
        return reverse(name, args=[operation.pk], current_app=self.admin_site.name)

    def _cancel_url(self, operation: BulkOperation) -> str:
        name = f"{SITE}:durable_app_bulkoperation_cancel"
        return reverse(name, args=[operation.pk], current_app=self.admin_site.name)

    def cancel_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Ask whether an operation is to stop, or let it."""
        if not self.has_view_permission(request):
            return self.denied(request, "cancel")
        operation = self.found(request, number)
        if not _may_cancel(self.actor_of(request), operation):
            return self.denied(request, "cancel", operation.workflow_id)

        def act(operator: Operator, values: dict[str, Any]) -> list[Result]:
            return [bulk.cancel(operator, operation.pk)]

        page = VerbPage(
            title=_("Cancel bulk operation %(number)d") % {"number": operation.pk},
            verb=_("Cancel"),
            done=_("told to stop"),
            subject=_("Bulk operation %(number)d") % {"number": operation.pk},
            back_url=self.object_url(operation.pk),
            sentences=(
                _("It stops after the runs it looks at now. What is done stays: %(done)d of %(matched)d.")
                % {"done": operation.done, "matched": operation.matched},
            ),
            is_destructive=True,
            obj=operation,
            context={"object": operation, "object_url": self.object_url(operation.pk)},
        )
        return confirm(self, request, page, act)


def _may_cancel(actor: Actor, operation: BulkOperation) -> bool:
    return bulk.may_cancel(actor, operation.verb)


def _options(operation: BulkOperation, actor: Actor) -> dict[str, Any]:
    """Return what the verb was told besides; a message is a payload."""
    found: dict[str, Any] = redacted(plain(operation.options))
    if SECRET in found and not actor.may("view_payload"):
        found[SECRET] = _("hidden: you need the permission “view_payload”")
    return {name.replace("_", " "): value for name, value in found.items() if value not in (None, "", False)}
