"""Starting runs and waiting for them, sleeping, and steps without a decorator."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar, cast, overload

from asgiref.sync import markcoroutinefunction

from durable_app import public as ours
from durable_app.dbos.functions import StepOptions
from durable_app.dbos.handles import WorkflowHandle, WorkflowHandleAsync
from durable_app.dbos.pairs import Given, given, handling, plain, unused
from durable_app.dbos.process import require_launched
from durable_app.dbos.threads import blocking
from durable_app.engine.context import current, require_trunk

ASYNCIO_WAIT = "durable.asyncio_wait"

Tasks = asyncio.Future[Any]

P = ParamSpec("P")
R = TypeVar("R")


@overload
def start_workflow(
    func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> WorkflowHandle[R]: ...
@overload
def start_workflow(func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]: ...
def start_workflow(func: Callable[..., Any], *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
    """Start a run of a workflow, or of a single step, in the background; a child inside a workflow."""
    _check_launched()
    return WorkflowHandle(blocking(ours.start_workflow, func, *args, **kwargs))


@markcoroutinefunction
def start_workflow_async(
    func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> Coroutine[Any, Any, WorkflowHandleAsync[R]]:
    """Async twin of ``start_workflow``."""
    _check_launched()
    return _handled(ours.astart_workflow(func, *args, **kwargs))


@overload
def enqueue_workflow(
    queue_name: str, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> WorkflowHandle[R]: ...
@overload
def enqueue_workflow(
    queue_name: str, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> WorkflowHandle[R]: ...
def enqueue_workflow(
    queue_name: str, func: Callable[..., Any], *args: Any, **kwargs: Any
) -> WorkflowHandle[Any]:
    """Enqueue a run on a queue, which need not exist yet."""
    _check_launched()
    return WorkflowHandle(blocking(ours.enqueue, queue_name, func, *args, **kwargs))


@markcoroutinefunction
def enqueue_workflow_async(
    queue_name: str,
    func: Callable[P, Coroutine[Any, Any, R]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Coroutine[Any, Any, WorkflowHandleAsync[R]]:
    """Async twin of ``enqueue_workflow``."""
    _check_launched()
    return _handled(ours.aenqueue(queue_name, func, *args, **kwargs))


def _check_launched() -> None:
    if current.get() is None:
        require_launched("A start")


async def _handled(handle: Awaitable[Any]) -> WorkflowHandleAsync[Any]:
    return WorkflowHandleAsync(await handle)


@handling(ours.retrieve_workflow, ours.aretrieve_workflow)
def retrieve_workflow(
    workflow_id: str, existing_workflow: bool = True, *, shard_key: str | None = None
) -> Given:
    """Return the handle of a run; raises DBOSNonExistentWorkflowError unless it need not exist yet."""
    unused(shard_key=shard_key)
    return given(workflow_id, existing_workflow)


@plain(ours.get_result, ours.aget_result)
def get_result(workflow_id: str, *, shard_key: str | None = None) -> Given:
    """Wait for a run's end and return its value, or raise what it raised."""
    unused(shard_key=shard_key)
    return given(workflow_id)


def wait_first(
    handles: Sequence[WorkflowHandle[Any]], *, polling_interval_sec: float = 1.0
) -> WorkflowHandle[Any]:
    """Wait until one of several runs has ended, and return its handle; raises ValueError."""
    first = ours.wait_first([one.ours for one in handles], polling_interval_sec=polling_interval_sec)
    return next(one for one in handles if one.ours is first)


async def wait_first_async(
    handles: Sequence[WorkflowHandleAsync[Any]], *, polling_interval_sec: float = 1.0
) -> WorkflowHandleAsync[Any]:
    """Async twin of ``wait_first``."""
    first = await ours.await_first([one.ours for one in handles], polling_interval_sec=polling_interval_sec)
    return next(one for one in handles if one.ours is first)


@plain(ours.sleep, ours.asleep)
def sleep(seconds: float) -> Given:
    """Sleep durably; a recovered run sleeps only the rest."""
    return given(seconds)


# Steps without a decorator


def run_step(
    dbos_step_options: StepOptions | None, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run any callable as a step; a plain call outside a workflow."""
    return ours.run_step(cast(Any, dbos_step_options), func, *args, **kwargs)


@overload
def run_step_async(
    dbos_step_options: StepOptions | None,
    func: Callable[P, Coroutine[Any, Any, R]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Awaitable[R]: ...
@overload
def run_step_async(
    dbos_step_options: StepOptions | None, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> Awaitable[R]: ...
@markcoroutinefunction
def run_step_async(
    dbos_step_options: StepOptions | None, func: Callable[..., Any], *args: Any, **kwargs: Any
) -> Awaitable[Any]:
    """Async twin of ``run_step``, for functions of both colours."""
    return ours.arun_step(cast(Any, dbos_step_options), func, *args, **kwargs)


class StepReservation(ours.StepReservation):
    """A position taken now, for a step that is run later."""

    run_async = ours.StepReservation.arun


def reserve_step() -> StepReservation:
    """Take the next position now."""
    return StepReservation(require_trunk("reserve_step"))


@markcoroutinefunction
def asyncio_wait(
    fs: Iterable[Awaitable[Any]], *, timeout: float | None = None, return_when: str = asyncio.ALL_COMPLETED
) -> Coroutine[Any, Any, tuple[set[Tasks], set[Tasks]]]:
    """Return the coroutine of ``asyncio.wait``, as a step that records which of the awaitables were done."""
    return _waited([asyncio.ensure_future(one) for one in fs], timeout, return_when)


async def _waited(
    tasks: list[Tasks], timeout: float | None, return_when: str
) -> tuple[set[Tasks], set[Tasks]]:
    async def look() -> list[int]:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=return_when)
        return [index for index, task in enumerate(tasks) if task in done]

    first = {tasks[index] for index in await ours.arun_step({"name": ASYNCIO_WAIT}, look)}
    if first:
        await asyncio.wait(first)
    return first, set(tasks) - first
