"""Telling how far a run has come, for people to see. Each verb has an ``a``-prefixed twin."""

import math
from collections.abc import Awaitable
from typing import Any

from asgiref.sync import markcoroutinefunction

from durable_app import clock, messaging
from durable_app.engine import progress as reports
from durable_app.engine.context import require_workflow
from durable_app.engine.flow import Flow, adrive, drive_blocking
from durable_app.engine.progress import Progress
from durable_app.errors import InvalidOptionError


def progress(done: float, total: float | None = None, message: str = "") -> None:
    """Tell how far the running workflow has come; ``total`` is None where nobody knows.

    In a workflow's body each call is a step. Inside a step calls cost little: at most four a second are
    written, and the last one when the step ends. Raises NotInWorkflowError, InvalidOptionError.
    """
    drive_blocking(_flow("progress", done, total, message), "aprogress")


@markcoroutinefunction
def aprogress(done: float, total: float | None = None, message: str = "") -> Awaitable[None]:
    """Async twin of ``progress``."""
    return adrive(_flow("aprogress", done, total, message))


def _flow(verb: str, done: float, total: float | None, message: str) -> Flow[None]:
    scope = require_workflow(verb)
    position = None if scope.step is not None else scope.cursor.next()
    found = Progress(
        done=_checked(done, "done"),
        total=None if total is None else _checked(total, "total"),
        message=message,
        at=clock.now(),
    )
    return reports.report(scope, position, found)


def _checked(number: Any, what: str) -> float:
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not math.isfinite(number) or number < 0:
        raise InvalidOptionError(f"{what} is a number from 0, not {number!r}")
    return float(number) if isinstance(number, float) else number


def get_progress(workflow_id: str) -> Progress | None:
    """Return what a run has told last, None if it has told nothing; does not wait."""
    found: Progress | None = messaging.get_event(workflow_id, reports.KEY, 0)
    return found


@markcoroutinefunction
def aget_progress(workflow_id: str) -> Awaitable[Progress | None]:
    """Async twin of ``get_progress``."""
    return messaging.aget_event(workflow_id, reports.KEY, 0)
