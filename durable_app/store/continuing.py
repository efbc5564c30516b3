"""Going on as new: a run drops its history and keeps everything else, in one transaction.

The run stays the same row under the same id, so that nobody who refers to it has to follow it anywhere. Its
positions go on counting, so that no (workflow id, position) ever means two things: ids of children, receipts
and idempotency keys are made of them. One step is left, where the old history ended; it tells the next
execution from where to count.
"""

from typing import Any

from django.db.models import F

from durable_app import clock, serialization
from durable_app.models import EventHistory, Message, Step, Workflow
from durable_app.store import database
from durable_app.store.records import Checkpoint, History
from durable_app.store.steps import fence, landed, record_within

CONTINUE = "durable.continueAsNew"
"""Name of the step that is left of an earlier history; its output counts how often the run has begun."""


def begun(history: History) -> tuple[int, int]:
    """Return where the run's history begins, and how often it has: (0, 1) for most."""
    for (number, _), found in history.items():
        if found.name == CONTINUE:
            return number, int(serialization.decode(found.output or "1"))
    return 0, 1


def base(run: int) -> int:
    """Return the position where a run's history begins: 0 unless it has gone on as new."""
    rows = Step._base_manager.using(database.alias()).filter(workflow_id=run, name=CONTINUE)
    return rows.values_list("position", flat=True).first() or 0


@database.retried
def hand_over(step: Checkpoint, workflow_id: str, inputs: str, form: str) -> None:
    """Begin the run anew with these inputs, under the next attempt; ``step`` is what is left of its history.

    Kept are the last value of each event, streams, messages that were not received, and those that their
    idempotency key still guards against. Raises what the fence raises.
    """
    with database.transact():
        if landed(step):
            return
        fence(step.run, step.attempt, workflow_id)
        _all(Step).filter(workflow_id=step.run).delete()
        record_within(step)
        _drop_old_values(step.run)
        received = _all(Message).filter(destination_id=step.run, consumed_at__isnull=False)
        received.filter(idempotency_key__isnull=True).delete()
        _all(Workflow).filter(pk=step.run).update(
            inputs=inputs,
            serialization=form,
            attempt=F("attempt") + 1,
            recovery_attempts=0,
            updated_at=clock.now(),
        )


def _drop_old_values(run: int) -> None:
    """Keep the last entry of each event's history: what a rewind falls back on."""
    entries = _all(EventHistory).filter(workflow_id=run).order_by("position", "set_at")
    last = {entry.key: entry.pk for entry in entries.only("key", "position", "branch", "set_at")}
    for key, (_, _, position, branch) in last.items():
        _all(EventHistory).filter(workflow_id=run, key=key).exclude(position=position, branch=branch).delete()


def _all(model: Any) -> Any:
    return model._base_manager.using(database.alias())
