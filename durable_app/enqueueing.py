"""Putting runs into queues: one, or many at once; and their delays. Each verb has an ``a``-prefixed twin."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ParamSpec

from asgiref.sync import markcoroutinefunction

from durable_app.contexts import moment
from durable_app.engine.calls import Arguments
from durable_app.engine.context import ambient
from durable_app.engine.flow import Flow, adrive, drive_blocking
from durable_app.engine.launch import checked_id
from durable_app.errors import InvalidOptionError
from durable_app.handles import WorkflowHandle
from durable_app.limits import checked_queue_name
from durable_app.registry import registry
from durable_app.starting import start_flow, start_many_flow
from durable_app.store import delays
from durable_app.verbs import perform, verb_flow

P = ParamSpec("P")


def enqueue(
    queue_name: str, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
) -> WorkflowHandle[Any]:
    """Enqueue a run of a workflow (or of a single step) on a queue and return its handle.

    SetEnqueueOptions around it says how the run stands there. The run joins the caller's
    ``transaction.atomic()``; inside a workflow it is a child, and its start a step. On a queue that does not
    exist it waits until there is one. Raises WorkflowFunctionNotFoundError, SerializationError,
    QueueDeduplicatedError, InvalidOptionError for options that the queue's declaration does not allow.
    """
    flow = _enqueue_flow(queue_name, func, args, kwargs)
    return WorkflowHandle(drive_blocking(flow, "aenqueue"))


@markcoroutinefunction
def aenqueue(
    queue_name: str, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
) -> Awaitable[WorkflowHandle[Any]]:
    """Async twin of ``enqueue``."""
    return _ahandle(_enqueue_flow(queue_name, func, args, kwargs))


def _enqueue_flow(
    name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Flow[str]:
    _check_options(checked_queue_name(name))
    return start_flow(func, args, kwargs, queue=name)


async def _ahandle(flow: Flow[str]) -> WorkflowHandle[Any]:
    return WorkflowHandle(await adrive(flow))


def enqueue_many(
    queue_name: str, func: Callable[..., Any], calls: Iterable[Any]
) -> list[WorkflowHandle[Any]]:
    """Enqueue a run for each call, all or none, a statement for thousands; return their handles.

    A call is a tuple of arguments, a dict of keyword arguments, or one value that is neither. What
    SetEnqueueOptions says around it holds for all. Inside a workflow this is one step. Raises what
    ``enqueue`` raises.
    """
    flow = _many_flow(queue_name, func, calls)
    return [WorkflowHandle(one) for one in drive_blocking(flow, "aenqueue_many")]


@markcoroutinefunction
def aenqueue_many(
    queue_name: str, func: Callable[..., Any], calls: Iterable[Any]
) -> Awaitable[list[WorkflowHandle[Any]]]:
    """Async twin of ``enqueue_many``."""
    return _ahandles(_many_flow(queue_name, func, calls))


async def _ahandles(flow: Flow[list[str]]) -> list[WorkflowHandle[Any]]:
    return [WorkflowHandle(one) for one in await adrive(flow)]


def _many_flow(name: str, func: Callable[..., Any], calls: Iterable[Any]) -> Flow[list[str]]:
    _check_options(checked_queue_name(name))
    return start_many_flow(func, [_arguments(call) for call in calls], name)


def _arguments(call: Any) -> Arguments:
    match call:
        case tuple():
            return call, {}
        case dict():
            return (), call
        case _:
            return (call,), {}


def _check_options(name: str) -> None:
    """Raise InvalidOptionError for a run that the queue's declaration in this process does not take."""
    declared = registry.queues.get(name)
    if declared is None:
        return
    options = ambient.get().enqueue
    if options is not None and options.priority is not None and not declared.priority_enabled:
        raise InvalidOptionError(f"the queue {name!r} is declared with priority_enabled=False")
    if declared.limits.is_partitioned and (options is None or options.partition_key is None):
        raise InvalidOptionError(
            f"the queue {name!r} is partitioned: a run needs SetEnqueueOptions(queue_partition_key=...)"
        )


# Delayed runs


def set_workflow_delay(
    workflow_id: str,
    *,
    delay_seconds: float | timedelta | None = None,
    delay_until: datetime | None = None,
) -> None:
    """Set anew when a delayed run may start: in so many seconds (or a timedelta), or at a time.

    Raises InvalidOptionError unless exactly one is given, NonExistentWorkflowError, InvalidTransitionError
    for a run that is not delayed.
    """
    verb = _new_delay(workflow_id, delay_seconds, delay_until)
    perform("setWorkflowDelay", "aset_workflow_delay", verb)


@markcoroutinefunction
def aset_workflow_delay(
    workflow_id: str,
    *,
    delay_seconds: float | timedelta | None = None,
    delay_until: datetime | None = None,
) -> Awaitable[None]:
    """Async twin of ``set_workflow_delay``."""
    verb = _new_delay(workflow_id, delay_seconds, delay_until)
    return adrive(verb_flow("setWorkflowDelay", verb))


def _new_delay(
    workflow_id: str, seconds: float | timedelta | None, until: datetime | None
) -> Callable[[], None]:
    given = seconds if until is None else until
    if given is None or (seconds is not None and until is not None):
        raise InvalidOptionError("exactly one of delay_seconds and delay_until is to be given")
    return partial(delays.set_delay, checked_id(workflow_id), moment(given))
