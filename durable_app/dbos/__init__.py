"""DBOS Transact's names over this engine: a program written for it runs after changing its imports.

Instead of ``from dbos import DBOS``: ``from durable_app.dbos import DBOS``, inside a Django project. A
script that is started by itself finds the project by DJANGO_SETTINGS_MODULE, as ``manage.py`` does.
"""

import os

import django
from django.apps import apps

if not apps.ready and not apps.loading and "DJANGO_SETTINGS_MODULE" in os.environ:
    django.setup()

from durable_app.dbos import error  # noqa: E402
from durable_app.dbos.config import DBOSConfig  # noqa: E402
from durable_app.dbos.context import (  # noqa: E402
    DBOSContextEnsure,
    DuplicationPolicy,
    PropagateOtelContext,
    SetEnqueueOptions,
    SetShardKey,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    WorkflowIDReusePolicy,
)
from durable_app.dbos.facade import DBOS  # noqa: E402
from durable_app.dbos.functions import DBOSConfiguredInstance, StepOptions  # noqa: E402
from durable_app.dbos.handles import WorkflowHandle, WorkflowHandleAsync  # noqa: E402
from durable_app.dbos.messaging import SendMessage  # noqa: E402
from durable_app.dbos.status import StepInfo, WorkflowStatus, WorkflowStatusString  # noqa: E402
from durable_app.dbos.workflows import StepReservation  # noqa: E402

__all__ = [
    "DBOS",
    "DBOSConfig",
    "DBOSConfiguredInstance",
    "DBOSContextEnsure",
    "DuplicationPolicy",
    "PropagateOtelContext",
    "SendMessage",
    "SetEnqueueOptions",
    "SetShardKey",
    "SetWorkflowAttributes",
    "SetWorkflowID",
    "SetWorkflowTimeout",
    "StepInfo",
    "StepOptions",
    "StepReservation",
    "WorkflowHandle",
    "WorkflowHandleAsync",
    "WorkflowIDReusePolicy",
    "WorkflowStatus",
    "WorkflowStatusString",
    "error",
]
