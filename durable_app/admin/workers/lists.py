"""The list of workers: those that matter now, the others a filter away; and the versions of the code."""

from typing import Any, ClassVar

from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from durable_app import clock
from durable_app.admin.keyset import KeysetChangeList, Order, WrongLink
from durable_app.admin.run_links import runs_url
from durable_app.admin.workers.columns import MOST_LINKS, WorkerColumns
from durable_app.insight.liveness import in_state, rollouts
from durable_app.models import Status, Workflow
from durable_app.store import database, workers

Choices = list[tuple[str, Any]]


def present() -> Any:
    """Return the condition of the workers that matter now: live and silent ones, and who left runs behind."""
    runs = Workflow.objects.using(database.alias()).filter(status=Status.PENDING, worker_id=OuterRef("pk"))
    gone = Q(stopped_at__isnull=False) | workers.is_silent()
    return Q(kind="worker", stopped_at__isnull=True) | (gone & Exists(runs))


class StateFilter(SimpleListFilter):
    """Which workers there are to be seen."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return what there is besides those that matter now."""
        return [
            ("live", _("Live")),
            ("silent", _("Silent")),
            ("ended", _("Ended")),
            ("callers", _("Processes that call workflows")),
            ("all", _("All of the last day")),
        ]

    def choices(self, changelist: Any) -> Any:
        """Return the choices, with a name for the usual one."""
        found = list(super().choices(changelist))
        return [{**found[0], "display": _("Present")}, *found[1:]]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the workers that are meant; raises WrongLink."""
        match self.value():
            case None:
                return queryset.filter(present())
            case "live" | "silent" | "ended" as state:
                return in_state(queryset.filter(kind="worker"), state)
            case "callers":
                return in_state(queryset.filter(kind="caller"), "live")
            case "all":
                return queryset
            case _:
                raise WrongLink("There is no such state of workers.")


class WorkerChangeList(KeysetChangeList):
    """Pages of workers, each with what it executes."""

    def get_results(self, request: HttpRequest) -> None:
        """Add the runs that workers hold: two statements for all."""
        super().get_results(request)
        model_admin: Any = self.model_admin
        actor = model_admin.actor_of(request)
        counts = workers.running_counts()
        held = workers.held_by([one.pk for one in self.result_list], actor.sees, MOST_LINKS)
        for one in self.result_list:
            one.running = counts.get(one.pk, 0)
            one.links = model_admin.linked(request, one, held.get(one.pk, []))

    @property
    def state_links(self) -> list[tuple[Any, str, bool]]:
        """Label, link and whether it is the present one, of each choice of the filter."""
        choices: list[Any] = [one for spec in self.filter_specs for one in spec.choices(self)]
        return [(one["display"], one["query_string"], one["selected"]) for one in choices]


class WorkerLists(WorkerColumns):
    """The view of the list."""

    list_filter: ClassVar[Any] = (StateFilter,)
    search_fields: ClassVar[Any] = ("name", "hostname", "id", "app_version")
    search_help_text: ClassVar[Any] = _("A name, a host, a version or an id, or part of one.")
    orders: ClassVar[Any] = {"": Order(label=_("Newest first"), fields=("-started_at", "-pk"))}
    ordering: ClassVar[Any] = ("-started_at", "-pk")

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Let a link ask for nothing but our filter."""
        return lookup == StateFilter.parameter_name

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the change list of workers, on top of the theme's."""
        found: Any = super().get_changelist(request, **kwargs)
        return type("WorkerChangeList", (WorkerChangeList, found), {})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Add the link to the versions."""
        return super().changelist_view(
            request, {"versions_url": self.versions_url(), **(extra_context or {})}
        )

    def versions_view(self, request: HttpRequest) -> HttpResponse:
        """Show which versions of the code are live, and which are needed yet."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = rollouts(workers.not_ended(), clock.now())
        lines = [
            (one, runs_url(self, request, version=one.version, status="active") if one.version else "")
            for one in found
        ]
        context = self.page_context(request, _("Versions"), rollouts=lines)
        return TemplateResponse(request, "admin/durable_app/worker/versions.html", context)
