"""The rows. Reading them is everybody's right; writing them is the store's."""

from durable_app.models.attributes import HasPairs
from durable_app.models.messaging import Event, EventHistory, Message, StreamEntry
from durable_app.models.step import Receipt, Step
from durable_app.models.worker import Worker
from durable_app.models.workflow import TRANSITIONS, Status, Wait, Workflow, WorkflowQuerySet

__all__ = [
    "TRANSITIONS",
    "Event",
    "EventHistory",
    "HasPairs",
    "Message",
    "Receipt",
    "Status",
    "Step",
    "StreamEntry",
    "Wait",
    "Worker",
    "Workflow",
    "WorkflowQuerySet",
]
