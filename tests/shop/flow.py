"""Workflows that write streams and follow those of others; every one in both colours."""

from typing import Any

from durable_app import (
    aclose_stream,
    aread_stream,
    aread_stream_offset,
    awrite_stream,
    close_stream,
    read_stream,
    read_stream_offset,
    step,
    workflow,
    write_stream,
)


@workflow
def pour(key: str, *values: Any, close: bool = False) -> int:
    for value in values:
        write_stream(key, value)
    if close:
        close_stream(key)
    return len(values)


@workflow
async def apour(key: str, *values: Any, close: bool = False) -> int:
    for value in values:
        await awrite_stream(key, value)
    if close:
        await aclose_stream(key)
    return len(values)


@step
def finished(what: str) -> str:
    return what


@workflow
def follow(workflow_id: str, key: str, offset: int = 0, timeout: float | None = None) -> list[Any]:
    return [*read_stream(workflow_id, key, offset=offset, timeout_seconds=timeout), finished("followed")]


@workflow
async def afollow(workflow_id: str, key: str, offset: int = 0, timeout: float | None = None) -> list[Any]:
    found = [v async for v in aread_stream(workflow_id, key, offset=offset, timeout_seconds=timeout)]
    return [*found, await finished.acall("followed")]


@workflow
def pick(workflow_id: str, key: str, offset: int, timeout: float | None = None) -> Any:
    return read_stream_offset(workflow_id, key, offset, timeout_seconds=timeout)


@workflow
async def apick(workflow_id: str, key: str, offset: int, timeout: float | None = None) -> Any:
    return await aread_stream_offset(workflow_id, key, offset, timeout_seconds=timeout)
