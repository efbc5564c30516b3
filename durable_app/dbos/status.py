"""What is shown of runs and steps, in the seed's fields: epoch milliseconds, its names and states."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, TypedDict, cast

from durable_app import handles, serialization
from durable_app.dbos import executors
from durable_app.dbos.shown import seed_schedule
from durable_app.dbos.times import epoch_ms, epoch_ms_or_none
from durable_app.engine.messaging import GET_EVENT, RECV
from durable_app.engine.timers import SLEEP
from durable_app.limits import DEFAULT_QUEUE
from durable_app.store.schedules import ScheduleInfo

OURS, THEIRS = "durable.", "DBOS."
"""Prefixes of the steps that the engine records for its own verbs."""


def seed_name(name: str) -> str:
    """Return a step's name with the seed's prefix in place of ours."""
    return THEIRS + name.removeprefix(OURS) if name.startswith(OURS) else name


TIMED = frozenset(map(seed_name, (RECV, GET_EVENT)))
"""Steps that take a second number, for their timer."""


class WorkflowStatusString(Enum):
    """The states a run may be in."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    MAX_RECOVERY_ATTEMPTS_EXCEEDED = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
    CANCELLED = "CANCELLED"
    ENQUEUED = "ENQUEUED"
    DELAYED = "DELAYED"


class WorkflowInputs(TypedDict):
    """The arguments of a run."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@serialization.serializable
@dataclass(kw_only=True)
class WorkflowStatus:
    """A run as it stands."""

    workflow_id: str
    status: str
    name: str
    class_name: str | None
    config_name: str | None
    authenticated_user: str | None
    assumed_role: str | None
    authenticated_roles: list[str] | None
    input: WorkflowInputs | None
    output: Any
    error: Exception | None
    created_at: int
    updated_at: int
    completed_at: int | None
    dequeued_at: int | None
    delay_until_epoch_ms: int | None
    queue_name: str | None
    queue_partition_key: str | None
    deduplication_id: str | None
    priority: int
    executor_id: str | None
    app_version: str | None
    recovery_attempts: int
    workflow_timeout_ms: int | None
    workflow_deadline_epoch_ms: int | None
    parent_workflow_id: str | None
    forked_from: str | None
    was_forked_from: bool
    schedule_name: str | None
    attributes: dict[str, Any] | None
    application_name: str | None
    app_id: str = ""
    shard_key: str | None = None
    parent_shard_key: str | None = None


class StepInfo(TypedDict):
    """A recorded step."""

    function_id: int
    function_name: str
    output: Any
    error: Exception | None
    child_workflow_id: str | None
    child_shard_key: str | None
    started_at_epoch_ms: int | None
    completed_at_epoch_ms: int | None


_SAME = (
    "workflow_id", "name", "class_name", "config_name", "assumed_role", "output", "error", "deduplication_id",
    "priority", "app_version", "parent_workflow_id", "forked_from", "was_forked_from", "schedule_name",
    "attributes",
)  # fmt: skip


def seed_status(found: handles.WorkflowStatus) -> WorkflowStatus:
    """Return a status in the seed's fields.

    A run on the default queue is on no queue there, and a waiting one is PENDING.
    """
    is_queued = found.queue_name not in (None, DEFAULT_QUEUE)
    has_started = found.started_at is not None or not is_queued
    return WorkflowStatus(
        status=_state(found.status, is_queued=is_queued),
        input=_inputs(found.input),
        authenticated_user=found.user,
        authenticated_roles=found.roles,
        queue_name=found.queue_name if is_queued else None,
        queue_partition_key=found.partition_key,
        executor_id=executors.shown(found.worker),
        recovery_attempts=found.recovery_attempts + has_started,
        workflow_timeout_ms=_span_ms(found.timeout),
        workflow_deadline_epoch_ms=epoch_ms_or_none(found.deadline_at),
        created_at=epoch_ms(found.created_at),
        updated_at=epoch_ms(found.updated_at),
        completed_at=epoch_ms_or_none(found.finished_at),
        dequeued_at=epoch_ms_or_none(found.started_at) if is_queued else None,
        delay_until_epoch_ms=epoch_ms_or_none(found.run_after),
        application_name=executors.application_name(),
        **{name: getattr(found, name) for name in _SAME},
    )


def _state(status: str, *, is_queued: bool) -> str:
    waits = status == "WAITING" or (status == "ENQUEUED" and not is_queued)
    return "PENDING" if waits else status


def seed_status_or_none(found: handles.WorkflowStatus | None) -> WorkflowStatus | None:
    """Return a status in the seed's fields, or None."""
    return None if found is None else seed_status(found)


def seed_statuses(found: list[handles.WorkflowStatus]) -> list[WorkflowStatus]:
    """Return statuses in the seed's fields."""
    return [seed_status(one) for one in found]


def seed_steps(found: list[handles.StepInfo]) -> list[StepInfo]:
    """Return steps in the seed's fields.

    What the engine notes between steps is left out. A receipt that had nothing to wait for recorded no
    timer here; there it did, at the next number.
    """
    steps = [_step(one) for one in found if not _is_note(one)]
    numbers = {step["function_id"] for step in steps}
    for step in [*steps]:
        timer = step["function_id"] + 1
        if step["function_name"] in TIMED and timer not in numbers:
            steps.append(_timer(timer, step))
    return sorted(steps, key=lambda step: step["function_id"])


def _is_note(found: handles.StepInfo) -> bool:
    return "0" in str(found.step_id).split(".")[1:]


def _timer(number: int, step: StepInfo) -> StepInfo:
    at = step["started_at_epoch_ms"]
    nothing = StepInfo(**{**step, "output": None, "error": None, "child_workflow_id": None})
    return {**nothing, "function_id": number, "function_name": seed_name(SLEEP), "completed_at_epoch_ms": at}


def _step(found: handles.StepInfo) -> StepInfo:
    return StepInfo(
        function_id=int(str(found.step_id).partition(".")[0]),
        function_name=seed_name(found.name),
        output=_output(found.output),
        error=found.error,
        child_workflow_id=found.child_workflow_id,
        child_shard_key=None,
        started_at_epoch_ms=epoch_ms_or_none(found.started_at),
        completed_at_epoch_ms=epoch_ms_or_none(found.finished_at),
    )


def _output(value: Any) -> Any:
    """Show what a recorded look at runs or schedules returned as the look itself showed it."""
    match value:
        case handles.WorkflowStatus():
            return seed_status(value)
        case ScheduleInfo():
            return seed_schedule(value)
        case [handles.WorkflowStatus() | ScheduleInfo(), *_]:
            return [_output(one) for one in value]
        case _:
            return value


def _inputs(found: Any) -> WorkflowInputs | None:
    if isinstance(found, dict) and isinstance(found.get("args"), list):
        return WorkflowInputs(args=tuple(found["args"]), kwargs=found.get("kwargs", {}))
    return cast(WorkflowInputs | None, found)


def _span_ms(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds() * 1000)
