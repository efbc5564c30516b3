"""The rooms behind the shop: one for each of the other workflows, with what it shows."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """A page that every other page links to; ``app`` is the namespace of its addresses."""

    app: str
    view: str
    name: str
    shows: str

    @property
    def url(self) -> str:
        """Return its address."""
        return reverse(f"{self.app}:{self.view}")


ROOMS = (
    Room(
        app="ingestion",
        view="library",
        name="Manuals",
        shows="A folder of texts, read through a rate-limited queue, with live progress; then searched.",
    ),
    Room(
        app="reports",
        view="reports",
        name="Reports",
        shows="A nightly report on a schedule, in its own time zone, once a tick over all workers.",
    ),
    Room(
        app="agent",
        view="assistant",
        name="Assistant",
        shows="A language model with tools: its words as they come, and a person's approval.",
    ),
    Room(
        app="outbox",
        view="events",
        name="Webhooks",
        shows="Events enqueued in the order's transaction, delivered to a server that is often down.",
    ),
)


def rooms(request: HttpRequest) -> dict[str, tuple[Room, ...]]:
    """Give the rooms to every page: a context processor."""
    return {"rooms": ROOMS}
