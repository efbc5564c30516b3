"""Workflows of our own: what operators ask for in bulk."""

from durable_app.control import bulk
from durable_app.decorators import step, workflow


@step(name="durable.bulk_batch")
def batch(number: int) -> bool:
    """Do the next runs of a bulk operation; return whether there may be more."""
    return bulk.carry_out(number)


@workflow(name=bulk.WORKFLOW, max_recovery_attempts=None)
def bulk_operation(number: int) -> None:
    """Carry out a bulk operation, batch by batch."""
    while batch(number):
        pass
