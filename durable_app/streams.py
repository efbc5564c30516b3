"""Streams of workflows: values in order, written by one run, followed live by any number of readers.

Each verb has an ``a``-prefixed twin to await, or (``aread_stream``) to iterate with ``async for``.
"""

from collections.abc import AsyncGenerator, Awaitable, Generator
from datetime import timedelta
from typing import Any, TypeVar

from asgiref.sync import markcoroutinefunction

from durable_app.engine import streams, timers
from durable_app.engine.context import Scope, require_workflow
from durable_app.engine.flow import Flow, adrive, drive_blocking, on_event_loop
from durable_app.engine.launch import checked_id, checked_key
from durable_app.engine.streams import END, Reading
from durable_app.errors import InvalidOptionError, SynchronousCallError
from durable_app.handles import place, refuse_in_transaction
from durable_app.store.records import Position

T = TypeVar("T")

SHORTEST_POLL = 0.001
LONGEST_POLL = 1.0
"""Seconds between two looks at the database: what may be asked for, and what is done if nothing is."""


def _blocking(verb: str, flow: Flow[T]) -> T:
    return drive_blocking(flow, f"a{verb}")


# Writing


def write_stream(key: str, value: Any, *, serialization_type: str | None = None) -> None:
    """Append a value to a stream of the running workflow, at the next offset.

    Exactly once from a workflow; from a step once at every try. What is written after ``close_stream`` is
    not kept. ``serialization_type`` is "portable", or None for the project's. Raises NotInWorkflowError,
    SerializationError.
    """
    _blocking("write_stream", _write_flow("write_stream", key, value, serialization_type))


@markcoroutinefunction
def awrite_stream(key: str, value: Any, *, serialization_type: str | None = None) -> Awaitable[None]:
    """Async twin of ``write_stream``."""
    return adrive(_write_flow("awrite_stream", key, value, serialization_type))


def _write_flow(verb: str, key: str, value: Any, wanted: str | None) -> Flow[None]:
    scope, position = _place(verb)
    return streams.write(scope, position, checked_key(key, "a stream's key"), value, wanted)


def close_stream(key: str) -> None:
    """End a stream of the running workflow: its readers stop there. Raises NotInWorkflowError."""
    _blocking("close_stream", _close_flow("close_stream", key))


@markcoroutinefunction
def aclose_stream(key: str) -> Awaitable[None]:
    """Async twin of ``close_stream``."""
    return adrive(_close_flow("aclose_stream", key))


def _close_flow(verb: str, key: str) -> Flow[None]:
    scope, position = _place(verb)
    return streams.close(scope, position, checked_key(key, "a stream's key"))


def _place(verb: str) -> tuple[Scope, Position | None]:
    """Return the workflow that writes, and the next position of its body; None in a step."""
    scope = require_workflow(verb)
    return scope, None if scope.step is not None else scope.cursor.next()


# Reading


def read_stream(
    workflow_id: str,
    key: str,
    *,
    offset: int = 0,
    polling_interval_sec: float | None = None,
    timeout_seconds: float | timedelta | None = None,
    follow: bool = True,
) -> Generator[Any, None, None]:
    """Yield the values of a run's stream from ``offset`` on, as they come.

    Ends where the stream was closed, or once the run has ended and all values were read; unless it is to
    ``follow``, after the values that are there. ``timeout_seconds`` limits the wait for each value,
    ``polling_interval_sec`` the pause between two looks at the database.
    In a workflow each value, and the end, is a step. Raises StreamTimeoutError, NonExistentWorkflowError,
    InvalidOptionError, OpenTransactionError.
    """
    if on_event_loop():
        raise SynchronousCallError("read_stream()", "aread_stream()")
    reading = _reading(workflow_id, key, offset, polling_interval_sec, timeout_seconds)
    return _values(reading if follow else reading.of_what_is_there())


def _values(reading: Reading) -> Generator[Any, None, None]:
    while True:
        if reading.follows:
            refuse_in_transaction("read_stream()")
        value = _blocking("read_stream", _next_flow(reading))
        if value is END:
            return
        yield value


def aread_stream(
    workflow_id: str,
    key: str,
    *,
    offset: int = 0,
    polling_interval_sec: float | None = None,
    timeout_seconds: float | timedelta | None = None,
    follow: bool = True,
) -> AsyncGenerator[Any, None]:
    """Async twin of ``read_stream``, for ``async for``."""
    reading = _reading(workflow_id, key, offset, polling_interval_sec, timeout_seconds)
    return _avalues(reading if follow else reading.of_what_is_there())


async def _avalues(reading: Reading) -> AsyncGenerator[Any, None]:
    while (value := await adrive(_next_flow(reading))) is not END:
        yield value


def read_stream_offset(
    workflow_id: str,
    key: str,
    offset: int,
    *,
    polling_interval_sec: float | None = None,
    timeout_seconds: float | timedelta | None = None,
) -> Any:
    """Return the value at one offset of a run's stream, waiting for it.

    Raises StreamTimeoutError also if the stream has ended before it, and what ``read_stream`` raises.
    """
    reading = _reading(workflow_id, key, offset, polling_interval_sec, timeout_seconds, expects_value=True)
    refuse_in_transaction("read_stream_offset()")
    return _blocking("read_stream_offset", _next_flow(reading))


@markcoroutinefunction
def aread_stream_offset(
    workflow_id: str,
    key: str,
    offset: int,
    *,
    polling_interval_sec: float | None = None,
    timeout_seconds: float | timedelta | None = None,
) -> Awaitable[Any]:
    """Async twin of ``read_stream_offset``."""
    reading = _reading(workflow_id, key, offset, polling_interval_sec, timeout_seconds, expects_value=True)
    return adrive(_next_flow(reading))


def _reading(
    workflow_id: str,
    key: str,
    offset: int,
    longest: float | None,
    timeout: float | timedelta | None,
    expects_value: bool = False,
) -> Reading:
    if type(offset) is not int or offset < 0:
        raise InvalidOptionError(f"a stream's offsets count from 0; there is none at {offset!r}")
    seconds = None if timeout is None else timers.seconds_of(timeout, "timeout_seconds")
    if seconds is not None and seconds < 0:
        raise InvalidOptionError(f"timeout_seconds must not be below zero, but is {timeout}")
    if longest is not None and not timers.seconds_of(longest, "polling_interval_sec") >= SHORTEST_POLL:
        raise InvalidOptionError(f"polling_interval_sec must be at least {SHORTEST_POLL}, not {longest}")
    return Reading(
        checked_id(workflow_id),
        checked_key(key, "a stream's key"),
        offset,
        timeout=seconds,
        longest=longest or LONGEST_POLL,
        expects_value=expects_value,
    )


def _next_flow(reading: Reading) -> Flow[Any]:
    """Return the flow of the next value; where that is a step, its position is taken now."""
    scope, position = place()
    return reading.outside() if scope is None else reading.inside(scope, position)
