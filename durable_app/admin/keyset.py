"""A change list that never counts: pages are found by where the last one ended, however deep they lie."""

from typing import Any

from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.exceptions import SuspiciousOperation
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from durable_app.keyset import Cursor, Order, WrongCursor, beyond
from durable_app.store.observing import limited

__all__ = ["CURSOR_VAR", "NEWEST", "Cursor", "KeysetChangeList", "Order", "WrongLink"]

CURSOR_VAR = "cursor"


class WrongLink(SuspiciousOperation):
    """A cursor, an order or a filter that no page of ours links to: 400, never 500."""


NEWEST = Order(label=_("Newest first"))


class KeysetChangeList(ChangeList):
    """Mix into a ChangeList; the admin's ``orders`` names what it can be sorted by."""

    newer_url = ""
    older_url = ""
    trouble = ""
    """What is wrong with the conditions: the list is empty then, and what was typed stays."""
    cursor: Cursor | None
    order_name: str

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Keep the cursor out of conditions and of the links of filters: they lead to a first page."""
        for own in (self.params, self.filter_params):
            own.pop(CURSOR_VAR, None)
        return super().get_filters_params(params)

    @property
    def etag(self) -> str:
        """What changes when a row of this page does; empty: nothing cheap would tell."""
        return ""

    @property
    def orders(self) -> dict[str, Order]:
        """The orders of this list, by the name that a link carries; "" is the default."""
        found: dict[str, Order] = getattr(self.model_admin, "orders", {"": NEWEST})
        return found

    @property
    def order(self) -> Order:
        """The order of this page."""
        return self.orders[self.order_name]

    def _place(self, request: Any) -> None:
        self.order_name = request.GET.get(ORDER_VAR, "")
        if self.order_name not in self.orders:
            raise WrongLink("There is no such order.")
        text = request.GET.get(CURSOR_VAR)
        try:
            self.cursor = Cursor.of(text) if text else None
        except WrongCursor as error:
            raise WrongLink(str(error)) from error
        if self.cursor is not None and (
            self.cursor.order != self.order_name or len(self.cursor.values) != len(self.order.fields)
        ):
            raise WrongLink("The cursor belongs to another order.")

    def get_ordering(self, request: Any, queryset: Any) -> Any:
        """Return the one total order, whatever columns may say."""
        self._place(request)
        return list(self.order.fields)

    def get_results(self, request: Any) -> None:
        """Fetch a page, and learn whether there are more on either side."""
        forward = self.cursor is None or self.cursor.is_forward
        rows, has_more = self._page(forward)
        at_start = self.cursor is None
        self.older_url = self._link(rows[-1], True) if rows and (has_more or not forward) else ""
        self.newer_url = self._link(rows[0], False) if rows and (has_more or forward) and not at_start else ""
        if not forward and not has_more:
            self.newer_url = ""
        self.result_list = rows
        # What Django's templates ask for; equal numbers keep "select all" and "show all" away.
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(rows, self.list_per_page)

    def _page(self, forward: bool) -> tuple[list[Any], bool]:
        fields = self.order.fields if forward else self.order.reversed_fields()
        found: QuerySet[Any] = self.queryset.filter(self.order.within).order_by(*fields)
        if self.cursor is not None:
            found = found.filter(beyond(fields, self.cursor.values))
        with limited():
            rows = list(found[: self.list_per_page + 1])
        has_more = len(rows) > self.list_per_page
        rows = rows[: self.list_per_page]
        return (rows if forward else rows[::-1]), has_more

    def _link(self, row: Any, is_forward: bool) -> str:
        values = tuple(getattr(row, field.removeprefix("-")) for field in self.order.fields)
        cursor = Cursor(order=self.order_name, is_forward=is_forward, values=values)
        return str(self.get_query_string({CURSOR_VAR: cursor.text()}))
