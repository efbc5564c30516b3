"""How far a run has come: an event with a meaning. A step writes it now and then, and at its end."""

from dataclasses import dataclass
from datetime import datetime

from durable_app import clock, serialization
from durable_app.engine import messaging
from durable_app.engine.context import Execution, Scope
from durable_app.engine.flow import Flow
from durable_app.store.records import Position

KEY = "durable.progress"

INTERVAL = 0.25
"""Seconds between two writes of one step: a loop of 10,000 reports is not 10,000 commits."""


@serialization.serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run has come. ``total`` is None where nobody knows."""

    done: float
    total: float | None
    message: str
    at: datetime

    @property
    def share(self) -> float | None:
        """The part that is done, from 0 to 1."""
        return None if not self.total else min(1.0, max(0.0, self.done / self.total))


def report(scope: Scope, position: Position | None, progress: Progress) -> Flow[None]:
    """Publish how far a run has come: as a step of its own in the body, now and then inside a step."""
    if position is not None:
        yield from messaging.set_event(scope, position, KEY, progress)
        return
    execution = scope.execution
    now = clock.boot_seconds()
    if now - execution.reported_at < INTERVAL:
        execution.unreported = progress
        return
    execution.reported_at, execution.unreported = now, None
    yield from messaging.set_event(scope, None, KEY, progress)


def report_the_rest(execution: Execution, scope: Scope) -> Flow[None]:
    """Publish what a step said last and nobody was told."""
    left, execution.unreported = execution.unreported, None
    yield from messaging.set_event(scope, None, KEY, left)
