"""The verbs of workflows: start, and wait. Each sync verb has an ``a``-prefixed twin to await.

A twin is a plain function that returns an awaitable, so that its position is taken when it is called:
``asyncio.gather(asleep(1), asleep(2))`` is deterministic.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar, overload

from asgiref.sync import markcoroutinefunction

from durable_app import clock
from durable_app.engine import branches, results, timers
from durable_app.engine.context import StepStatus, current, require_trunk
from durable_app.engine.flow import Flow, adrive, drive_blocking, on_event_loop
from durable_app.errors import InvalidOptionError, SynchronousCallError
from durable_app.handles import (
    WorkflowHandle,
    place,
    refuse_in_transaction,
    status_flow,
)
from durable_app.starting import start_flow
from durable_app.verbs import perform, verb_flow

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def _blocking(verb: str, flow: Flow[T]) -> T:
    return drive_blocking(flow, f"a{verb}")


# Starting


@overload
def start_workflow(
    func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> WorkflowHandle[R]: ...
@overload
def start_workflow(func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]: ...
def start_workflow(func: Callable[..., Any], *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
    """Enqueue a run of a workflow (or of a single step) and return its handle.

    The run joins the caller's ``transaction.atomic()``: it exists if and only if that commits. In a
    workflow it is a child, and its start a step. Raises WorkflowFunctionNotFoundError for a function that
    is not decorated, SerializationError for arguments that cannot be stored.
    """
    return WorkflowHandle(_blocking("start_workflow", start_flow(func, args, kwargs)))


@markcoroutinefunction
def astart_workflow(
    func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
) -> Awaitable[WorkflowHandle[Any]]:
    """Async twin of ``start_workflow``."""
    return _ahandle(start_flow(func, args, kwargs))


async def _ahandle(flow: Flow[str]) -> WorkflowHandle[Any]:
    return WorkflowHandle(await adrive(flow))


def retrieve_workflow(workflow_id: str, existing_workflow: bool = True) -> WorkflowHandle[Any]:
    """Return the handle of a run.

    Raises NonExistentWorkflowError if there is none, unless ``existing_workflow`` is False.
    """
    if existing_workflow:
        _blocking("retrieve_workflow", status_flow(workflow_id))
    return WorkflowHandle(workflow_id)


async def aretrieve_workflow(workflow_id: str, existing_workflow: bool = True) -> WorkflowHandle[Any]:
    """Async twin of ``retrieve_workflow``."""
    if existing_workflow:
        await WorkflowHandle[Any](workflow_id).aget_status()
    return WorkflowHandle(workflow_id)


def get_result(workflow_id: str, *, timeout: float | None = None) -> Any:
    """Wait for a run's end and return its value; see ``WorkflowHandle.get_result``."""
    return WorkflowHandle[Any](workflow_id).get_result(timeout=timeout)


@markcoroutinefunction
def aget_result(workflow_id: str, *, timeout: float | None = None) -> Awaitable[Any]:
    """Async twin of ``get_result``."""
    awaited: Awaitable[Any] = WorkflowHandle[Any](workflow_id).aget_result(timeout=timeout)
    return awaited


# Waiting


def sleep(seconds: float | timedelta) -> None:
    """Sleep durably: the wake time is recorded, and a recovered run sleeps only the rest.

    Raises NotInWorkflowError outside a workflow, NotAllowedInStepError in a step.
    """
    flow = _sleep_flow("sleep", seconds)
    if flow is not None:
        _blocking("sleep", flow)


async def _nothing() -> None:
    return None


@markcoroutinefunction
def asleep(seconds: float | timedelta) -> Awaitable[None]:
    """Async twin of ``sleep``."""
    flow = _sleep_flow("asleep", seconds)
    return _nothing() if flow is None else adrive(flow)


def _sleep_flow(verb: str, span: float | timedelta) -> Flow[None] | None:
    scope = require_trunk(verb)
    seconds = timers.seconds_of(span, "the time to sleep")
    return timers.sleep(scope, scope.cursor.next(), seconds) if seconds > 0 else None


def gather(*branches_to_run: Callable[[], Any]) -> list[Any]:
    """Run callables in parallel threads, each with steps of its own; return their values in order.

    If one of them waits, the run may park until it goes on; else the first error by argument order is
    raised. Raises NotInWorkflowError outside a workflow.
    """
    scope = require_trunk("gather")
    if on_event_loop():
        raise SynchronousCallError("gather()", "agather()")
    return branches.gather(scope, scope.cursor.next(), branches_to_run)


@markcoroutinefunction
def agather(*branches_to_run: Awaitable[Any] | Callable[[], Any]) -> Awaitable[list[Any]]:
    """Async twin of ``gather``; takes awaitables, or callables that return them."""
    scope = require_trunk("agather")
    return branches.agather(scope, scope.cursor.next(), branches_to_run)


def wait_first(
    handles: Sequence[WorkflowHandle[Any]], *, polling_interval_sec: float = 1.0
) -> WorkflowHandle[Any]:
    """Wait until one of several runs has ended, and return its handle.

    Raises InvalidOptionError for an empty list or one with repeated ids.
    """
    flow, found = _first_flow(handles, polling_interval_sec)
    if current.get() is None:
        refuse_in_transaction("wait_first()")
    return found[_blocking("wait_first", flow)]


async def await_first(
    handles: Sequence[WorkflowHandle[Any]], *, polling_interval_sec: float = 1.0
) -> WorkflowHandle[Any]:
    """Async twin of ``wait_first``."""
    flow, found = _first_flow(handles, polling_interval_sec)
    return found[await adrive(flow)]


def _first_flow(
    handles: Sequence[WorkflowHandle[Any]], longest: float
) -> tuple[Flow[str], dict[str, WorkflowHandle[Any]]]:
    found = {handle.workflow_id: handle for handle in handles}
    if not handles:
        raise InvalidOptionError("wait_first() needs at least one handle")
    if len(found) != len(handles):
        raise InvalidOptionError("wait_first() was given two handles of one workflow")
    scope, position = place()
    if scope is None:
        return results.first_outside(list(found), longest), found
    return results.first_inside(scope, position, list(found)), found


# The running workflow


def now() -> datetime:
    """Return the time, by the database's clock; in a workflow's body a step, the same at every replay."""
    return perform("now", "anow", clock.now)


@markcoroutinefunction
def anow() -> Awaitable[datetime]:
    """Async twin of ``now``."""
    return adrive(verb_flow("now", clock.now))


def workflow_id() -> str | None:
    """Return the id of the running workflow, in its steps too; None outside."""
    scope = current.get()
    return None if scope is None else scope.execution.workflow_id


def step_id() -> int | str | None:
    """Return the position of the running step; None outside a step."""
    status = step_status()
    return None if status is None else status.step_id


def step_status() -> StepStatus | None:
    """Return the running step and its try; None outside a step."""
    scope = current.get()
    return None if scope is None else scope.step
