"""Where claimed runs execute: threads for sync workflows, one event loop for coroutines."""

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async

from durable_app.engine.context import Execution
from durable_app.engine.flow import Commit, adrive, advance
from durable_app.store import database, leftovers
from durable_app.store.records import Outcome
from durable_app.worker.backlog import Backlog, Task
from durable_app.worker.ends import End, Ends

logger = logging.getLogger("durable_app")


class Slots:
    """Counts what executes or waits to, and tells when there is room.

    A run that only waits for its outcome to be recorded occupies no slot, but the pool is not idle.
    """

    def __init__(self, size: int, on_free: Callable[[], None]) -> None:
        self.size = size
        self.busy = 0
        self._ending = 0
        self._guard = threading.Condition()
        self._on_free = on_free

    @property
    def taken(self) -> int:
        return self.busy - self._ending

    def take(self, count: int) -> None:
        with self._guard:
            self.busy += count

    def give_back(self) -> None:
        with self._guard:
            self.busy -= 1
            self._guard.notify_all()
        self._on_free()

    def begin_end(self) -> None:
        with self._guard:
            self._ending += 1
        self._on_free()

    def end(self) -> None:
        with self._guard:
            self._ending -= 1
            self.busy -= 1
            self._guard.notify_all()

    def wait_until_idle(self, timeout: float) -> bool:
        with self._guard:
            return self._guard.wait_for(lambda: self.busy == 0, timeout)


class Pool:
    """Slots, and the runs that wait for one.

    ``on_room`` is called when it is time to claim again, as long as the last claim left something.
    """

    def __init__(self, size: int, on_room: Callable[[], None]) -> None:
        self.slots = Slots(size, self._freed)
        self.backlog = Backlog(size)
        self.may_be_more = True
        self._on_room = on_room

    def room(self) -> int:
        """Return how many runs may be claimed."""
        return max(0, self.slots.size + self.backlog.ahead - self.slots.taken)

    def take_back(self, longer_than: float) -> list[Execution]:
        """Forget the runs that have waited longer than so many seconds; return what was to execute them."""
        found = self.backlog.take_back(longer_than)
        for task in found:
            task.flow.close()
            self.slots.give_back()
        return [task.execution for task in found]

    def run(self, tasks: Iterable[Task]) -> None:
        """Execute runs, as many at a time as there are slots."""
        raise NotImplementedError

    def _freed(self) -> None:
        if self.may_be_more and self.backlog.is_low:
            self._on_room()


class Threads(Pool):
    """A bounded pool of threads; a run that parks gives its thread back."""

    def __init__(self, size: int, on_room: Callable[[], None]) -> None:
        super().__init__(size, on_room)
        self._pool = ThreadPoolExecutor(size, "durable-run", initializer=database.borrow_connections)
        self._ends = Ends(size, self.slots.end)
        self._guard = threading.Lock()
        self._working = 0
        self._kept: set[Any] = set()
        """Connections that the threads keep from run to run."""

    def run(self, tasks: Iterable[Task]) -> None:
        """Execute runs, each on a thread of its own as soon as one is free."""
        claimed = list(tasks)  # first: threads that begin meanwhile would only be in the way
        self.slots.take(len(claimed))
        with self._guard:
            self.backlog.add(claimed)
            more = min(len(claimed), self.slots.size - self._working)
            self._working += more
        for _ in range(more):
            self._pool.submit(self._work)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            self._execute(task)

    def _next(self) -> Task | None:
        with self._guard:
            task = self.backlog.take()
            if task is None:
                self._working -= 1
        return task

    def _execute(self, task: Task) -> None:
        context = contextvars.Context()
        began = time.monotonic()
        end = None
        try:
            end = context.run(advance, task.flow, task.flow.send, None, self._may_end_later)
        except BaseException:  # KeyboardInterrupt and the like: the run stays recoverable
            logger.exception("Execution ended without an outcome")
        finally:
            self._kept.update(leftovers.close_finished_connections())
            self.backlog.note(time.monotonic() - began)
        if end is None:
            self.slots.give_back()
        else:
            self.slots.begin_end()
            self._ends.add(End(task.flow, end.record, context))

    def _may_end_later(self, effect: Any) -> bool:
        """Return whether a run is at its end, and others wait for its thread."""
        return isinstance(effect, Commit) and isinstance(effect.record, Outcome) and len(self.backlog) > 0

    def shut_down(self) -> None:
        """Take no more work; threads that still execute are left to end by themselves."""
        is_idle = not self.slots.busy
        self._pool.shutdown(wait=is_idle, cancel_futures=True)
        self._ends.shut_down(wait=is_idle)
        if is_idle:
            leftovers.close_kept(self._kept)


class EventLoop(Pool):
    """One event loop in one thread; every run has a thread and a connection of its own for ORM calls.

    Without its own ``ThreadSensitiveContext`` one coroutine's open transaction would swallow the writes
    of all others.
    """

    def __init__(self, size: int, on_room: Callable[[], None]) -> None:
        super().__init__(size, on_room)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = False

    def run(self, tasks: Iterable[Task]) -> None:
        """Execute runs on the loop, as many at a time as there are slots."""
        claimed = list(tasks)
        self.slots.take(len(claimed))
        self.backlog.add(claimed)
        if claimed:
            self._running_loop().call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        while (
            not self._ending
            and len(self._tasks) < self.slots.size
            and (task := self.backlog.take()) is not None
        ):
            running = asyncio.create_task(self._execute(task), context=contextvars.Context())
            self._tasks.add(running)  # the loop itself keeps only weak references
            running.add_done_callback(self._ended)

    def _ended(self, running: "asyncio.Task[None]") -> None:
        self._tasks.discard(running)
        self._begin()

    async def _execute(self, task: Task) -> None:
        began = time.monotonic()
        try:
            await _isolated(adrive(task.flow))
        except BaseException as error:
            if not (self._ending and isinstance(error, asyncio.CancelledError)):
                logger.exception("Execution ended without an outcome")
        finally:
            self.backlog.note(time.monotonic() - began)
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
