"""Workflows that run in crowds."""

import asyncio
import threading

from asgiref.sync import sync_to_async
from django.db import connection, transaction

from durable_app import step, workflow
from tests.shop.models import Effect


@step
def double(number: int) -> int:
    return 2 * number


@workflow
def five_doubles(number: int) -> int:
    for _ in range(5):
        number = double(number)
    return number


@workflow
async def afive_doubles(number: int) -> int:
    for _ in range(5):
        number = await double.acall(number)
    return number


class Meeting:
    """A point that coroutine runs leave only when so many of them have come to it."""

    size = 0
    present = 0
    everybody: asyncio.Event | None = None
    loops: set[int] = set()
    threads: set[int] = set()

    @classmethod
    def of(cls, size: int) -> None:
        cls.size, cls.present, cls.everybody = size, 0, None
        cls.loops, cls.threads = set(), set()

    @classmethod
    async def attend(cls) -> None:
        cls.loops.add(id(asyncio.get_running_loop()))
        cls.threads.add(threading.get_ident())
        if cls.everybody is None:
            cls.everybody = asyncio.Event()
        cls.present += 1
        if cls.present == cls.size:
            cls.everybody.set()
        await cls.everybody.wait()


@step
async def meet(number: int) -> int:
    await Meeting.attend()
    return number


@workflow
async def meet_everybody(number: int) -> int:
    return await meet(number) + 1


@workflow
async def write_while_meeting(what: str) -> tuple[str, int]:
    """Write with the ORM while others write; return the id of the connection that was used."""
    await Effect.objects.acreate(workflow_id="", step=what)
    await Meeting.attend()
    return what, await sync_to_async(lambda: id(connection.connection))()


class Gates:
    """Two points in time that two runs on one loop tell each other of."""

    opened: asyncio.Event
    looked: asyncio.Event

    @classmethod
    def close(cls) -> None:
        cls.opened, cls.looked = asyncio.Event(), asyncio.Event()


@workflow
async def hold_transaction(ending: str) -> str:
    """Keep a transaction with one write open, until the other run has looked; commit or fail."""
    block = transaction.atomic()
    await sync_to_async(block.__enter__)()
    await Effect.objects.acreate(workflow_id="", step="inside")
    Gates.opened.set()
    await Gates.looked.wait()
    if ending == "commit":
        await sync_to_async(block.__exit__)(None, None, None)
    else:
        await sync_to_async(block.__exit__)(ValueError, ValueError(), None)
    return ending


@workflow
async def look_beside_transaction(may_write: bool) -> list[str]:
    """Look, and write if the database lets two write at once, while the other's transaction is open."""
    await Gates.opened.wait()
    assert not await sync_to_async(lambda: connection.in_atomic_block)()
    seen = [effect.step async for effect in Effect.objects.all()]
    if may_write:
        await Effect.objects.acreate(workflow_id="", step="beside")
    Gates.looked.set()
    return seen
