"""DBOS Transact's names over this engine: a program written for it runs after changing its imports.

Instead of ``from dbos import DBOS``: ``from durable_app.dbos import DBOS``, inside a Django project. A
script that is started by itself finds the project by DJANGO_SETTINGS_MODULE, as ``manage.py`` does.
"""

import os

import django
from django.apps import apps

if not apps.ready and not apps.loading and "DJANGO_SETTINGS_MODULE" in os.environ:
    django.setup()

from durable_app.dbos import error
from durable_app.dbos.administering import alert, run_dbos_database_migrations
from durable_app.dbos.client import DBOSClient
from durable_app.dbos.config import DBOSConfig
from durable_app.dbos.context import (
    DBOSContextEnsure,
    DBOSContextSetAuth,
    DuplicationPolicy,
    PropagateOtelContext,
    SetEnqueueOptions,
    SetShardKey,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    WorkflowIDReusePolicy,
)
from durable_app.dbos.debouncer import Debouncer, DebouncerClient
from durable_app.dbos.facade import DBOS
from durable_app.dbos.functions import DBOSConfiguredInstance, StepOptions
from durable_app.dbos.handles import WorkflowHandle, WorkflowHandleAsync
from durable_app.dbos.messaging import SendMessage
from durable_app.dbos.named import EnqueueOptions
from durable_app.dbos.queue import Queue
from durable_app.dbos.schedules import ClientScheduleInput, ScheduleInput
from durable_app.dbos.serialization import (
    DBOSDefaultSerializer,
    DBOSPortableJSONSerializer,
    Serializer,
    WorkflowSerializationFormat,
    make_pydantic_args_validator,
    pydantic_args_validator,
)
from durable_app.dbos.shown import WorkflowSchedule
from durable_app.dbos.status import StepInfo, WorkflowStatus, WorkflowStatusString
from durable_app.dbos.versions import VersionInfo
from durable_app.dbos.workflows import StepReservation
from durable_app.errors import PortableWorkflowError

__all__ = [
    "ClientScheduleInput",
    "DBOS",
    "DBOSClient",
    "DBOSConfig",
    "DBOSConfiguredInstance",
    "DBOSContextEnsure",
    "DBOSContextSetAuth",
    "DBOSDefaultSerializer",
    "DBOSPortableJSONSerializer",
    "Debouncer",
    "DebouncerClient",
    "DuplicationPolicy",
    "EnqueueOptions",
    "PortableWorkflowError",
    "PropagateOtelContext",
    "Queue",
    "ScheduleInput",
    "SendMessage",
    "Serializer",
    "SetEnqueueOptions",
    "SetShardKey",
    "SetWorkflowAttributes",
    "SetWorkflowID",
    "SetWorkflowTimeout",
    "StepInfo",
    "StepOptions",
    "StepReservation",
    "VersionInfo",
    "WorkflowHandle",
    "WorkflowHandleAsync",
    "WorkflowIDReusePolicy",
    "WorkflowSchedule",
    "WorkflowSerializationFormat",
    "WorkflowStatus",
    "WorkflowStatusString",
    "alert",
    "error",
    "make_pydantic_args_validator",
    "pydantic_args_validator",
    "run_dbos_database_migrations",
]
