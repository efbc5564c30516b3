"""Waiting: durable sleep, and the one wait that everything else waits with.

The deadline is recorded first. A short wait keeps its thread; a longer one parks the run, unless it
belongs to its caller's thread.
"""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from durable_app import clock, serialization, signals
from durable_app.engine import progress
from durable_app.engine.checkpoints import checkpoint, ready_to_run, record, refused, replayed
from durable_app.engine.context import Cursor, Scope
from durable_app.engine.flow import Call, Flow, Listen
from durable_app.errors import ControlFlow, InvalidOptionError, Suspended
from durable_app.store import listening, notify, runs, waits
from durable_app.store.notify import Ear
from durable_app.store.records import Position, Verdict
from durable_app.store.waits import ANNOUNCED, News, Parked

SLEEP = "durable.sleep"

FIRST_LOOK = 0.003
LONGEST_LOOK = 2.0
"""Seconds between two looks for news that no wake-up announced."""

LISTEN_AFTER = 0.02
HEARING_LOOK = 0.1
"""Seconds of a wait after which the process listens to others, and between two looks while it does."""

SHARE = 0.2
"""A look is due once the wait has grown by this share: quick runs are seen quickly, long ones cheaply."""

FAR = timedelta(days=36_500)


class BranchSuspended(Suspended):
    """One branch of a ``gather`` waits; the others may go on. Says for what."""

    def __init__(self, workflow_id: str, news: tuple[News, ...], wake_at: datetime | None) -> None:
        super().__init__(workflow_id)
        self.news = news
        self.wake_at = wake_at


def seconds_of(span: Any, what: str) -> float:
    """Return a span in seconds; raises InvalidOptionError for one that is not a finite number."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or math.isnan(seconds):
        raise InvalidOptionError(f"{what} must be a number of seconds or a timedelta, not {span!r}")
    return float(seconds)


def after(seconds: float) -> datetime:
    """Return the time that many seconds from now; huge spans end in a hundred years."""
    return clock.now() + min(timedelta(seconds=min(seconds, FAR.total_seconds())), FAR)


def sleep(scope: Scope, position: Position, seconds: float) -> Flow[None]:
    """Sleep until a recorded time; a replay sleeps only what is left of it."""
    wake_at = yield from deadline(scope, position, seconds)
    if not scope.execution.is_rehearsal:
        yield from wait(scope.cursor, until=wake_at)


def deadline(scope: Scope, position: Position, seconds: float) -> Flow[datetime]:
    """Return the recorded end of a wait, recording it on first execution."""
    found = replayed(scope.cursor, position, SLEEP)
    if found is not None:
        recorded: datetime = serialization.decode(found.output or "null")
        return recorded
    started_at = clock.now()
    wake_at = after(seconds)
    step = checkpoint(
        scope.execution,
        position,
        SLEEP,
        output=serialization.encode(wake_at),
        started_at=started_at,
        finished_at=wake_at,
    )
    yield from record(scope.cursor, step)
    return wake_at


def wait(
    cursor: Cursor,
    *,
    until: datetime | None,
    news: tuple[News, ...] = (),
    look: Callable[[], Any] | None = None,
) -> Flow[Any]:
    """Wait for the first answer of ``look`` that is not None, or until a time (then None).

    ``news`` says what may make ``look`` answer. Raises Suspended when the run parks.
    """
    execution = cursor.execution
    keys = [*(item.key for item in news), News("result", execution.workflow_id).key]
    park_at = _park_at(cursor, until, bool(news))
    pause = FIRST_LOOK if news else LONGEST_LOOK
    with Ear(keys).opened() as ear:
        while True:
            yield from ready_to_run(cursor)
            if look is not None and (answer := (yield Call(look))) is not None:
                return answer
            now = clock.now()
            if until is not None and now >= until:
                return None
            is_time = park_at is not None and (now >= park_at or execution.lease.draining)
            if is_time and cursor.may_park:
                yield from park(cursor, news, until)
                pause = FIRST_LOOK  # not parked: the news is there, or about to be
            limits = (until, park_at, execution.deadline_at)
            ends = [time for time in limits if time is not None and time > now]
            left = min((time - now).total_seconds() for time in ends) if ends else LONGEST_LOOK
            yield Listen(ear, max(0.0, min(pause, left)))
            if pause >= 1.0:
                yield from check_still_held(cursor)
            pause = min(pause * 1.6, LONGEST_LOOK)


def _park_at(cursor: Cursor, until: datetime | None, has_news: bool) -> datetime | None:
    """Return when this wait gives up its thread; None for never."""
    park_after = cursor.execution.park_after
    if park_after is None:
        return None
    now = clock.now()
    if not has_news and until is not None and until - now > park_after:
        return now  # nothing can end it early
    return now + park_after


def check_still_held(cursor: Cursor) -> Flow[None]:
    """Raise if the run was cancelled or taken over while this execution waits."""
    execution = cursor.execution
    found = yield Call(runs.statuses, [execution.run])
    status, attempt = found.get(execution.run, ("", -1))
    if (status, attempt) != ("PENDING", execution.attempt):
        verdict = Verdict.CANCELLED if status == "CANCELLED" else Verdict.LOST
        raise refused(execution, verdict)


def park(cursor: Cursor, news: tuple[News, ...], until: datetime | None) -> Flow[None]:
    """Release the run and its thread; returns only if what it waits for may be there."""
    execution = cursor.execution
    if cursor.is_branch:
        cursor.suspended = BranchSuspended(execution.workflow_id, news, until)
        raise cursor.suspended
    yield from progress.flush(execution)
    try:
        parked = yield Call(
            waits.park,
            execution.run,
            execution.attempt,
            execution.workflow_id,
            news=news,
            wake_at=until,
        )
    except ControlFlow as lost:
        execution.end(lost)
        raise
    if parked is not Parked.PARKED:
        return
    suspended = Suspended(execution.workflow_id)
    execution.end(suspended)
    signals.workflow_parked.send(
        sender=None,
        workflow_id=execution.workflow_id,
        name=execution.name,
        waiting_for=", ".join(map(str, news)) or "sleep",
    )
    raise suspended


def look_until(
    look: Callable[[], Any], news: Sequence[News], timeout: float | None, longest: float = 1.0
) -> Flow[Any]:
    """Return the first answer of ``look`` that is not None; None after ``timeout`` seconds.

    ``news`` says what may make ``look`` answer, ``longest`` is the longest pause between two looks.
    """
    is_announced = any(item.kind in ANNOUNCED for item in news)
    began = clock.boot_seconds()
    with Ear(item.key for item in news).opened() as ear:
        while (answer := (yield Call(look))) is None:
            waited = clock.boot_seconds() - began
            if timeout is not None and waited >= timeout:
                return None
            if is_announced and waited > LISTEN_AFTER:
                listening.want()
            shortest = HEARING_LOOK if is_announced and notify.is_listening() else FIRST_LOOK
            pause = min(max(shortest, waited * SHARE), longest)
            yield Listen(ear, pause if timeout is None else min(pause, timeout - waited))
    return answer
