"""The rows. Reading them is everybody's right; writing them is the store's."""

from durable_app.models.alert import SentAlert
from durable_app.models.approval import Approval
from durable_app.models.attributes import HasPairs
from durable_app.models.audit import AuditEvent, AuditOutcome
from durable_app.models.bulk import BulkOperation, IdempotencyKey
from durable_app.models.messaging import Event, EventHistory, Message, StreamEntry
from durable_app.models.overview import Overview
from durable_app.models.queue import Queue, QueueStart
from durable_app.models.schedule import CatchUp, Overlap, Schedule, ScheduleStatus
from durable_app.models.step import Receipt, Step
from durable_app.models.version import AppVersion
from durable_app.models.view import SavedView
from durable_app.models.worker import Worker
from durable_app.models.workflow import TRANSITIONS, Status, Wait, Workflow, WorkflowQuerySet

__all__ = [
    "TRANSITIONS",
    "AppVersion",
    "Approval",
    "AuditEvent",
    "AuditOutcome",
    "BulkOperation",
    "CatchUp",
    "Event",
    "EventHistory",
    "HasPairs",
    "IdempotencyKey",
    "Message",
    "Overlap",
    "Overview",
    "Queue",
    "QueueStart",
    "Receipt",
    "SavedView",
    "Schedule",
    "ScheduleStatus",
    "SentAlert",
    "Status",
    "Step",
    "StreamEntry",
    "Wait",
    "Worker",
    "Workflow",
    "WorkflowQuerySet",
]
