"""Pages of a list: ``{"results": [...], "next": cursor, "previous": cursor}``, and links in the header."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from durable_app.api.options import options
from durable_app.keyset import Cursor, Order, WrongCursor, beyond
from durable_app.store.observing import limited

MOST = 500
"""Rows that a page may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some rows of a list, and cursors to what stands before and after them."""

    rows: list[Any]
    next: str | None = None
    previous: str | None = None

    def response(self, request: Request, show: Callable[[Any], Any], **more: Any) -> Response:
        """Return the answer; ``show`` turns a row into JSON, ``more`` are further members."""
        found = [show(row) for row in self.rows]
        body = {"results": found, "next": self.next, "previous": self.previous, **more}
        return Response(body, headers=self._links(request) if request.method == "GET" else {})

    def _links(self, request: Request) -> dict[str, str]:
        """Return the header of RFC 8288; its URLs are relative to the list."""
        links = []
        for relation, cursor in (("next", self.next), ("prev", self.previous)):
            if cursor is not None:
                query = request.query_params.copy()
                query["cursor"] = cursor
                links.append(f'<?{query.urlencode()}>; rel="{relation}"')
        return {"Link": ", ".join(links)} if links else {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Paging:
    """A list that can be paged: its name, its order, and what the client asked for."""

    name: str
    """The list, and the order if there are several: "workflows:newest". Cursors are good for this alone."""
    order: Order
    cursor: str | None = None
    size: int = 0
    """Zero: the project's default."""

    @classmethod
    def asked(cls, name: str, values: Mapping[str, Any], order: Order | None = None) -> "Paging":
        """Return the paging that checked parameters (``PageQuery``) ask for, newest first by default."""
        return cls(
            name=name,
            order=order or Order(),
            cursor=values.get("cursor"),
            size=values.get("page_size", 0),
        )

    def page(self, rows: Any) -> Page:
        """Return the page of a queryset; raises WrongCursor, QueryTimeoutError."""
        cursor = self._cursor()
        is_forward = cursor is None or cursor.is_forward
        fields = self.order.fields if is_forward else self.order.reversed_fields()
        found = rows.filter(self.order.within).order_by(*fields)
        if cursor is not None:
            found = found.filter(beyond(fields, cursor.values))
        with limited():
            fetched = list(found[: self._size + 1])
        return self._page(fetched, cursor)

    def page_of_all(self, rows: Sequence[Any]) -> Page:
        """Return the page of rows that are all here, in the ascending order of one field."""
        cursor = self._cursor()
        (field,) = self.order.fields
        if cursor is None:
            found = list(rows)
        elif cursor.is_forward:
            found = [row for row in rows if getattr(row, field) > cursor.values[0]]
        else:
            found = [row for row in reversed(rows) if getattr(row, field) < cursor.values[0]]
        return self._page(found[: self._size + 1], cursor)

    @property
    def _size(self) -> int:
        return self.size or min(options().PAGE_SIZE, MOST)

    def _page(self, fetched: list[Any], cursor: Cursor | None) -> Page:
        """Return the page that begins so; one row more than it has tells that there are more."""
        size, is_forward = self._size, cursor is None or cursor.is_forward
        has_more = len(fetched) > size
        shown = fetched[:size] if is_forward else fetched[:size][::-1]
        has_next = bool(shown) and (has_more or not is_forward)
        has_previous = bool(shown) and cursor is not None and (has_more or is_forward)
        return Page(
            rows=shown,
            next=self._text(shown[-1], True) if has_next else None,
            previous=self._text(shown[0], False) if has_previous else None,
        )

    def _cursor(self) -> Cursor | None:
        if not self.cursor:
            return None
        found = Cursor.of(self.cursor)
        if found.order != self.name or len(found.values) != len(self.order.fields):
            raise WrongCursor("The cursor belongs to another list or order.")
        return found

    def _text(self, row: Any, is_forward: bool) -> str:
        values = tuple(getattr(row, field.removeprefix("-")) for field in self.order.fields)
        return Cursor(order=self.name, is_forward=is_forward, values=values).text()
