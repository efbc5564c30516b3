"""Where claimed runs execute: threads for sync workflows, one event loop for coroutines."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async

from durable_app.engine.flow import Flow, adrive, drive
from durable_app.store import database, leftovers

logger = logging.getLogger("durable_app")


class _Slots:
    """Counts what executes, and tells when something has ended."""

    def __init__(self, size: int, on_free: Callable[[], None]) -> None:
        self.size = size
        self.busy = 0
        self._guard = threading.Condition()
        self._on_free = on_free

    @property
    def free(self) -> int:
        return max(0, self.size - self.busy)

    def take(self) -> None:
        with self._guard:
            self.busy += 1

    def give_back(self) -> None:
        with self._guard:
            self.busy -= 1
            self._guard.notify_all()
        self._on_free()

    def wait_until_idle(self, timeout: float) -> bool:
        with self._guard:
            return self._guard.wait_for(lambda: self.busy == 0, timeout)


class Threads:
    """A bounded pool of threads; a run that parks gives its thread back."""

    def __init__(self, size: int, on_free: Callable[[], None]) -> None:
        self.slots = _Slots(size, on_free)
        self._pool = ThreadPoolExecutor(size, "durable-run", initializer=database.borrow_connections)

    def run(self, flow: Flow[None]) -> None:
        """Execute a flow on a thread of its own."""
        self.slots.take()
        context = contextvars.Context()
        self._pool.submit(context.run, self._execute, flow)

    def _execute(self, flow: Flow[None]) -> None:
        try:
            drive(flow)
        except BaseException:  # KeyboardInterrupt and the like: the run stays recoverable
            logger.exception("Execution ended without an outcome")
        finally:
            database.close_finished_connections()
            self.slots.give_back()

    def shut_down(self) -> None:
        """Take no more work; threads that still execute are left to end by themselves."""
        self._pool.shutdown(wait=not self.slots.busy, cancel_futures=True)


class EventLoop:
    """One event loop in one thread; every run has a thread and a connection of its own for ORM calls.

    Without its own ``ThreadSensitiveContext`` one coroutine's open transaction would swallow the writes
    of all others.
    """

    def __init__(self, size: int, on_free: Callable[[], None]) -> None:
        self.slots = _Slots(size, on_free)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = False

    def run(self, flow: Flow[None]) -> None:
        """Execute a flow on the loop."""
        self.slots.take()
        asyncio.run_coroutine_threadsafe(self._spawn(flow), self._running_loop())

    async def _spawn(self, flow: Flow[None]) -> None:
        task = asyncio.create_task(self._execute(flow), context=contextvars.Context())
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, flow: Flow[None]) -> None:
        try:
            await _isolated(adrive(flow))
        except BaseException as error:
            if not (self._ending and isinstance(error, asyncio.CancelledError)):
                logger.exception("Execution ended without an outcome")
        finally:
            self.slots.give_back()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="durable-loop", daemon=True
                )
                self._thread.start()
            return self._loop

    def shut_down(self) -> None:
        """Cancel what still executes, and end the loop."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop)
        self._thread.join(timeout=5)
        if not self._loop.is_running():
            self._loop.close()

    async def _cancel_all(self) -> None:
        self._ending = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=3) if tasks else None
        asyncio.get_running_loop().stop()


async def _isolated(coroutine: Coroutine[Any, Any, None]) -> None:
    """Await a run with a thread of its own behind its ``sync_to_async`` calls."""
    context = ThreadSensitiveContext()
    async with context:
        try:
            await coroutine
        finally:
            # A thread exists only if the run needed one; only then is there a connection to close.
            if context in SyncToAsync.context_to_thread_executor:
                await sync_to_async(leftovers.close_connections)()
