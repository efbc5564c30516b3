"""How far a run is, in one statement: what those see who follow it."""

from typing import Any, NamedTuple

from django.db.models import OuterRef, Subquery

from durable_app.errors import NonExistentWorkflowError
from durable_app.models import Event, Step, Workflow
from durable_app.store import database
from durable_app.store.progress import KEY
from durable_app.store.records import FINISHED


class Snapshot(NamedTuple):
    """A run at a moment."""

    status: str
    waiting_for: str
    position: int | None
    """Of the last recorded step; None if there is none."""
    step: str | None
    """Its name."""
    progress: str | None
    """The newest report, encoded."""

    @property
    def is_finished(self) -> bool:
        """Whether the run has reached a terminal state."""
        return self.status in FINISHED


@database.retried
def snapshot(workflow_id: str) -> Snapshot:
    """Return how far a run is; raises NonExistentWorkflowError."""
    last: Any = Step.objects.filter(workflow_id=OuterRef("pk")).order_by("-position", "-branch")
    report: Any = Event.objects.filter(workflow_id=OuterRef("pk"), key=KEY)
    rows = Workflow.objects.using(database.alias()).filter(workflow_id=workflow_id)
    found = rows.values_list(
        "status",
        "waiting_for",
        Subquery(last.values("position")[:1]),
        Subquery(last.values("name")[:1]),
        Subquery(report.values("value")[:1]),
    ).first()
    if found is None:
        raise NonExistentWorkflowError(workflow_id)
    return Snapshot(*found)


def change(workflow_id: str, since: Snapshot | None) -> Snapshot | None:
    """Return how far a run is if that differs from what was seen, else None.

    Raises NonExistentWorkflowError.
    """
    found = snapshot(workflow_id)
    return None if found == since else found
