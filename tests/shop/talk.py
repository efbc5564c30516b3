"""Workflows that send, receive, publish and watch; every one in both colours."""

from typing import Any

from durable_app import (
    aget_all_events,
    aget_event,
    arecv,
    asend,
    aset_event,
    asleep,
    get_all_events,
    get_event,
    recv,
    send,
    set_event,
    sleep,
    step,
    workflow,
)


@step
def mark(what: str) -> str:
    return what


@workflow
def receive(count: int = 1, topic: str | None = None, timeout: float = 3600) -> list[Any]:
    return [recv(topic, timeout) for _ in range(count)]


@workflow
async def areceive(count: int = 1, topic: str | None = None, timeout: float = 3600) -> list[Any]:
    return [await arecv(topic, timeout) for _ in range(count)]


@workflow
def receive_and_mark(topic: str | None = None, timeout: float = 3600) -> tuple[Any, str]:
    return recv(topic, timeout), mark("received")


@workflow
async def areceive_and_mark(topic: str | None = None, timeout: float = 3600) -> tuple[Any, str]:
    return await arecv(topic, timeout), await mark.acall("received")


@workflow
def post(destination: str, *messages: Any) -> int:
    for message in messages:
        send(destination, message, "letters")
    return len(messages)


@workflow
async def apost(destination: str, *messages: Any) -> int:
    for message in messages:
        await asend(destination, message, "letters")
    return len(messages)


@workflow
def publish(key: str, *values: Any) -> int:
    for value in values:
        set_event(key, value)
    return len(values)


@workflow
async def apublish(key: str, *values: Any) -> int:
    for value in values:
        await aset_event(key, value)
    return len(values)


@workflow
def watch(workflow_id: str, key: str, timeout: float = 3600) -> tuple[Any, str]:
    return get_event(workflow_id, key, timeout), mark("watched")


@workflow
async def awatch(workflow_id: str, key: str, timeout: float = 3600) -> tuple[Any, str]:
    return await aget_event(workflow_id, key, timeout), await mark.acall("watched")


@workflow
def survey(workflow_id: str) -> dict[str, Any]:
    return get_all_events(workflow_id)


@workflow
async def asurvey(workflow_id: str) -> dict[str, Any]:
    return await aget_all_events(workflow_id)


@workflow
def pong(partner: str, rounds: int) -> list[int]:
    """Answer every message of the partner's with its successor."""
    seen = []
    for _ in range(rounds):
        seen.append(recv("ping", 3600))
        send(partner, seen[-1] + 1, "pong")
    return seen


@workflow
def publish_and_sleep(key: str, value: Any, seconds: float) -> None:
    set_event(key, value)
    sleep(seconds)


@workflow
async def apublish_and_sleep(key: str, value: Any, seconds: float) -> None:
    await aset_event(key, value)
    await asleep(seconds)
