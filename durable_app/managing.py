"""Operators' verbs as module functions; inside a workflow each is a recorded step.

Every function has an ``a``-prefixed twin.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypedDict, TypeVar, Unpack

from asgiref.sync import markcoroutinefunction

from durable_app import control
from durable_app.control.inputs import Inputs
from durable_app.engine.context import Scope, ambient
from durable_app.engine.flow import Flow, adrive, drive_blocking
from durable_app.engine.launch import checked_id, encoded_attributes, new_id
from durable_app.engine.messaging import in_step
from durable_app.errors import InvalidOptionError
from durable_app.handles import WorkflowHandle, place
from durable_app.limits import DEFAULT_QUEUE
from durable_app.store.forking import Fork, Rewind
from durable_app.store.records import Position
from durable_app.verbs import perform, verb_at, verb_flow

T = TypeVar("T")


def _checked(workflow_ids: Iterable[str]) -> list[str]:
    return [checked_id(one) for one in workflow_ids]


# Cancelling


def cancel_workflow(workflow_id: str, *, cancel_children: bool = False) -> None:
    """Cancel a run that has not ended; unknown ids are passed over."""
    perform("cancelWorkflow", "acancel_workflow", _cancellation([workflow_id], cancel_children))


@markcoroutinefunction
def acancel_workflow(workflow_id: str, *, cancel_children: bool = False) -> Awaitable[None]:
    """Async twin of ``cancel_workflow``."""
    return acancel_workflows([workflow_id], cancel_children=cancel_children)


def cancel_workflows(workflow_ids: Iterable[str], *, cancel_children: bool = False) -> None:
    """Cancel runs that have not ended, and all their descendants if ``cancel_children``."""
    verb = _cancellation(workflow_ids, cancel_children)
    perform("cancelWorkflow", "acancel_workflows", verb)


@markcoroutinefunction
def acancel_workflows(workflow_ids: Iterable[str], *, cancel_children: bool = False) -> Awaitable[None]:
    """Async twin of ``cancel_workflows``."""
    return adrive(verb_flow("cancelWorkflow", _cancellation(workflow_ids, cancel_children)))


def _cancellation(workflow_ids: Iterable[str], cancel_children: bool) -> Callable[[], None]:
    ids = _checked(workflow_ids)

    def verb() -> None:
        control.cancel(ids, cancel_children=cancel_children)

    return verb


# Resuming


def resume_workflow(workflow_id: str, *, queue_name: str | None = None) -> WorkflowHandle[Any]:
    """Let a cancelled, waiting or dead-lettered run go on after its last recorded step.

    Raises NonExistentWorkflowError; a run that succeeded or failed is left alone.
    """
    verb = partial(control.resume, _checked([workflow_id]), queue_name=queue_name)
    perform("resumeWorkflow", "aresume_workflow", verb)
    return WorkflowHandle(workflow_id)


async def aresume_workflow(workflow_id: str, *, queue_name: str | None = None) -> WorkflowHandle[Any]:
    """Async twin of ``resume_workflow``."""
    return (await aresume_workflows([workflow_id], queue_name=queue_name))[0]


def resume_workflows(
    workflow_ids: Iterable[str], *, queue_name: str | None = None
) -> list[WorkflowHandle[Any]]:
    """Resume several runs, all or (if one does not exist) none."""
    ids = _checked(workflow_ids)
    verb = partial(control.resume, ids, queue_name=queue_name)
    perform("resumeWorkflow", "aresume_workflows", verb)
    return [WorkflowHandle(one) for one in ids]


async def aresume_workflows(
    workflow_ids: Iterable[str], *, queue_name: str | None = None
) -> list[WorkflowHandle[Any]]:
    """Async twin of ``resume_workflows``."""
    ids = _checked(workflow_ids)
    await adrive(verb_flow("resumeWorkflow", partial(control.resume, ids, queue_name=queue_name)))
    return [WorkflowHandle(one) for one in ids]


# Forking and rewinding


class RewindOptions(TypedDict, total=False):
    """Where, and by which version, a history is run again."""

    application_version: str | None
    queue_name: str | None
    queue_partition_key: str | None


class ForkOptions(RewindOptions, total=False):
    """How a fork may differ from its original."""

    replacement_children: dict[str, str] | None
    timeout_seconds: float | None
    args: Sequence[Any] | None
    kwargs: dict[str, Any] | None


def fork_workflow(workflow_id: str, start_step: int, **options: Unpack[ForkOptions]) -> WorkflowHandle[Any]:
    """Run a history again under a new id (SetWorkflowID or generated), from ``start_step`` on.

    Options: ``application_version``, ``queue_name``, ``queue_partition_key``,
    ``replacement_children`` (old child id to new), ``timeout_seconds``; ``args`` and ``kwargs`` take the
    place of all the arguments that the original had. Raises NonExistentWorkflowError,
    ConflictingWorkflowError if the new id is taken, InvalidArgumentsError.
    """
    return WorkflowHandle(drive_blocking(_fork_flow(workflow_id, start_step, options), "afork_workflow"))


@markcoroutinefunction
def afork_workflow(
    workflow_id: str, start_step: int, **options: Unpack[ForkOptions]
) -> Awaitable[WorkflowHandle[Any]]:
    """Async twin of ``fork_workflow``."""
    return _ahandle(_fork_flow(workflow_id, start_step, options))


def _fork_flow(workflow_id: str, start_step: int, options: ForkOptions) -> Flow[str]:
    scope, position = place()
    span = options.get("timeout_seconds")
    plan = Fork(
        workflow_id=checked_id(workflow_id),
        new_workflow_id=_fork_id(scope, position),
        start_step=start_step,
        app_version=options.get("application_version"),
        queue_name=options.get("queue_name") or DEFAULT_QUEUE,
        partition_key=options.get("queue_partition_key"),
        timeout=None if span is None else timedelta(seconds=span),
        replacement_children=options.get("replacement_children") or {},
    )
    return verb_at(scope, position, "forkWorkflow", partial(control.fork, plan, _inputs(options)))


def _inputs(options: ForkOptions) -> Inputs | None:
    args, kwargs = options.get("args"), options.get("kwargs")
    return None if args is None and kwargs is None else Inputs(args=args or (), kwargs=kwargs or {})


def _fork_id(scope: Scope | None, position: Position | None) -> str:
    """Return the id a fork gets; in a workflow one that a repetition after a crash gets again."""
    chosen = ambient.get().chosen_id
    if chosen is not None and not chosen.used and not in_step():
        chosen.used = True
        return chosen.workflow_id
    if scope is None or position is None:
        return new_id()
    return f"{scope.execution.workflow_id}-{position.step_id}"


def rewind_workflow(
    workflow_id: str, start_step: int = 1, **options: Unpack[RewindOptions]
) -> WorkflowHandle[Any]:
    """Run a finished run again under its own id, from ``start_step`` on, dropping what followed.

    Options: ``application_version``, ``queue_name``, ``queue_partition_key``. Raises InvalidOptionError,
    InvalidTransitionError, NonExistentWorkflowError.
    """
    verb = _rewinding(workflow_id, start_step, options)
    return WorkflowHandle(perform("rewindWorkflow", "arewind_workflow", verb))


@markcoroutinefunction
def arewind_workflow(
    workflow_id: str, start_step: int = 1, **options: Unpack[RewindOptions]
) -> Awaitable[WorkflowHandle[Any]]:
    """Async twin of ``rewind_workflow``."""
    return _ahandle(verb_flow("rewindWorkflow", _rewinding(workflow_id, start_step, options)))


def _rewinding(workflow_id: str, start_step: int, options: RewindOptions) -> Callable[[], str]:
    plan = Rewind(
        workflow_id=checked_id(workflow_id),
        start_step=start_step,
        app_version=options.get("application_version"),
        queue_name=options.get("queue_name") or DEFAULT_QUEUE,
        partition_key=options.get("queue_partition_key"),
    )
    return partial(control.rewind, plan)


async def _ahandle(flow: Flow[str]) -> WorkflowHandle[Any]:
    return WorkflowHandle(await adrive(flow))


# Deleting


def delete_workflow(workflow_id: str, *, delete_children: bool = False) -> None:
    """Delete a run with all that belongs to it; unknown ids are passed over."""
    verb = partial(control.delete, _checked([workflow_id]), delete_children=delete_children)
    perform("deleteWorkflow", "adelete_workflow", verb)


@markcoroutinefunction
def adelete_workflow(workflow_id: str, *, delete_children: bool = False) -> Awaitable[int]:
    """Async twin of ``delete_workflow``."""
    return adelete_workflows([workflow_id], delete_children=delete_children)


def delete_workflows(workflow_ids: Iterable[str], *, delete_children: bool = False) -> int:
    """Delete runs, and their descendants if ``delete_children``; return how many there were."""
    verb = partial(control.delete, _checked(workflow_ids), delete_children=delete_children)
    return perform("deleteWorkflow", "adelete_workflows", verb)


@markcoroutinefunction
def adelete_workflows(workflow_ids: Iterable[str], *, delete_children: bool = False) -> Awaitable[int]:
    """Async twin of ``delete_workflows``."""
    verb = partial(control.delete, _checked(workflow_ids), delete_children=delete_children)
    return adrive(verb_flow("deleteWorkflow", verb))


# Attributes


def update_workflow_attributes(
    workflow_id: str, attributes: dict[str, Any] | None, *, merge: bool = False
) -> None:
    """Replace a run's attributes (None: clear them), or with ``merge`` set these keys and keep the others.

    Raises NonExistentWorkflowError, SerializationError for what is no JSON object.
    """
    verb = _attributes(workflow_id, attributes, merge)
    perform("updateWorkflowAttributes", "aupdate_workflow_attributes", verb)


@markcoroutinefunction
def aupdate_workflow_attributes(
    workflow_id: str, attributes: dict[str, Any] | None, *, merge: bool = False
) -> Awaitable[None]:
    """Async twin of ``update_workflow_attributes``."""
    return adrive(verb_flow("updateWorkflowAttributes", _attributes(workflow_id, attributes, merge)))


def _attributes(workflow_id: str, attributes: dict[str, Any] | None, merge: bool) -> Callable[[], None]:
    checked_id(workflow_id)
    encoded_attributes(attributes)
    if merge and attributes is None:
        raise InvalidOptionError("merge needs attributes; None clears them without it")
    return partial(control.set_attributes, workflow_id, attributes, merge=merge)
