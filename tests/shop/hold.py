"""Workflows that a test holds in the middle of a step, in whatever process they run, by files."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from durable_app import arecv, step, workflow, workflow_id
from tests.shop.models import Effect


def note(folder: str, what: str) -> None:
    """Append a line to the folder's log; lines this short are written whole."""
    with (Path(folder) / "log").open("a") as log:
        log.write(f"{workflow_id()} {what} {os.getpid()}\n")


def is_released(folder: str) -> bool:
    return (Path(folder) / "release").exists()


@step
def held_step(folder: str) -> int:
    note(folder, "begins")
    while not is_released(folder):
        time.sleep(0.02)
    note(folder, "ends")
    return os.getpid()


@step
async def aheld_step(folder: str) -> int:
    note(folder, "begins")
    while not is_released(folder):
        await asyncio.sleep(0.02)
    note(folder, "ends")
    return os.getpid()


@step
def last_step(folder: str) -> int:
    note(folder, "last")
    return os.getpid()


@workflow
def hold(folder: str) -> list[int]:
    return [held_step(folder), last_step(folder)]


@workflow
async def ahold(folder: str) -> list[int]:
    return [await aheld_step(folder), await last_step.acall(folder)]


@workflow
async def await_letter(folder: str) -> Any:
    note(folder, "begins")
    return await arecv("letters", 3600)


@step
def break_transaction() -> str:
    """Leave a transaction of one's own open, and broken: no rollback, no commit."""
    Effect.objects.create(workflow_id=workflow_id() or "", step="swallowed")
    return "left open"


@workflow
def leave_autocommit_off() -> str:
    """Switch autocommit off and never commit."""
    transaction.set_autocommit(False)
    return break_transaction()


@workflow
def leave_atomic_open() -> str:
    """Enter atomic() and never leave it."""
    block = transaction.atomic()
    block.__enter__()
    OPEN_BLOCKS.append(block)
    return "left open"


OPEN_BLOCKS: list[Any] = []


@workflow
def leave_broken() -> None:
    """Break the connection's transaction with bad SQL, and end inside of it."""
    block = transaction.atomic()
    block.__enter__()
    OPEN_BLOCKS.append(block)
    with connection.cursor() as cursor:
        cursor.execute("SELECT nonsense FROM nowhere")


@workflow
def write_effect(what: str) -> str:
    Effect.objects.create(workflow_id=workflow_id() or "", step=what)
    return what


@workflow
def hold_after_step(folder: str) -> list[int]:
    return [last_step(folder), held_step(folder)]
