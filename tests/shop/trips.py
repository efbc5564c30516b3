"""Trips that are undone if they do not end well; the world that they change is a list."""

import asyncio
from typing import Any

from durable_app import (
    acompensate,
    agather,
    arecv,
    cancel_workflow,
    compensate,
    gather,
    recv,
    step,
    transaction,
    workflow,
)
from tests.helpers import Crash
from tests.shop.models import Effect

LOG: list[str] = []
"""What the world has seen."""

BROKEN: set[str] = set()
"""What cannot be undone now."""


@step(name="trips.book")
def book(what: str) -> str:
    LOG.append(f"book {what}")
    return f"{what} booked"


@step(name="trips.unbook")
def unbook(what: str, *, why: str = "") -> None:
    LOG.append(f"unbook {what}{why}")
    if what in BROKEN:
        raise ValueError(f"no way to unbook {what}")


@step(name="trips.unbook_at_last", retries_allowed=True, interval_seconds=0.01, max_attempts=3)
def unbook_at_last(what: str) -> None:
    LOG.append(f"try to unbook {what}")
    if LOG.count(f"try to unbook {what}") < 3:
        raise ValueError("not yet")


@step(name="trips.aunbook")
async def aunbook(what: str) -> None:
    await asyncio.sleep(0)
    LOG.append(f"aunbook {what}")


@transaction(name="trips.refund")
def refund(what: str) -> None:
    Effect.objects.create(workflow_id="refund", step=what)


@step(name="trips.fail")
def fail() -> None:
    raise RuntimeError("no seat left")


@step(name="trips.die")
def die() -> None:
    raise Crash


@workflow(name="sagas.trip")
def trip(*, ends: str = "fails") -> str:
    compensate(unbook, "flight")
    book("flight")
    compensate(unbook, "hotel", why=" in vain")
    book("hotel")
    if ends == "waits":
        recv("go", 3600)
    if ends == "fails":
        fail()
    return "travelled"


@workflow(name="sagas.atrip")
async def atrip(*, ends: str = "fails") -> str:
    await acompensate(aunbook, "flight")
    await book.acall("flight")
    await acompensate(unbook, "hotel", why=" in vain")
    await book.acall("hotel")
    if ends == "waits":
        await arecv("go", 3600)
    if ends == "fails":
        await fail.acall()
    return "travelled"


def undone(func: Any) -> list[str]:
    return ["unbook hotel in vain", "unbook flight" if func is trip else "aunbook flight"]


BOOKED = ["book flight", "book hotel"]


@workflow(name="sagas.pays")
def pays() -> None:
    compensate(refund, "money")
    compensate(unbook_at_last, "hotel")
    compensate(unbook, "flight")
    raise RuntimeError("no money left")


@workflow(name="sagas.branches")
def branches() -> None:
    def branch(what: str) -> None:
        compensate(unbook, f"{what} 1")
        compensate(unbook, f"{what} 2")

    compensate(unbook, "before")
    gather(lambda: branch("left"), lambda: branch("right"))
    compensate(unbook, "after")
    fail()


@workflow(name="sagas.abranches")
async def abranches() -> None:
    async def branch(what: str) -> None:
        await acompensate(unbook, f"{what} 1")
        await acompensate(unbook, f"{what} 2")

    await acompensate(unbook, "before")
    await agather(branch("left"), branch("right"))
    await acompensate(unbook, "after")
    await fail.acall()


@step(name="trips.cancel_me")
def cancel_me(workflow_id: str) -> None:
    cancel_workflow(workflow_id)


@workflow(name="sagas.cancels_itself_while_it_undoes")
def cancelled_in_between() -> None:
    compensate(unbook, "first")
    compensate(cancel_me, "w")
    compensate(unbook, "last")
    fail()


@workflow(name="sagas.crashes")
def crashes() -> None:
    compensate(unbook, "first")
    compensate(die)
    compensate(unbook, "last")
    fail()


@workflow(name="sagas.handles")
def handles_its_error() -> str:
    compensate(unbook, "flight")
    try:
        fail()
    except RuntimeError as error:
        return f"handled: {error}"
    return "went well"
