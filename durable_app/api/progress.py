"""How far a run is, told as it goes on."""

from collections.abc import Iterator
from typing import Any

from django.http.response import HttpResponseBase
from django.urls import path
from rest_framework.request import Request

from durable_app import serialization
from durable_app.api import sse
from durable_app.api.live import LiveView
from durable_app.api.permissions import VIEW
from durable_app.api.schema import documented
from durable_app.api.sse import ServerEvent
from durable_app.engine.progress import Progress
from durable_app.store import following
from durable_app.store.following import Snapshot
from durable_app.store.progress import KEY
from durable_app.store.waits import News


class ProgressEvents(LiveView):
    """A run's status, last step and progress as server-sent events, until it ends."""

    needs = {"GET": VIEW}

    @documented("workflows_progress_events", answers=sse.ANSWERS, problems=["run-not-found"])
    async def get(self, request: Request, workflow_id: str) -> HttpResponseBase:
        """Tell how far the run is, and again whenever that has changed."""
        run = await self.seen()
        return await sse.response(request, ProgressFeed(run.workflow_id))


class ProgressFeed:
    """A run, told state by state; states that pass quickly may be left out."""

    def __init__(self, workflow_id: str) -> None:
        self._workflow_id = workflow_id
        self._last: Snapshot | None = None
        self.is_over = False

    @property
    def news(self) -> tuple[News, ...]:
        return (News("event", self._workflow_id, KEY), News("result", self._workflow_id))

    def look(self) -> Snapshot | None:
        """Return how far the run is, None if nothing has changed; raises NonExistentWorkflowError."""
        return following.change(self._workflow_id, self._last)

    def told(self, found: Snapshot) -> Iterator[ServerEvent]:
        """Yield the state, and the end if the run has ended."""
        self._last = found
        yield ServerEvent(data=shown(found), name="progress")
        if found.is_finished:
            self.is_over = True
            yield sse.end(found.status)


def shown(found: Snapshot) -> dict[str, Any]:
    """Return a state as JSON."""
    step = None if found.position is None else {"step_id": found.position, "name": found.step}
    return {
        "status": found.status,
        "is_finished": found.is_finished,
        "waiting_for": found.waiting_for,
        "last_step": step,
        "progress": _report(found.progress),
    }


def _report(text: str | None) -> dict[str, Any] | None:
    found = None if text is None else serialization.decode(text)
    if not isinstance(found, Progress):
        return None
    return {
        "done": found.done,
        "total": found.total,
        "share": found.share,
        "message": found.message,
        "at": found.at.isoformat(),
    }


urlpatterns = [
    path("workflows/<str:workflow_id>/progress/sse", ProgressEvents.as_view(), name="progress-events")
]
