"""What the seed's operators do from code: recover runs, and prepare the database."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.core.management import call_command

from durable_app import public as ours
from durable_app.dbos.error import DBOSException
from durable_app.dbos.handles import WorkflowHandle
from durable_app.dbos.process import process
from durable_app.dbos.threads import blocking
from durable_app.store import database

logger = logging.getLogger("durable_app")

Alert = Callable[[str, str, dict[str, str]], None]


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
    """Decorator: accepted, and never called: alerts are for the project's monitoring to raise."""
    logger.warning("Alert handler ignored, nothing here raises alerts handler=%s", func.__qualname__)
    return func


def kafka_consumer(*args: Any, **options: Any) -> Callable[[Any], Any]:
    """Raise DBOSException: there is no consumer of Kafka here yet."""
    raise DBOSException("kafka_consumer() is not available.")
