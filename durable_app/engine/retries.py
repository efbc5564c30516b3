"""Between two tries of a step: a short pause keeps its thread, a long one is recorded and parks the run.

A recorded failure stands below its step's position, in the branch "0" that no ``gather`` uses; a replay
counts them and goes on with the next try. Short pauses are not worth a commit: after a crash in one of
them the step starts its tries anew. A failure before a short pause is recorded with the next before a long
one, so that none is missing in the count.
"""

from datetime import datetime

from durable_app import clock, serialization, signals
from durable_app.engine import timers
from durable_app.engine.checkpoints import checkpoint, record
from durable_app.engine.context import Execution, Scope
from durable_app.engine.flow import Flow, Pause
from durable_app.errors import RetryAfter
from durable_app.retry import Retry
from durable_app.store.records import Position, Recorded

RETRY = "durable.retry"

SHORT = 1.0
"""Seconds; longer pauses watch for a cancellation meanwhile."""


def failure_at(step: Position, count: int) -> Position:
    """Return where the ``count``-th failed try of a step is recorded."""
    return step.below(count)


def _recorded_failures(execution: Execution, step: Position) -> list[Recorded]:
    failures: list[Recorded] = []
    while found := execution.history.get(place := failure_at(step, len(failures) + 1)):
        execution.visited.add(place)
        failures.append(found)
    return failures


def pass_over(execution: Execution, step: Position) -> None:
    """Note that the failed tries of a replayed step belong to it."""
    if execution.history:
        _recorded_failures(execution, step)


def earlier_failures(scope: Scope, step: Position) -> Flow[list[Exception]]:
    """Return the errors of tries that an earlier execution recorded, after what is left of the pause."""
    if not scope.execution.history:
        return []
    failures = _recorded_failures(scope.execution, step)
    if failures:
        until: datetime = serialization.decode(failures[-1].output or "null")
        yield from timers.wait(scope.cursor, until=until)
    return [serialization.decode_error(found.error or "") for found in failures]


def pause_after(
    scope: Scope, step: Position, name: str, retry: Retry, errors: list[Exception], recorded: int
) -> Flow[int]:
    """Wait before the next try; the run may park meanwhile.

    ``recorded`` is how many of the failures are recorded; returns how many are now.
    """
    asked = errors[-1]
    seconds = asked.seconds if isinstance(asked, RetryAfter) else retry.delay_before(len(errors) + 1)
    signals.step_retried.send(
        sender=None,
        workflow_id=scope.execution.workflow_id,
        step_name=name,
        attempt=len(errors),
        error=errors[-1],
        pause=seconds,
    )
    if seconds <= SHORT:
        yield Pause(seconds)
        return recorded
    until = timers.after(seconds)
    if scope.execution.park_after is not None:
        for number in range(recorded + 1, len(errors) + 1):
            failure = checkpoint(
                scope.execution,
                failure_at(step, number),
                RETRY,
                output=serialization.encode(until),
                error=serialization.encode_error(errors[number - 1]),
                started_at=clock.now(),
                finished_at=until,
            )
            yield from record(scope.cursor, failure)
        recorded = len(errors)
    yield from timers.wait(scope.cursor, until=until)
    return recorded
