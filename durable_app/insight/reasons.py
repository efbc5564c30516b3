"""Why is it here? For every state a sentence, and what else an operator should know."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from durable_app import clock
from durable_app.insight import payloads
from durable_app.insight.liveness import liveness
from durable_app.insight.timeline import short
from durable_app.limits import DEFAULT_QUEUE
from durable_app.store import activity, audit, diagnosis, listing, occupancy, workers
from durable_app.store.occupancy import Occupancy

LONGEST = 500
"""Characters of an error's message that a headline has; the run's values have all of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a run is in its state: a headline, and facts below it."""

    headline: str
    facts: tuple[str, ...] = ()
    is_problem: bool = False
    """Whether it will not go on by itself."""


def why(run: Any, *, may_see: bool = True) -> Reason:
    """Return why a run is where it is; ``may_see`` tells whether the reader may see its payloads."""
    match run.status:
        case "ENQUEUED":
            return _enqueued(run)
        case "DELAYED":
            return _delayed(run)
        case "PENDING":
            return _pending(run)
        case "WAITING":
            return _waiting(run)
        case "CANCELLED":
            return _cancelled(run)
        case "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
            return Reason(
                headline=f"Its workers died {run.recovery_attempts} times while they executed it.",
                facts=(f"{run.max_recovery_attempts} recoveries are allowed.",),
                is_problem=True,
            )
        case "ERROR":
            return _failed(run, may_see=may_see)
        case _:
            return Reason(headline="Its function returned.")


def _enqueued(run: Any) -> Reason:
    found = occupancy.occupancy(run.queue_name or "")
    never = _never(found, run) or _nobody(run)
    if never:
        return Reason(headline=never, is_problem=True)
    place = occupancy.place_in_line(run)
    facts = ("It is the next one." if not place else f"{_runs(place)} before it.",)
    held_up = "" if found is None else _held_up(found)
    return Reason(headline=held_up or "It waits for a worker with room.", facts=facts)


def _runs(count: int) -> str:
    return "1 run comes" if count == 1 else f"{count} runs come"


def _never(found: Occupancy | None, run: Any) -> str:
    """Return why no worker will ever take a run from its queue as it stands; empty if one may."""
    name = run.queue_name or ""
    if found is None and name != DEFAULT_QUEUE:
        return f"There is no queue {name!r}."
    if found is not None and found.queue.limits.is_partitioned and run.partition_key is None:
        return f"The queue {name!r} is partitioned, and the run has no partition key."
    return ""


def _nobody(run: Any) -> str:
    """Return why none of the present workers takes a run; empty if one does."""
    nobody = diagnosis.why_not_taken(run, diagnosis.fleet())
    if nobody or any(worker.serves(run.queue_name) for worker in activity.workers()):
        return nobody
    return f"No live worker serves the queue {run.queue_name!r}."


def _held_up(found: Occupancy) -> str:
    """Return which of its queue's limits keeps a run waiting; empty if none does."""
    state, now = found.queue, clock.now()
    if state.is_paused:
        until = f" until {clock.shown(state.paused_until)}" if state.paused_until else ""
        reason = f" ({state.pause_reason})" if state.pause_reason else ""
        return f"The queue {state.name!r} is paused{until}{reason}."
    if state.limits.concurrency is not None and found.running >= state.limits.concurrency:
        return f"The queue's limit is reached: {found.running} of {state.limits.concurrency} run."
    if found.next_start_at is not None and state.limits.limiter is not None:
        limiter = state.limits.limiter
        left = short(found.next_start_at - now)
        return (
            f"The rate limit is reached: {limiter.limit} starts in {short(limiter.period)}; next in {left}."
        )
    return ""


def _delayed(run: Any) -> Reason:
    due = run.run_after
    if run.debounced_until is not None:
        return Reason(headline=f"It is debounced until {_in(due)}.")
    if run.recovery_attempts:
        return Reason(
            headline=f"Its worker died {run.recovery_attempts} times; the next try is {_in(due)}.",
        )
    return Reason(headline=f"It is delayed until {_in(due)}.")


def _pending(run: Any) -> Reason:
    worker = workers.get(run.worker_id or "")
    if worker is None:
        return Reason(headline="The worker that took it is gone; the run will be recovered.")
    age = short(clock.now() - worker.heartbeat_at)
    facts = (f"Worker {worker.name}, last heartbeat {age} ago.", f"Attempt {run.attempt}.")
    match liveness(worker, clock.now()):
        case "ended":
            headline = f"Its worker {worker.name} has ended; the run will be recovered."
        case "silent":
            headline = f"Its worker {worker.name} is silent: its lease is over; the run will be recovered."
        case _:
            headline = f"It executes on {worker.name}."
    return Reason(headline=headline, facts=facts)


def _waiting(run: Any) -> Reason:
    facts = () if run.wake_at is None else (f"It wakes {_in(run.wake_at)} at the latest.",)
    if run.wake_at is None and "recorded" in run.waiting_for:
        return Reason(headline=f"Its code has changed: {run.waiting_for}", is_problem=True)
    return Reason(headline=f"It waits for {run.waiting_for or 'its time'}.", facts=facts)


def _failed(run: Any, *, may_see: bool) -> Reason:
    """Tell the error's class, its message to those who may see it, and the last step that failed."""
    error = payloads.failure(run.error, may_see=may_see)
    kind = error.kind.removeprefix("builtins.") if error is not None else ""
    said = f": {_cut(error.message)}" if error is not None and error.message else "."
    step = listing.last_failed_step(run.pk)
    return Reason(
        headline=f"Its function raised {kind or 'an error'}{said}",
        facts=() if step is None else (f"The last step that failed is {step[0]}, {step[1]}.",),
        is_problem=True,
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _cancelled(run: Any) -> Reason:
    deed = audit.last(run.workflow_id, "cancel")
    if deed is not None:
        why_so = f": {deed.reason}" if deed.reason else ""
        return Reason(headline=f"{deed.actor_label} cancelled it at {clock.shown(deed.at)}{why_so}.")
    if run.deadline_at is not None and run.finished_at is not None and run.deadline_at <= run.finished_at:
        return Reason(headline=f"Its deadline passed at {clock.shown(run.deadline_at)}.")
    return Reason(headline="It was cancelled by code, or with its parent.")


def _in(time: datetime | None) -> str:
    if time is None:
        return "at some time"
    left = time - clock.now()
    return f"{clock.shown(time)} (in {short(left)})" if left.total_seconds() > 0 else "now"
