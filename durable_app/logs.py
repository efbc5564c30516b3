"""Receivers that turn the engine's signals into log lines of the logger ``durable_app``."""

import logging
from typing import Any

from django.dispatch import Signal

from durable_app import signals

logger = logging.getLogger("durable_app")


def _log(signal: Signal, level: int, sentence: str, *names: str) -> None:
    """Log a signal's values under their names."""

    def receiver(**values: Any) -> None:
        if logger.isEnabledFor(level):
            pairs = " ".join(f"{name}={values.get(name)}" for name in names)
            logger.log(level, "%s %s", sentence, pairs)

    signal.connect(receiver, weak=False, dispatch_uid=f"durable_app.logs.{sentence}")


_log(signals.workflow_started, logging.DEBUG, "Running workflow", "workflow_id", "name", "attempt")
_log(signals.workflow_parked, logging.DEBUG, "Workflow parked", "workflow_id", "name", "waiting_for")
_log(signals.workflow_continued, logging.DEBUG, "Workflow goes on as new", "workflow_id", "name", "rounds")
_log(signals.workflow_blocked, logging.ERROR, "Workflow blocked", "workflow_id", "name", "reason")
_log(signals.workflow_lost, logging.WARNING, "Workflow lost to another owner", "workflow_id", "name")
_log(
    signals.workflow_recovered,
    logging.WARNING,
    "Workflow recovered from a dead worker",
    "workflow_id",
    "worker",
    "status",
)
_log(
    signals.step_retried,
    logging.WARNING,
    "Step failed and is tried again",
    "workflow_id",
    "step_name",
    "attempt",
    "error",
    "pause",
)
_log(signals.tick_started, logging.DEBUG, "Tick started", "schedule_name", "workflow_id")
_log(signals.tick_skipped, logging.INFO, "Tick skipped: its schedule's last run is active", "workflow_id")
_log(signals.workflows_pruned, logging.INFO, "Finished workflows deleted", "count")
_log(signals.worker_started, logging.INFO, "Worker started", "worker", "name")
_log(signals.worker_stopped, logging.INFO, "Worker stopped", "worker", "released")
_log(signals.worker_lost, logging.ERROR, "Worker lost its lease and takes a new one", "worker")


def _finished(**values: Any) -> None:
    level = logging.ERROR if values["status"] == "ERROR" else logging.INFO
    logger.log(
        level,
        "Workflow finished workflow_id=%s name=%s status=%s",
        values["workflow_id"],
        values["name"],
        values["status"],
        exc_info=values["error"] if values["error"] is not None else None,
    )


signals.workflow_finished.connect(_finished, dispatch_uid="durable_app.logs.finished")
