"""Bugs put into a victim on purpose, to prove that the tests would see them in the engine."""

from dataclasses import replace
from typing import Any

from durable_app.models import Workflow
from durable_app.store import database, runs, steps
from durable_app.store.records import NewRun


def ignore_attempts() -> None:
    """Break the fence: whoever comes writes under the attempt that is current now."""
    original = database.commit

    def commit(record: Any) -> Any:
        if isinstance(record, NewRun):
            return original(record)
        return original(replace(record, attempt=_current_attempt(record.run)))

    def fence(run: int, attempt: int, workflow_id: str) -> None:
        """Let everybody pass."""

    database.commit = commit
    steps.fence = fence
    runs.fence = fence


def _current_attempt(run: int) -> int:
    return Workflow.objects.values_list("attempt", flat=True).get(pk=run)
