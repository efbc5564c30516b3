"""The list of runs: its conditions, its page, and how many match."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext_lazy as _

from durable_app.admin.keyset import CURSOR_VAR, NEWEST, KeysetChangeList, Order, WrongLink
from durable_app.admin.runs import windows
from durable_app.admin.runs.columns import COLUMNS_VAR, RunColumns, add_last_steps
from durable_app.admin.runs.conditions import FILTERS as PARAMETERS
from durable_app.admin.runs.conditions import WINDOW, Conditions, conditions_of
from durable_app.admin.runs.filters import FILTERS
from durable_app.control.actors import Actor, policy
from durable_app.insight.relatives import conceal
from durable_app.models import Status
from durable_app.store import listing, moments
from durable_app.store.bulk_operations import COUNTED
from durable_app.store.observing import limited

ORDERS: Mapping[str, Order] = {
    "": NEWEST,
    "finished": Order(
        label=_("Ended last"), fields=("-finished_at", "-pk"), within=Q(finished_at__isnull=False)
    ),
    "longest": Order(
        label=_("Running longest"),
        fields=("started_at", "pk"),
        within=Q(status=Status.PENDING, started_at__isnull=False),
    ),
}


def visible(actor: Actor, conditions: Conditions) -> Any:
    """Return the runs that match and that an actor may know of; payloads stay in the database."""
    found = listing.matching(listing.Filter(**conditions))
    since = conditions.get("start_time")
    if since is not None:
        found = found.filter(pk__gte=moments.first_since(datetime.fromisoformat(since)))
    return policy().visible(actor, found.without_payloads())


class RunChangeList(KeysetChangeList):
    """Pages of the runs that a link's conditions describe."""

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Keep the choice of columns, and the window, out of what the filters beside the list show."""
        found = super().get_filters_params(params)
        for name in (COLUMNS_VAR, *windows.OWN):
            found.pop(name, None)
        return found

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """Return what matches; the filters only show what there is to choose."""
        self.filter_specs, self.has_filters, remaining, _many, self.has_active_filters = self.get_filters(
            request
        )
        self.clear_all_filters_qs = self.get_query_string(
            new_params=remaining, remove=[*self.get_filters_params(), WINDOW, *windows.RANGE]
        )
        model_admin: Any = self.model_admin
        actor = model_admin.actor_of(request)
        try:
            self.conditions = conditions_of(request.GET, actor.sees)
        except WrongLink as error:
            self.conditions, self.trouble = {}, str(error)
        self.window = windows.window_of(request.GET, self.conditions, self.get_query_string)
        # Whoever has checked rows means these, whether or not they still match.
        found = visible(actor, {} if request.method == "POST" else self.conditions)
        ordered = found.order_by(*self.get_ordering(request, found))
        return ordered.none() if self.trouble else ordered

    def get_results(self, request: HttpRequest) -> None:
        """Add what running ones have done last."""
        super().get_results(request)
        add_last_steps(self.result_list)
        if "shown_parent" in self.list_display:
            model_admin: Any = self.model_admin
            conceal(self.result_list, model_admin.actor_of(request).sees)

    @property
    def order_links(self) -> list[tuple[Any, str, bool]]:
        """Label, link and whether it is the present one, of each order.

        What ended last, or runs longest, need not have been created lately.
        """
        return [
            (
                order.label,
                self.get_query_string({"o": name, **windows.any_age()} if name else {"o": None}),
                name == self.order_name,
            )
            for name, order in self.orders.items()
        ]

    @property
    def etag(self) -> str:
        """What changes when a row of this page does."""
        state = [(run.pk, run.updated_at, getattr(run, "last_step", "")) for run in self.result_list]
        return f'"{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}"'


class RunLists(RunColumns):
    """The views of the list."""

    list_filter: ClassVar[Any] = FILTERS
    list_display_links: Any = None
    search_fields: ClassVar[Any] = ("workflow_id",)
    search_help_text: ClassVar[Any] = _(
        "An id or its beginning; name: queue: status: user: version: schedule: worker: parent: fork: "
        "waiting: error: attr.customer:acme"
    )
    orders = ORDERS
    ordering: ClassVar[Any] = ("-pk",)

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Let a link ask for nothing but our filters: not for what payloads contain."""
        return lookup in PARAMETERS

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the change list of runs, on top of the theme's."""
        found: Any = super().get_changelist(request, **kwargs)
        return type("RunChangeList", (RunChangeList, found), {})

    def count_view(self, request: HttpRequest) -> HttpResponse:
        """Return how many runs match, counted up to a limit: asked for after the page is there."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        actor = self.actor_of(request)
        found = visible(actor, conditions_of(request.GET, actor.sees))
        with limited():
            count = found.order_by().values_list("pk")[: COUNTED + 1].count()
        return JsonResponse({"count": min(count, COUNTED), "is_capped": count > COUNTED})


NOT_CONDITIONS = (CURSOR_VAR, COLUMNS_VAR, ERROR_FLAG, PAGE_VAR, "o")
"""Parameters of the list that do not say which runs are meant."""
