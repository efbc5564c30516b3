"""A workflow run seen from outside, and what is shown of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar, cast

from asgiref.sync import markcoroutinefunction

from durable_app import serialization
from durable_app.engine import results
from durable_app.engine.context import Scope, current
from durable_app.engine.flow import Call, Flow, adrive, drive_blocking
from durable_app.engine.launch import checked_id
from durable_app.engine.management import as_step
from durable_app.errors import NonExistentWorkflowError, OpenTransactionError
from durable_app.store import database, listing
from durable_app.store.records import FINISHED

R = TypeVar("R")

GET_STATUS = "durable.getStatus"


@serialization.serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowStatus:
    """A run as it stands. Times are aware datetimes."""

    workflow_id: str
    status: str
    name: str
    class_name: str | None
    config_name: str | None
    input: Any
    output: Any
    error: Any
    user: str | None
    roles: list[str] | None
    assumed_role: str | None
    queue_name: str | None
    priority: int
    partition_key: str | None
    deduplication_id: str | None
    worker: str | None
    app_version: str | None
    attempt: int
    recovery_attempts: int
    timeout: timedelta | None
    deadline_at: datetime | None
    parent_workflow_id: str | None
    forked_from: str | None
    was_forked_from: bool
    schedule_name: str | None
    waiting_for: str
    attributes: dict[str, Any] | None
    run_after: datetime | None
    wake_at: datetime | None
    created_at: datetime
    enqueued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime

    @property
    def is_finished(self) -> bool:
        """Whether the run has reached a terminal state."""
        return self.status in FINISHED


@serialization.serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class StepInfo:
    """A recorded step. ``step_id`` is a number, or text such as "3.2.1" inside a branch."""

    step_id: int | str
    name: str
    output: Any
    error: Any
    child_workflow_id: str | None
    started_at: datetime
    finished_at: datetime
    tries: int


_SAME = (
    "workflow_id", "status", "name", "class_name", "config_name", "user", "roles",
    "assumed_role", "queue_name", "priority", "partition_key", "deduplication_id", "app_version",
    "attempt", "recovery_attempts", "timeout", "deadline_at", "parent_workflow_id", "forked_from",
    "was_forked_from", "schedule_name", "waiting_for", "attributes", "run_after", "wake_at",
    "created_at", "enqueued_at", "started_at", "finished_at", "updated_at",
)  # fmt: skip


def shown(row: Any, *, load_input: bool = True, load_output: bool = True) -> WorkflowStatus:
    """Return what is shown of a row; payloads that cannot be read are shown as their text."""
    error = row.error if load_output else None
    same = {name: getattr(row, name) for name in _SAME}
    if row.status == "CANCELLED":
        same["queue_name"] = None  # its row tells where it stood; it stands nowhere
    return WorkflowStatus(
        input=serialization.shown_inputs(row.inputs, row.serialization) if load_input else None,
        output=serialization.shown(row.output, row.serialization) if load_output else None,
        error=serialization.read_error(error, row.serialization) if error else None,
        worker=row.worker_id,
        **same,
    )


def shown_step(row: Any, *, load_output: bool = True) -> StepInfo:
    """Return what is shown of a step's row."""
    return StepInfo(
        step_id=f"{row.position}.{row.branch}" if row.branch else row.position,
        name=row.name,
        output=serialization.shown(row.output, row.serialization) if load_output else None,
        error=serialization.decode_error(row.error) if row.error and load_output else None,
        child_workflow_id=row.child_workflow_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        tries=row.tries,
    )


def status_of(workflow_id: str) -> WorkflowStatus | None:
    """Return a run's status, None if there is no such run."""
    row = listing.one(checked_id(workflow_id))
    return None if row is None else shown(row)


def existing_status(workflow_id: str) -> WorkflowStatus:
    """Return a run's status, or raise NonExistentWorkflowError."""
    found = status_of(workflow_id)
    if found is None:
        raise NonExistentWorkflowError(workflow_id)
    return found


class WorkflowHandle(Generic[R]):
    """Refers to a run by its id; asks the database at every call.

    Raises InvalidWorkflowIDError for what can be no run's id.
    """

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = checked_id(workflow_id)

    def __repr__(self) -> str:
        return f"WorkflowHandle({self.workflow_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkflowHandle) and other.workflow_id == self.workflow_id

    def __hash__(self) -> int:
        return hash(self.workflow_id)

    def get_workflow_id(self) -> str:
        """Return the run's id."""
        return self.workflow_id

    def get_result(self, *, timeout: float | None = None, polling_interval_sec: float = 1.0) -> R:
        """Wait for the run's end and return its value, or raise what it raised.

        ``timeout`` is in seconds, ``polling_interval_sec`` the longest pause between two looks. Inside a
        workflow this is a step. Raises AwaitedWorkflowCancelledError, ResultTimeoutError,
        OpenTransactionError inside a transaction of the caller's.
        """
        scope, position = place()
        if scope is None:
            refuse_in_transaction("get_result()")
        return cast(
            R, drive_blocking(self._result(scope, position, timeout, polling_interval_sec), "aget_result")
        )

    @markcoroutinefunction
    def aget_result(self, *, timeout: float | None = None, polling_interval_sec: float = 1.0) -> Any:
        """Async twin of ``get_result``."""
        scope, position = place()
        return adrive(self._result(scope, position, timeout, polling_interval_sec))

    def _result(self, scope: Scope | None, position: Any, timeout: float | None, longest: float) -> Flow[Any]:
        if scope is None or position is None:
            return results.await_outside(self.workflow_id, timeout, longest)
        return results.await_inside(scope, position, self.workflow_id)

    def get_status(self) -> WorkflowStatus:
        """Return the run's status; raises NonExistentWorkflowError if it is gone."""
        return drive_blocking(status_flow(self.workflow_id), "aget_status")

    @markcoroutinefunction
    def aget_status(self) -> Any:
        """Async twin of ``get_status``."""
        return adrive(status_flow(self.workflow_id))


def status_flow(workflow_id: str) -> Flow[WorkflowStatus]:
    """Return the flow that looks a status up: a step inside a workflow."""
    scope, position = place()
    look = partial(existing_status, workflow_id)
    return _plainly(look) if scope is None else as_step(scope, position, GET_STATUS, look)


def _plainly(look: Callable[[], WorkflowStatus]) -> Flow[WorkflowStatus]:
    found: WorkflowStatus = yield Call(look)
    return found


def place() -> tuple[Scope | None, Any]:
    """Return scope and next position in a workflow's body; None in a step or outside."""
    scope = current.get()
    if scope is None or scope.step is not None:
        return None, None
    return scope, scope.cursor.next()


def refuse_in_transaction(verb: str) -> None:
    """Raise OpenTransactionError if this thread has a transaction open that nobody else sees."""
    if database.in_transaction():
        raise OpenTransactionError(verb, database.alias())
