"""Refreshing: the same URL with a header is answered with the part that changes, or not at all by ETag."""

from typing import Any

from django.apps import apps
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified

FRAGMENT = "X-Durable-Fragment"
"""The header of a page that only wants a part of itself again; it names the part."""

LISTS = ("rows", "list")
"""The parts that are a list's rows: "rows" keeps those that are there, "list" is put in as a whole."""

ROWS = f"admin/durable_app/includes/{'rows_unfold' if apps.is_installed('unfold') else 'rows'}.html"


def rows_alone(request: HttpRequest, response: Any) -> HttpResponse:
    """Return a list's page, or its rows alone for one who has the rest; none if nothing has changed since."""
    context = getattr(response, "context_data", None) or {}
    if request.headers.get(FRAGMENT) not in LISTS or "cl" not in context:
        found: HttpResponse = response
        return found
    etag = context["cl"].etag
    if etag and request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified(headers={"ETag": etag})
    response.template_name = ROWS
    response.headers["Cache-Control"] = "no-store"
    if etag:
        response.headers["ETag"] = etag
    return response  # type: ignore[no-any-return]
