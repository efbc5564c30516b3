"""How far a run is: an event with a meaning, cheap enough for the innermost loop.

A report is no step. It takes no position, in a body either, so that it may be added to a workflow whose runs
are under way; while a body is replayed, its reports are passed over.
"""

import logging
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from durable_app import clock, serialization
from durable_app.engine.context import Execution, Scope
from durable_app.engine.flow import Call, Flow, on_event_loop
from durable_app.errors import InvalidOptionError
from durable_app.store import database, messages
from durable_app.store import progress as store

logger = logging.getLogger("durable_app")

LONGEST_MESSAGE = 500
"""Characters; more is cut off."""


@serialization.serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How much of its work a run, or the part of it that reports, has done."""

    done: float
    total: float | None
    """None while nobody knows."""
    message: str
    at: datetime

    @property
    def share(self) -> float | None:
        """The part that is done, from 0 to 1; None without a total."""
        return None if not self.total else min(self.done / self.total, 1.0)


def report(scope: Scope, done: float, total: float | None, message: str) -> Flow[None]:
    """Report progress; returns at once. Raises InvalidOptionError, and what has ended the execution."""
    execution = scope.execution
    scope.cursor.check()
    known = None if total is None else _checked("total", total)
    bar = store.Bar(scope.step, _checked("done", done), known)
    if execution.is_rehearsal or (scope.step is None and len(execution.visited) < len(execution.history)):
        return  # a replay
    execution.has_reported = True
    value = Progress(done=done, total=total, message=str(message)[:LONGEST_MESSAGE], at=clock.now())
    given = store.Report(execution.run, execution.attempt, execution.workflow_id, bar, value)
    if database.under_test() and (on_event_loop() or database.joins_caller() or database.in_memory()):
        yield Call(store.reporter().add_here, given)
    else:
        store.reporter().add(given)


def _checked(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InvalidOptionError(f"progress: {name} must be a number from zero on, not {value!r}")
    return value


def flush(execution: Execution) -> Flow[None]:
    """Write the last report before the run parks or ends; best effort, as all of them."""
    if not execution.has_reported:
        return
    try:
        yield Call(store.reporter().flush, execution.run, execution.attempt)
    except Exception as error:  # noqa: BLE001  (no run fails for the sake of its progress)
        logger.debug("Progress not written workflow_id=%s error=%s", execution.workflow_id, error)


def forget(execution: Execution) -> None:
    """Drop what is left to write for an execution that has ended."""
    if execution.has_reported:
        store.reporter().forget(execution.run, execution.attempt)


def latest(workflow_id: str) -> Progress | None:
    """Return a run's newest report, None if there is none."""
    found = messages.get_event(workflow_id, store.KEY)
    value = None if found is None or found.text is None else serialization.decode(found.text)
    return value if isinstance(value, Progress) else None
