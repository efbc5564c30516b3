"""The entry "bulk operations" put together."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_app.admin import display
from durable_app.admin.audit.words import label_of
from durable_app.admin.base import BaseAdmin
from durable_app.admin.bulk.page import BulkPages, looked_at, state
from durable_app.admin.bulk.words import sentence
from durable_app.admin.keyset import KeysetChangeList, WrongLink
from durable_app.admin.runs.columns import cut
from durable_app.control.verbs import VERBS
from durable_app.models import BulkOperation
from durable_app.store import bulk_operations
from durable_app.store.bulk_operations import COUNTED


class VerbFilter(SimpleListFilter):
    """What is done."""

    title = _("verb")
    parameter_name = "verb"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the verbs that can be done to many."""
        return [(name, verb.label) for name, verb in VERBS.items() if verb.is_bulk]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Return the operations that do it."""
        return queryset.filter(verb=self.value()) if self.value() else queryset


class EndFilter(SimpleListFilter):
    """Whether it has come to its end."""

    title = _("end")
    parameter_name = "end"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the two."""
        return [("open", _("Not finished")), ("finished", _("Finished"))]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Return the operations that have, or have not."""
        if not self.value():
            return queryset
        if self.value() not in ("open", "finished"):
            raise WrongLink(gettext("An operation is open or finished."))
        return queryset.filter(finished_at__isnull=self.value() == "open")


class BulkChangeList(KeysetChangeList):
    """Pages of operations, each with the state of its run."""

    def get_results(self, request: Any) -> None:
        """Add the states: one statement for a page."""
        super().get_results(request)
        found = bulk_operations.run_statuses(one.workflow_id for one in self.result_list)
        for one in self.result_list:
            one.run_status = found.get(one.workflow_id)


class BulkAdminMixin(BulkPages):
    """Bulk operations: a list, and a page each."""

    change_list_template = "admin/durable_app/change_list.html"
    list_display = ("shown_verb", "shown_filter", "shown_state", "shown_progress", "shown_begin")
    list_display_links: Any = None
    list_filter: ClassVar[Any] = (VerbFilter, EndFilter)
    ordering: ClassVar[Any] = ("-pk",)

    def get_urls(self) -> list[URLPattern]:
        """Add the page that stops one."""
        view = self.admin_site.admin_view(self.cancel_view)
        own = path("<int:number>/cancel/", view, name="durable_app_bulkoperation_cancel")
        return [own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the operations that the user may know of."""
        return self.actor_of(request).sees_operations(super().get_queryset(request))

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Let a link ask for nothing but our filters."""
        return lookup in ("verb", "end")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the change list of operations, on top of the theme's."""
        found: Any = super().get_changelist(request, **kwargs)
        return type("BulkChangeList", (BulkChangeList, found), {})

    @admin.display(description=_("Operation"))
    def shown_verb(self, operation: BulkOperation) -> SafeString:
        """Return what is done, which leads to the page."""
        label = f"{label_of(operation.verb)} {operation.pk}"
        return format_html('<a href="{}">{}</a>', self.object_url(operation.pk), label)

    @admin.display(description=_("Runs"))
    def shown_filter(self, operation: BulkOperation) -> SafeString:
        """Return which runs are meant."""
        return cut(sentence(operation.filter))

    @admin.display(description=_("State"))
    def shown_state(self, operation: BulkOperation) -> SafeString:
        """Return where it is."""
        return state(operation, getattr(operation, "run_status", None))

    @admin.display(description=_("Progress"))
    def shown_progress(self, operation: BulkOperation) -> SafeString:
        """Return how many runs it has come past, of how many, and what became of them."""
        matched = f"{COUNTED:,}+" if operation.matched > COUNTED else f"{operation.matched:,}"
        told = gettext("%(done)s done, %(skipped)s skipped, %(failed)s failed") % {
            "done": f"{operation.done:,}",
            "skipped": f"{operation.refused + operation.denied:,}",
            "failed": f"{operation.failed:,}",
        }
        pattern = '<span class="durable-nowrap">{} / {}</span> <span class="durable-quiet">{}</span>'
        return format_html(pattern, f"{looked_at(operation):,}", matched, told)

    @admin.display(description=_("Begun"))
    def shown_begin(self, operation: BulkOperation) -> SafeString:
        """Return how long ago, and by whom."""
        begun = display.ago(operation.created_at)
        return format_html('{} <span class="durable-quiet">{}</span>', begun, operation.actor_label)


class BulkAdmin(BulkAdminMixin, BaseAdmin):
    """Bulk operations."""
