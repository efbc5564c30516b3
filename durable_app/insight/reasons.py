"""Why is it here? For every state a sentence, and what else an operator should know."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from durable_app import clock
from durable_app.insight.timeline import short
from durable_app.limits import DEFAULT_QUEUE
from durable_app.store import audit, diagnosis, occupancy, workers
from durable_app.store.occupancy import Occupancy


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a run is in its state: a headline, and facts below it."""

    headline: str
    facts: tuple[str, ...] = ()
    is_problem: bool = False
    """Whether it will not go on by itself."""


def why(run: Any) -> Reason:
    """Return why a run is where it is."""
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
            return Reason(headline="Its function raised an error.", is_problem=True)
        case _:
            return Reason(headline="Its function returned.")


def _enqueued(run: Any) -> Reason:
    name = run.queue_name or ""
    found = occupancy.occupancy(name)
    place = occupancy.place_in_line(run)
    facts = [f"{place} runs come before it." if place else "It is the next one."]
    nobody = diagnosis.why_not_taken(run, diagnosis.fleet())
    if nobody:
        return Reason(headline=nobody, facts=tuple(facts), is_problem=True)
    if found is None and name != DEFAULT_QUEUE:
        return Reason(headline=f"There is no queue {name!r}.", facts=tuple(facts), is_problem=True)
    held_up = "" if found is None else _held_up(found, run)
    return Reason(headline=held_up or "It waits for a worker with room.", facts=tuple(facts))


def _held_up(found: Occupancy, run: Any) -> str:
    """Return which of its queue's limits keeps a run waiting; empty if none does."""
    state, now = found.queue, clock.now()
    if state.is_paused:
        until = f" until {state.paused_until:%Y-%m-%d %H:%M:%S}" if state.paused_until else ""
        reason = f" ({state.pause_reason})" if state.pause_reason else ""
        return f"The queue {state.name!r} is paused{until}{reason}."
    if state.limits.is_partitioned and run.partition_key is None:
        return f"The queue {state.name!r} is partitioned, and the run has no partition key."
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
    if worker.stopped_at is not None or worker.expires_at < clock.now():
        return Reason(headline=f"Its worker {worker.name} is dead; the run will be recovered.", facts=facts)
    return Reason(headline=f"It executes on {worker.name}.", facts=facts)


def _waiting(run: Any) -> Reason:
    facts = () if run.wake_at is None else (f"It wakes {_in(run.wake_at)} at the latest.",)
    if run.wake_at is None and "recorded" in run.waiting_for:
        return Reason(headline=f"Its code has changed: {run.waiting_for}", is_problem=True)
    return Reason(headline=f"It waits for {run.waiting_for or 'its time'}.", facts=facts)


def _cancelled(run: Any) -> Reason:
    deed = audit.last(run.workflow_id, "cancel")
    if deed is not None:
        why_so = f": {deed.reason}" if deed.reason else ""
        return Reason(headline=f"{deed.actor_label} cancelled it at {deed.at:%Y-%m-%d %H:%M:%S}{why_so}.")
    if run.deadline_at is not None and run.finished_at is not None and run.deadline_at <= run.finished_at:
        return Reason(headline=f"Its deadline passed at {run.deadline_at:%Y-%m-%d %H:%M:%S}.")
    return Reason(headline="It was cancelled by code, or with its parent.")


def _in(time: datetime | None) -> str:
    if time is None:
        return "at some time"
    left = time - clock.now()
    return f"{time:%Y-%m-%d %H:%M:%S} (in {short(left)})" if left.total_seconds() > 0 else "now"
