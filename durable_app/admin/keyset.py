"""A change list that never counts: pages are found by where the last one ended, however deep they lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core import signing
from django.core.exceptions import SuspiciousOperation
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from durable_app.store.observing import limited

CURSOR_VAR = "cursor"

_signer = signing.Signer(salt="durable_app.admin.keyset")


class WrongLink(SuspiciousOperation):
    """A cursor, an order or a filter that no page of ours links to: 400, never 500."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """An order of rows that an index serves. Its last field is unique."""

    label: Any
    fields: tuple[str, ...] = ("-pk",)
    """Names as in ``order_by``; none of them may be null in rows that ``within`` lets through."""
    within: Q = Q()
    """Which rows have this order."""

    def reversed_fields(self) -> tuple[str, ...]:
        """Return the order from the other end."""
        return tuple(name[1:] if name.startswith("-") else f"-{name}" for name in self.fields)


NEWEST = Order(label=_("Newest first"))


def beyond(fields: Sequence[str], values: Sequence[Any]) -> Q:
    """Return the condition of what comes after these values in an order."""
    condition = Q(pk__in=[])
    equal = Q()
    for field, value in zip(fields, values, strict=True):
        name, lookup = (field[1:], "lt") if field.startswith("-") else (field, "gt")
        condition |= equal & Q(**{f"{name}__{lookup}": value})
        equal &= Q(**{name: value})
    return condition


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """Where a page begins: after a row, in the list's direction or against it."""

    order: str
    is_forward: bool
    values: tuple[Any, ...]

    def text(self) -> str:
        """Return the cursor as a link carries it."""
        values = [{"at": one.isoformat()} if isinstance(one, datetime) else one for one in self.values]
        return _signer.sign_object([self.order, self.is_forward, values], compress=False)

    @classmethod
    def of(cls, text: str) -> "Cursor":
        """Return the cursor of a link, or raise WrongLink."""
        try:
            order, is_forward, values = _signer.unsign_object(text)
            rich = tuple(_rich(value) for value in values)
        except (signing.BadSignature, LookupError, ValueError, TypeError) as error:
            raise WrongLink("This is no cursor of ours.") from error
        if not all(isinstance(one, int | str | datetime) for one in rich):
            raise WrongLink("This is no cursor of ours.")
        return cls(order=order, is_forward=is_forward, values=rich)


def _rich(value: Any) -> Any:
    return datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value


class KeysetChangeList(ChangeList):
    """Mix into a ChangeList; the admin's ``orders`` names what it can be sorted by."""

    newer_url = ""
    older_url = ""
    cursor: Cursor | None
    order_name: str

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Keep the cursor out of conditions and of the links of filters: they lead to a first page."""
        for own in (self.params, self.filter_params):
            own.pop(CURSOR_VAR, None)
        return super().get_filters_params(params)

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
        self.cursor = Cursor.of(text) if text else None
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
