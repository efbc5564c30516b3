"""The page of a queue: how full it is and why it does not move, its limits, partitions, workers and past."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from durable_app import clock
from durable_app.admin import display
from durable_app.admin.base import SITE
from durable_app.admin.live import FRAGMENT
from durable_app.admin.queues.lists import QueueLists
from durable_app.admin.queues.verbs import QueueVerbs
from durable_app.admin.run_links import bulk_url
from durable_app.control.verbs import VERBS as RUN_VERBS
from durable_app.errors import QueryTimeoutError
from durable_app.insight.liveness import holds_lease, serves
from durable_app.insight.queues import hold_ups, in_words
from durable_app.limits import Limits
from durable_app.models import Queue, Worker
from durable_app.store import occupancy, workers
from durable_app.store.observing import limited
from durable_app.store.occupancy import Occupancy

MOST_PARTITIONS = 10
MOST_EVENTS = 10

LABELS = {
    "concurrency": gettext_lazy("Runs at once, over all workers"),
    "worker_concurrency": gettext_lazy("Runs at once, in each worker"),
    "limiter": gettext_lazy("Starts"),
    "partition_queue": gettext_lazy("Runs need a partition key"),
    "partition_concurrency": gettext_lazy("Each partition key: runs at once, over all workers"),
    "partition_worker_concurrency": gettext_lazy("Each partition key: runs at once, in each worker"),
    "partition_limiter": gettext_lazy("Each partition key: starts"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A limit as it is, and as code declares it."""

    label: Any
    now: str
    declared: str
    is_other: bool
    """Whether somebody has set another one than code declares."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A live worker that serves a queue."""

    name: str
    url: str
    running: int
    """Runs of this queue that it executes."""
    is_full: bool
    """Whether the queue's limit for each worker is reached."""


class QueuePages(QueueLists, QueueVerbs):
    """The view of one queue."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a queue; it is changed by its verbs."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        try:
            with limited():
                context = self._context(request, self.occupancy_of(request, object_id))
        except QueryTimeoutError:
            return self.too_slow(request)
        name = "body" if request.headers.get(FRAGMENT) == "queue" else "change_form"
        return TemplateResponse(
            request,
            f"admin/durable_app/queue/{name}.html",
            {**context, **(extra_context or {})},
            headers={"Cache-Control": "no-store"},
        )

    def _context(self, request: HttpRequest, found: Occupancy) -> dict[str, Any]:
        name, crew = found.queue.name, workers.not_ended()
        [row] = self.rows(request, [found], crew)
        context: dict[str, Any] = self.page_context(
            request,
            name,
            object=Queue(name=name),
            row=row,
            found=found,
            state=found.queue,
            badges=badges(row),
            buttons=self.buttons(request, found),
            cancel_url=self._cancel_url(request, name) if found.waiting else "",
            history_url=self.history_url(name),
            hold_ups=hold_ups(found, crew),
            limits=limits_of(found),
            partitions=partitions_of(found),
            most_partitions=MOST_PARTITIONS,
            servers=self._servers(request, found, crew),
            events=self.audit_of(request, Queue(name=name), MOST_EVENTS),
        )
        return context

    def _cancel_url(self, request: HttpRequest, name: str) -> str:
        """Return the page that cancels all waiting runs, for those who may."""
        if not self.may(request, RUN_VERBS["cancel"].permission):
            return ""
        return bulk_url(self, request, "cancel", queue=name, status="ENQUEUED")

    def _servers(self, request: HttpRequest, found: Occupancy, crew: Iterable[Any]) -> list[Server]:
        now, most = clock.now(), found.queue.limits.worker_concurrency
        running = occupancy.running_by_worker(found.queue.name)
        is_linked = self.admin_site.is_registered(Worker) and self.may(request, "view_worker")
        return [
            Server(
                name=one.name,
                url=self._worker_url(one) if is_linked else "",
                running=running.get(one.pk, 0),
                is_full=most is not None and running.get(one.pk, 0) >= most,
            )
            for one in crew
            if holds_lease(one, now) and serves(one, found.queue.name)
        ]

    def _worker_url(self, worker: Any) -> str:
        name = f"{SITE}:durable_app_worker_change"
        return reverse(name, args=[worker.pk], current_app=self.admin_site.name)


def badges(row: Any) -> list[Any]:
    """Return what a queue's state is, in marks."""
    if not row.found.is_served:
        return [display.mark("is-bad", "✗", _("No such queue"))]
    found = [display.mark("is-wait", "‖", _("Paused"))] if row.pause else []
    if not row.is_attended:
        found.append(display.mark("is-bad", "✗", _("No worker")))
    return found or [display.mark("is-ok", "✓", _("Served"))]


def partitions_of(found: Occupancy) -> list[dict[str, Any]]:
    """Return the partitions of a queue with the longest lines."""
    if not found.queue.limits.is_partitioned:
        return []
    return [
        {"key": one.key, "waiting": one.waiting, "running": one.running, "oldest": display.ago(one.oldest_at)}
        for one in occupancy.longest_partitions(found.queue.name, MOST_PARTITIONS)
    ]


def limits_of(found: Occupancy) -> list[Limit]:
    """Return the limits that a queue has or code declares."""
    state, declared = found.queue, found.queue.declared
    lines = []
    for field in fields(Limits):
        now = getattr(state.limits, field.name)
        said = getattr(declared, field.name) if declared is not None else None
        if now or said:
            lines.append(
                Limit(
                    label=LABELS[field.name],
                    now=in_words(now),
                    declared=in_words(said) if declared is not None else "",
                    is_other=declared is not None and now != said,
                )
            )
    return lines
