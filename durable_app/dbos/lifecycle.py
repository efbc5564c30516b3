"""The life of ``DBOS`` in a process: configured, launched with an embedded worker, destroyed, and again."""

import logging
import threading
from collections.abc import Sequence

from django.db import Error

from durable_app import checks, conf
from durable_app.dbos import config as configuration
from durable_app.dbos import serialization
from durable_app.dbos.config import DBOSConfig
from durable_app.dbos.declared import declared
from durable_app.dbos.error import DBOSException, DBOSInitializationError
from durable_app.dbos.executors import executor_id, own_leases
from durable_app.dbos.process import process
from durable_app.dbos.queue import Queue
from durable_app.dbos.threads import blocking
from durable_app.errors import DurableError
from durable_app.incarnation import forget_callers
from durable_app.limits import DEFAULT_QUEUE
from durable_app.store import clearing, database, notify
from durable_app.worker.claimer import Serving
from durable_app.worker.worker import Worker

logger = logging.getLogger("durable_app")

THREADS = 256
"""Sync runs at once: the seed has no bound, and threads are made as they are needed."""

COROUTINES = 1000

GRACE = 0.5
"""Seconds that ``destroy()`` gives runs that are about to end."""


def configure(given: DBOSConfig) -> None:
    """Take over a configuration; raises DBOSInitializationError."""
    process.config = configuration.checked(given)
    serialization.substitute(process.config.get("serializer"))
    version = configuration.application_version(process.config)
    conf.override(**({"APP_VERSION": version} if version else {}))


def listen_queues(queues: Sequence[str | Queue]) -> None:
    """Let the worker serve these queues alone; before ``launch()``, and once. Raises DBOSException."""
    if process.worker is not None:
        raise DBOSException("listen_queues() comes before DBOS.launch().")
    if process.listens_to:
        raise DBOSException("listen_queues() was called already.")
    process.listens_to = tuple(one if isinstance(one, str) else one.name for one in queues)


def launch() -> None:
    """Start a worker in this process; a second call only warns.

    Raises DBOSException before ``DBOS(config=...)``, DBOSInitializationError if the tables are not there.
    """
    if process.config is None:
        raise DBOSException("DBOS.launch() was called before DBOS was created: call DBOS(config=...) first.")
    if process.worker is not None:
        logger.warning("DBOS.launch() was called already, and nothing is done")
        return
    blocking(_launch, process.config)


def _launch(config: DBOSConfig) -> None:
    if database.in_memory():
        raise DBOSInitializationError("a worker cannot share an SQLite database that is in memory.")
    if not checks.is_migrated():
        raise DBOSInitializationError("the tables are missing: run `python manage.py migrate` first.")
    worker = Worker(
        threads=config.get("max_executor_threads") or THREADS,
        async_concurrency=COROUTINES,
        name=executor_id(),
        serving=_serving(),
    )
    process.worker = worker.start()
    if not process.ends_with_interpreter:
        # Not atexit: that comes after the interpreter has waited for the runs' threads to end.
        threading._register_atexit(_stop_at_exit)  # type: ignore[attr-defined]  # noqa: SLF001
        process.ends_with_interpreter = True


def _serving() -> Serving:
    """Return which queues the worker serves; always the one of runs that are only started."""
    return Serving(only=frozenset({*process.listens_to, DEFAULT_QUEUE} if process.listens_to else ()))


def _stop_at_exit() -> None:
    try:
        destroy()
    except (Error, DurableError) as error:  # a test's database is gone before its process ends
        logger.debug("Worker not stopped error=%s", error)


def destroy(*, destroy_registry: bool = False, workflow_completion_timeout_sec: int = 0) -> None:
    """Stop the worker and close what this process holds open; runs that do not end are handed back.

    They have ``workflow_completion_timeout_sec`` seconds to end. ``destroy_registry`` also forgets all
    functions that were decorated with the seed's decorators.
    """
    own_leases()
    worker, process.worker = process.worker, None
    process.config, process.listens_to = None, ()
    try:
        if worker is not None:
            blocking(_stop, worker, max(float(workflow_completion_timeout_sec), GRACE))
    finally:
        conf.override()
        serialization.substitute(None)
        if destroy_registry:
            declared.forget()


def _stop(worker: Worker, grace: float) -> None:
    try:
        worker.stop(grace=grace)
    finally:
        _close()


def release() -> None:
    """Close what this process holds open, unless a worker needs it; a later use opens it again."""
    if process.worker is None:
        blocking(_close)


def _close() -> None:
    try:
        forget_callers()
    finally:
        notify.close()
        database.close()


def reset_system_database() -> None:
    """Empty the engine's tables: for tests, before ``launch()``. Raises DBOSException after it."""
    if process.worker is not None:
        raise DBOSException("reset_system_database() would empty the tables under a running DBOS.")
    if process.config is None:
        logger.warning("reset_system_database() was called before DBOS(config=...), and nothing is done")
        return
    blocking(clearing.clear)


def configuration_in_use() -> DBOSConfig | None:
    """Return the configuration, None before ``DBOS(config=...)`` and after ``destroy()``."""
    return process.config
