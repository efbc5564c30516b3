"""The entry "workflow runs" put together."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path

from durable_app.admin.base import BaseAdmin
from durable_app.admin.histories import HistoryPages
from durable_app.admin.runs.exporting import Exports
from durable_app.admin.runs.links import PREFIX
from durable_app.admin.runs.lists import RunLists
from durable_app.admin.runs.many import ManyRuns, meant
from durable_app.admin.runs.page import RunPages
from durable_app.admin.runs.verbs import RunVerbs
from durable_app.admin.runs.views import SavedViews
from durable_app.admin.runs.windows import settled
from durable_app.identifiers import is_storable


class RunAdminMixin(RunLists, RunPages, RunVerbs, ManyRuns, Exports, SavedViews, HistoryPages):
    """Workflow runs: a list, a page each, verbs on one and on many."""

    target_kind = "workflow"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the runs that the user may know of."""
        return self.actor_of(request).sees(super().get_queryset(request))

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of verbs; ids are numbers, whatever a run's own id is made of."""
        view = self.admin_site.admin_view
        return [
            path("count/", view(self.count_view), name=f"{PREFIX}_count"),
            path("by-id/", view(self.by_id_view), name=f"{PREFIX}_by_id"),
            path("export/", view(self.export_list_view), name=f"{PREFIX}_export_list"),
            path("exported/<int:number>/", view(self.exported_view), name=f"{PREFIX}_exported"),
            path("views/", view(self.views_view), name=f"{PREFIX}_views"),
            path("views/<int:number>/delete/", view(self.forget_view), name=f"{PREFIX}_forget_view"),
            path("bulk/<slug:name>/", view(self.bulk_view), name=f"{PREFIX}_bulk"),
            path("<int:number>/export/", view(self.export_view), name=f"{PREFIX}_export"),
            path("<int:number>/verb/<slug:name>/", view(self.verb_view), name=f"{PREFIX}_verb"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Settle how far back the list looks; add the links that act on all runs that match."""
        if denied := self.denied_action(request):
            return denied
        elsewhere = settled(request)
        if elsewhere is not None:
            return elsewhere
        query = meant(request.GET).urlencode()
        context = {
            "bulk_links": self.bulk_links(request),
            "export_list_url": f"{self.run_url('export_list')}?{query}",
            "may_export": self.may(request, "export_workflow"),
            "count_url": f"{self.run_url('count')}?{query}",
            "live_region": "rows",
            "own_url": f"?{request.GET.urlencode()}",
            "query": request.GET.urlencode(),
            "views_url": self.run_url("views"),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Lead Django's own link to the verb."""
        return HttpResponseRedirect(self.verb_url(self.found(request, object_id), "delete"))

    def target_id(self, obj: Any) -> str:
        """Return the id that the audit has: its own, not the row's number."""
        return str(obj.workflow_id)

    def by_id_view(self, request: HttpRequest) -> HttpResponse:
        """Lead to the page of the run that has an id; those who may not know of it learn nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = request.GET.get("id", "")
        rows = self.get_queryset(request).only("pk").filter(workflow_id=wanted)
        run = rows.first() if is_storable(wanted) else None
        if run is None:
            raise Http404
        return HttpResponseRedirect(self.object_url(run.pk))


class RunAdmin(RunAdminMixin, BaseAdmin):
    """Workflow runs."""
