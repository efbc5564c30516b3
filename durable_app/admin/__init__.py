"""The control plane in Django's admin: found by itself, or put on other sites with ``register``.

Every entry is a mixin and a thin class: a project that wants another one composes the mixin with its own
base, and registers that instead.
"""

from django.contrib import admin

from durable_app.admin.approvals.admin import ApprovalAdmin
from durable_app.admin.audit.admin import AuditAdmin
from durable_app.admin.bulk.admin import BulkAdmin
from durable_app.admin.options import options
from durable_app.admin.overview import OverviewAdmin
from durable_app.admin.queues.admin import QueueAdmin
from durable_app.admin.runs.admin import RunAdmin
from durable_app.admin.schedules.admin import ScheduleAdmin
from durable_app.admin.sites import entry, register
from durable_app.admin.workers.admin import WorkerAdmin
from durable_app.models import (
    Approval,
    AuditEvent,
    BulkOperation,
    Overview,
    Queue,
    Schedule,
    Worker,
    Workflow,
)

__all__ = ["register"]

entry("overview", Overview, OverviewAdmin)
entry("runs", Workflow, RunAdmin)
entry("approvals", Approval, ApprovalAdmin)
entry("schedules", Schedule, ScheduleAdmin)
entry("queues", Queue, QueueAdmin)
entry("workers", Worker, WorkerAdmin)
entry("bulk operations", BulkOperation, BulkAdmin)
entry("audit", AuditEvent, AuditAdmin)

if options().AUTOREGISTER:
    register(admin.site)
