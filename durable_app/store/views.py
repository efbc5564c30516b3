"""Saved views: each user has their own, and nobody else sees them."""

from typing import Any

from durable_app.models import SavedView
from durable_app.store import database

MOST = 50
"""Views that a user may have."""


@database.retried
def of(owner: str) -> list[SavedView]:
    """Return a user's views by name."""
    return list(_rows().filter(owner=owner).order_by("name")[:MOST])


@database.retried
def save(owner: str, name: str, query: str) -> bool:
    """Keep a user's view; one of the same name is replaced. Return whether there was room for it."""
    with database.transact():
        own = _rows().filter(owner=owner)
        if own.exclude(name=name).count() >= MOST:
            return False
        view = SavedView(owner=owner, name=name, query=query)
        _rows().bulk_create(
            [view], update_conflicts=True, update_fields=["query"], unique_fields=["owner", "name"]
        )
    return True


@database.retried
def delete(owner: str, number: int) -> str:
    """Delete a user's view; return its name, empty if the user has no such view."""
    with database.transact():
        found = _rows().filter(owner=owner, pk=number)
        name: str = found.values_list("name", flat=True).first() or ""
        found.delete()
    return name


def _rows() -> Any:
    return SavedView.objects.using(database.alias())
