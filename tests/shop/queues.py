"""Workflows for queues: each writes down, outside of the engine, when it begins and when it ends."""

import asyncio
import os
import time
from pathlib import Path

from durable_app import step, workflow, workflow_id


def log(folder: str, key: str, what: str) -> None:
    """Append a line; lines this short are written whole. The clock is the same in all processes."""
    line = f"{workflow_id()} {key or '-'} {what} {os.getpid()} {time.monotonic_ns()}\n"
    descriptor = os.open(Path(folder) / "lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@step
def occupy(folder: str, key: str, seconds: float) -> str:
    log(folder, key, "begins")
    time.sleep(seconds)
    log(folder, key, "ends")
    return key


@step
async def aoccupy(folder: str, key: str, seconds: float) -> str:
    log(folder, key, "begins")
    await asyncio.sleep(seconds)
    log(folder, key, "ends")
    return key


@workflow
def take_a_place(folder: str, key: str = "", seconds: float = 0.05) -> str:
    return occupy(folder, key, seconds)


@workflow
async def atake_a_place(folder: str, key: str = "", seconds: float = 0.05) -> str:
    return await aoccupy(folder, key, seconds)


@workflow
def say(value: object) -> object:
    return value
