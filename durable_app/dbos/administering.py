"""What the seed's operators do from code: recover runs, and prepare the database."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.core.management import call_command

from durable_app import public as ours
from durable_app.dbos.declared import Alert, declared
from durable_app.dbos.error import DBOSException
from durable_app.dbos.handles import WorkflowHandle
from durable_app.dbos.process import process
from durable_app.dbos.threads import blocking
from durable_app.store import database

logger = logging.getLogger("durable_app")


def recover_pending_workflows(executor_ids: Sequence[str] = ("local",)) -> list[WorkflowHandle[Any]]:
    """Take back at once what dead workers held, whoever they were, and return the handles.

    Every worker does the same every few seconds; a run that is being executed is never taken. Raises
    DBOSException before ``DBOS.launch()``.
    """
    if process.worker is None:
        raise DBOSException("recover_pending_workflows() comes after DBOS.launch().")
    return [WorkflowHandle(ours.WorkflowHandle(one)) for one in blocking(process.worker.recovery.take_back)]


def run_dbos_database_migrations(system_database_url: str | None = None, **options: Any) -> None:
    """Apply the engine's migrations to Django's database, as ``manage.py migrate`` does."""
    call_command("migrate", "durable_app", database=database.alias(), verbosity=0)


def alert_handler(func: Alert) -> Alert:
    """Decorator: let a function handle what ``DURABLE["ALERTS"]`` sends to ``durable_app.dbos.alert``.

    There may be one, and before the launch; raises DBOSException.
    """
    if process.worker is not None:
        raise DBOSException("an alert handler is registered before DBOS.launch().")
    if declared.alert_handler is not None:
        raise DBOSException("there is an alert handler already.")
    declared.alert_handler = func
    return func


def alert(name: str, message: str, metadata: dict[str, str]) -> None:
    """Hand an alert to the program's handler; without one it is a line in the log."""
    if declared.alert_handler is None:
        logger.warning("Alert name=%s message=%s metadata=%s", name, message, metadata)
    else:
        declared.alert_handler(name, message, metadata)


def kafka_consumer(*args: Any, **options: Any) -> Callable[[Any], Any]:
    """Raise DBOSException: there is no consumer of Kafka here yet."""
    raise DBOSException("kafka_consumer() is not available.")
