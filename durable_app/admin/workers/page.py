"""The page of a worker: how it is, what it executes, and what was done to it."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from durable_app import clock
from durable_app.admin import display
from durable_app.admin.live import FRAGMENT
from durable_app.admin.run_links import run_url, runs_url
from durable_app.admin.workers.columns import asked, badge, process, queues
from durable_app.admin.workers.lists import WorkerLists
from durable_app.admin.workers.verbs import WorkerVerbs
from durable_app.insight.liveness import holds_lease
from durable_app.store import workers

MOST_RUNS = 50
MOST_EVENTS = 10


class WorkerPages(WorkerLists, WorkerVerbs):
    """The view of one worker."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a worker; nothing is changed here."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        worker = self.found(request, object_id)
        name = "body" if request.headers.get(FRAGMENT) == "worker" else "change_form"
        return TemplateResponse(
            request,
            f"admin/durable_app/worker/{name}.html",
            {**self._context(request, worker), **(extra_context or {})},
            headers={"Cache-Control": "no-store"},
        )

    def _context(self, request: HttpRequest, worker: Any) -> dict[str, Any]:
        actor = self.actor_of(request)
        may_look = actor.may("view_workflow")
        held = workers.held_by([worker.pk], actor.sees, MOST_RUNS).get(worker.pk, []) if may_look else []
        running = workers.running_counts().get(worker.pk, 0)
        context: dict[str, Any] = self.page_context(
            request,
            worker.name,
            object=worker,
            worker=worker,
            badge=badge(worker),
            identifier=display.identifier(worker.pk, is_cut=False),
            buttons=self.buttons(request, worker),
            history_url=self.history_url(worker.pk),
            facts=_facts(worker, running),
            running=running,
            runs=[(one, run_url(self, request, one.number)) for one in held],
            runs_url=runs_url(self, request, worker=worker.pk, status="PENDING"),
            events=self.audit_of(request, worker, MOST_EVENTS),
        )
        return context


def _uptime(worker: Any) -> Any:
    """Return how long it has lived, or did until it was last heard."""
    is_live = holds_lease(worker, clock.now())
    return display.duration(worker.started_at, None if is_live else worker.stopped_at or worker.heartbeat_at)


def _facts(worker: Any, running: int) -> list[tuple[Any, Any]]:
    """Return what the head says of a worker, without what is not known."""
    facts: list[tuple[Any, Any]] = [
        (_("Process"), process(worker)),
        (_("Version"), worker.app_version),
        (_("Queues"), queues(worker)),
        (_("Slots"), f"{running} / {worker.slots}" if worker.slots else str(running)),
        (_("Started"), display.ago(worker.started_at)),
        (_("Up"), _uptime(worker)),
        (_("Last heartbeat"), display.ago(worker.heartbeat_at)),
        (_("Lease until"), None if worker.stopped_at else display.ago(worker.expires_at)),
        (_("Asked"), asked(worker)),
        (_("Ended"), display.ago(worker.stopped_at) if worker.stopped_at else None),
    ]
    return [(label, value) for label, value in facts if value not in (None, "")]
