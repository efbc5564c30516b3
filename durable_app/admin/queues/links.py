"""Where a queue's pages are, and which queue a page is about."""

from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse

from durable_app.admin.base import SITE
from durable_app.admin.histories import HistoryPages
from durable_app.identifiers import is_storable
from durable_app.models import Queue
from durable_app.store import occupancy
from durable_app.store.occupancy import Occupancy

PREFIX = "durable_app_queue"


class QueueLinks(HistoryPages):
    """What the views of queues stand on."""

    target_kind = "queue"

    def verb_url(self, name: str, verb: str) -> str:
        """Return the URL of a verb on a queue."""
        return reverse(f"{SITE}:{PREFIX}_verb", args=[quote(name), verb], current_app=self.admin_site.name)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return a queue, also one that only has runs; None if there is none."""
        found = occupancy.named(object_id) if is_storable(object_id) else None
        if found is None:
            return None
        queue = Queue(name=found.queue.name)
        queue.occupancy = found  # type: ignore[attr-defined]
        return queue

    def occupancy_of(self, request: HttpRequest, object_id: str) -> Occupancy:
        """Return how full the queue of a page is; raises Http404."""
        found: Occupancy = self.found(request, object_id).occupancy
        return found
