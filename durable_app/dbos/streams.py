"""Streams: values in order, written by one run, followed by any number of readers."""

from collections.abc import AsyncGenerator, Generator
from typing import Any, TypedDict, Unpack

from durable_app import public as ours
from durable_app.dbos.pairs import Given, given, plain, unused
from durable_app.dbos.serialization import Format, format_name
from durable_app.engine.flow import on_event_loop
from durable_app.errors import SynchronousCallError


class Reading(TypedDict, total=False):
    """How long a reader waits for a value, in seconds, and how often it looks."""

    polling_interval_sec: float | None
    timeout_seconds: float | None
    shard_key: str | None


def _translated(options: Reading) -> dict[str, Any]:
    found: dict[str, Any] = dict(options)
    unused(shard_key=found.pop("shard_key", None))
    return found


@plain(ours.write_stream, ours.awrite_stream)
def write_stream(key: str, value: Any, *, serialization_type: Format = None) -> Given:
    """Append a value to a stream of the running workflow."""
    return given(key, value, serialization_type=format_name(serialization_type))


@plain(ours.close_stream, ours.aclose_stream)
def close_stream(key: str) -> Given:
    """End a stream of the running workflow: its readers stop there."""
    return given(key)


def read_stream(
    workflow_id: str, key: str, *, offset: int = 0, **options: Unpack[Reading]
) -> Generator[Any, Any, None]:
    """Yield the values of a run's stream as they come, until it is closed or the run has ended."""
    if on_event_loop():
        raise SynchronousCallError("DBOS.read_stream()", "DBOS.read_stream_async()")
    return ours.read_stream(workflow_id, key, offset=offset, **_translated(options))


def read_stream_async(
    workflow_id: str, key: str, *, offset: int = 0, **options: Unpack[Reading]
) -> AsyncGenerator[Any, None]:
    """Async twin of ``read_stream``, for ``async for``."""
    return ours.aread_stream(workflow_id, key, offset=offset, **_translated(options))


@plain(ours.read_stream_offset, ours.aread_stream_offset)
def read_stream_offset(workflow_id: str, key: str, offset: int, **options: Unpack[Reading]) -> Given:
    """Return the value at one offset of a run's stream, waiting for it."""
    return given(workflow_id, key, offset, **_translated(options))
