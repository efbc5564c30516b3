"""The protocol of an operation is written once, as a generator of effects; two drivers perform them.

``drive`` performs effects by blocking, ``adrive`` by awaiting. (The shape is httpx's ``auth_flow`` and
psycopg's ``generators`` with their ``waiting`` drivers.)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from inspect import isawaitable
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async

from durable_app.errors import SynchronousCallError
from durable_app.store import database, runs
from durable_app.store.notify import Ear
from durable_app.store.records import Created, NewRun, Record

T = TypeVar("T")

Flow = Generator[Any, Any, T]


class Call:
    """A call into the store."""

    __slots__ = ("args", "func", "kwargs")

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.func, self.args, self.kwargs = func, args, kwargs

    def perform(self) -> Any:
        return database.call(self.func, *self.args, **self.kwargs)

    def aperform(self) -> Awaitable[Any]:
        return database.acall(self.func, *self.args, **self.kwargs)


class Commit:
    """A record for the group commit."""

    __slots__ = ("record",)

    def __init__(self, record: Record) -> None:
        self.record = record

    def perform(self) -> Any:
        return database.commit(self.record)

    def aperform(self) -> Awaitable[Any]:
        return database.acommit(self.record)


class Create:
    """The insertion of a run."""

    __slots__ = ("record",)

    def __init__(self, record: NewRun) -> None:
        self.record = record

    def perform(self) -> Created:
        return runs.create(self.record)

    def aperform(self) -> Awaitable[Created]:
        return runs.acreate(self.record)


class UserCode:
    """A call into a function that the user wrote."""

    __slots__ = ("args", "func", "kwargs")

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.func, self.args, self.kwargs = func, args, kwargs

    def perform(self) -> Any:
        return self.func(*self.args, **self.kwargs)

    async def aperform(self) -> Any:
        if iscoroutinefunction(self.func):
            return await self.func(*self.args, **self.kwargs)
        value = await sync_to_async(self.func)(*self.args, **self.kwargs)
        return await value if isawaitable(value) else value


class Pause:
    """A pause that nothing ends early."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def perform(self) -> None:
        time.sleep(self.seconds)

    async def aperform(self) -> None:
        await asyncio.sleep(self.seconds)


class Listen:
    """A pause that ends when an ear hears something."""

    __slots__ = ("ear", "seconds")

    def __init__(self, ear: Ear, seconds: float) -> None:
        self.ear = ear
        self.seconds = seconds

    def perform(self) -> None:
        self.ear.wait(self.seconds)

    def aperform(self) -> Awaitable[None]:
        return self.ear.await_news(self.seconds)


def on_event_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def drive_blocking(flow: Flow[T], twin: str) -> T:
    """Drive a flow, unless that would stop an event loop.

    Raises SynchronousCallError, which names the ``a``-prefixed twin to await instead.
    """
    if on_event_loop():
        flow.close()
        raise SynchronousCallError(f"{twin.removeprefix('a')}()", f"{twin}()")
    return drive(flow)


def drive(flow: Flow[T]) -> T:
    """Perform a flow's effects by blocking; return its value or raise its error."""
    return advance(flow, flow.send, None)  # type: ignore[no-any-return]


def advance(
    flow: Flow[Any],
    resume: Callable[[Any], Any],
    value: Any,
    stops_at: Callable[[Any], bool] | None = None,
) -> Any:
    """Perform a flow's effects by blocking, after the answer ``value`` to the last one.

    ``resume`` is the flow's ``send`` or ``throw``. An effect that ``stops_at`` wants is not performed but
    returned: the caller resumes with the answer.
    """
    while True:
        try:
            effect = resume(value)
        except StopIteration as done:
            return done.value
        if stops_at is not None and stops_at(effect):
            return effect
        try:
            resume, value = flow.send, effect.perform()
        except BaseException as error:  # noqa: BLE001  (the flow decides)
            resume, value = flow.throw, error


async def adrive(flow: Flow[T]) -> T:
    """Perform a flow's effects by awaiting; return its value or raise its error."""
    resume: Callable[[Any], Any] = flow.send
    value: Any = None
    while True:
        try:
            effect = resume(value)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        try:
            resume, value = flow.send, await effect.aperform()
        except BaseException as error:  # noqa: BLE001  (the flow decides)
            resume, value = flow.throw, error
