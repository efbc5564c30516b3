"""Parallel branches: each has its own position space, numbered by argument order.

All branches are run to their end, or to where they wait. If one waits, the whole run does: the others'
steps are recorded, and a replay finds them. Else the first error, by argument order, is raised.
"""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from durable_app import clock
from durable_app.engine import timers
from durable_app.engine.checkpoints import BeyondHistory
from durable_app.engine.context import Cursor, Scope, current
from durable_app.engine.flow import Flow, adrive, drive
from durable_app.engine.timers import BranchSuspended
from durable_app.store import database, leftovers
from durable_app.store.records import Position

WIDEST = 32
"""Threads that one ``gather`` uses at most."""

Outcome = tuple[Any, BaseException | None]
"""A branch's value and what ended it: its suspension, even if the branch has swallowed that."""


def gather(scope: Scope, position: Position, calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run callables in parallel threads; return their values in order."""
    cursors = [scope.cursor.fork(position, index) for index in range(1, len(calls) + 1)]
    if database.joins_caller():  # one connection, one thread: a test's transaction
        outcomes = [_run(cursor, call) for cursor, call in zip(cursors, calls, strict=True)]
    else:
        outcomes = _run_in_threads(cursors, calls)
    drive(_settle(scope.cursor, outcomes))
    return [value for value, _ in outcomes]


def _run_in_threads(cursors: list[Cursor], calls: Sequence[Callable[[], Any]]) -> list[Outcome]:
    if not calls:
        return []
    with ThreadPoolExecutor(min(len(calls), WIDEST), "durable-branch") as pool:
        futures = [
            pool.submit(contextvars.copy_context().run, _run_and_close, cursor, call)
            for cursor, call in zip(cursors, calls, strict=True)
        ]
        return [future.result() for future in futures]


def _run_and_close(cursor: Cursor, call: Callable[[], Any]) -> Outcome:
    if threading.current_thread() is not threading.main_thread():
        database.borrow_connections()
    try:
        return _run(cursor, call)
    finally:
        leftovers.close_connections()


def _run(cursor: Cursor, call: Callable[[], Any]) -> Outcome:
    token = current.set(Scope(cursor=cursor))
    try:
        return call(), cursor.suspended
    except BaseException as error:  # noqa: BLE001  (raised again, in argument order)
        return None, cursor.suspended or error
    finally:
        current.reset(token)


async def agather(
    scope: Scope, position: Position, calls: Sequence[Awaitable[Any] | Callable[[], Any]]
) -> list[Any]:
    """Run awaitables, or callables that return them, concurrently; return their values in order."""
    tasks = []
    for index, call in enumerate(calls, start=1):
        context = contextvars.copy_context()
        cursor = scope.cursor.fork(position, index)
        context.run(current.set, Scope(cursor=cursor))
        tasks.append(asyncio.create_task(_arun(cursor, call), context=context))
    try:
        outcomes = [await task for task in tasks]
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise
    await adrive(_settle(scope.cursor, outcomes))
    return [value for value, _ in outcomes]


async def _arun(cursor: Cursor, call: Awaitable[Any] | Callable[[], Any]) -> Outcome:
    cursor.settle_in()
    try:
        value: Any = call() if callable(call) else call
        return (await value if inspect.isawaitable(value) else value), cursor.suspended
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  (raised again, in argument order)
        return None, cursor.suspended or error


def _settle(cursor: Cursor, outcomes: list[Outcome]) -> Flow[None]:
    """Raise what ended the execution, or park for all that branches wait for, or the first error."""
    cursor.check()
    errors = [error for _, error in outcomes if error is not None]
    for error in errors:
        if isinstance(error, BeyondHistory):
            raise error
    waiting = [error for error in errors if isinstance(error, BranchSuspended)]
    if waiting:
        news = tuple(item for error in waiting for item in error.news)
        wake_at = min((e.wake_at for e in waiting if e.wake_at is not None), default=None)
        yield from timers.park(cursor, news, wake_at)
        # Not parked, for the news is there; but the branches are unwound: come back at once.
        while True:
            yield from timers.park(cursor, (), clock.now())
    if errors:
        raise errors[0]
