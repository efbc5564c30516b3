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
    recv,
    step,
    workflow,
    write_stream,
)
from tests.shop.crash import plain


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


@workflow
def dictate(key: str, close: bool = True) -> None:
    """Write what the messages say, one value for each, until one says to stop."""
    while (value := recv("say", 3600)) != "stop":
        write_stream(key, value)
    if close:
        close_stream(key)


@workflow
def narrate(ledger: str) -> list[str]:
    """Wait for a message, then write the token of each step to a stream, and close it."""
    tokens = [recv("begin", 3600)]
    for number in range(3):
        tokens.append(plain(ledger, f"line{number}"))
        write_stream("log", tokens[-1])
    close_stream("log")
    return tokens


@workflow
def hear_out(workflow_id: str) -> list[str]:
    """Follow a narration; what was heard stands in the steps."""
    for _ in read_stream(workflow_id, "log"):
        pass
    return []
