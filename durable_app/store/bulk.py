"""Creating many runs at once: a statement for a thousand of them, one transaction for all."""

from django.db import transaction

from durable_app.store import database, notify
from durable_app.store.records import Checkpoint, NewRun
from durable_app.store.steps import fence, landed, record_within

BATCH = 2_000
"""Runs a statement."""


@database.retried
def create(records: list[NewRun]) -> list[str]:
    """Insert runs, passing over ids that exist; all or none. Returns their ids."""
    with database.transact():
        _insert(records)
    return [record.workflow_id for record in records]


@database.retried
def launch_children(records: list[NewRun], step: Checkpoint, parent_id: str) -> None:
    """Insert child runs and record their parent's step in one transaction; raises what the fence raises."""
    with database.transact():
        fence(step.run, step.attempt, parent_id)
        if landed(step) is None:
            _insert(records)
            record_within(step)


def _insert(records: list[NewRun]) -> None:
    for first in range(0, len(records), BATCH):
        database.write_within(list(records[first : first + BATCH]))
    key = notify.DUE if any(record.status == "DELAYED" for record in records) else notify.WORK
    transaction.on_commit(lambda: notify.announce(key), using=database.alias())
