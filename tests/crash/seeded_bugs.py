"""Bugs put into a victim on purpose, to prove that the tests would see them in the engine."""

from typing import Any

from durable_app.engine.lease import Lease
from durable_app.models import Workflow
from durable_app.store import database, runs, steps
from durable_app.store.records import NewRun


def never_notice_losses() -> None:
    """Break the worker's own look at its lease, so that only the fence in the database is left."""
    Lease.allows_start = property(lambda lease: True)  # type: ignore[method-assign, assignment]
    Lease.lose = lambda lease: None  # type: ignore[method-assign, assignment]


def ignore_attempts() -> None:
    """Break the fence: whoever comes writes under the attempt that is current now."""
    original = database.commit

    def commit(record: Any) -> Any:
        if isinstance(record, NewRun):
            return original(record)
        return original(record._replace(attempt=_current_attempt(record.run)))

    def fence(run: int, attempt: int, workflow_id: str) -> None:
        """Let everybody pass."""

    database.commit = commit
    steps.fence = fence
    runs.fence = fence  # type: ignore[attr-defined]


def _current_attempt(run: int) -> int:
    return Workflow.objects.values_list("attempt", flat=True).get(pk=run)
