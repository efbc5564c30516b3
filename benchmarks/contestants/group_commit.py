"""Leader/follower group commit: the least code by which many callers share one write."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]


@dataclass(slots=True, eq=False)
class Record:
    """One row to be written by the statement of its kind."""

    kind: str
    row: Row


class Ticket:
    """What a caller waits on: its record is durable, or it is the caller's turn to lead."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self._durable = False

    def is_durable(self) -> bool:
        """Wait; tell whether somebody wrote the record, or the caller must lead."""
        self._gate.acquire()
        return self._durable

    def settle(self) -> None:
        self._durable = True
        self._gate.release()

    def promote(self) -> None:
        self._gate.release()


class GroupCommit:
    """Whoever finds no leader leads: it writes everything that waits and names the next leader."""

    def __init__(self, write: Callable[[list[Record]], None]) -> None:
        self._write = write
        self._waiting: list[tuple[Record, Ticket]] = []
        self._led = False
        self._lock = threading.Lock()

    def commit(self, kind: str, row: Row) -> None:
        ticket = Ticket()
        with self._lock:
            self._waiting.append((Record(kind, row), ticket))
            leads, self._led = not self._led, True
        if leads or not ticket.is_durable():
            self._lead()

    def _lead(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        try:
            self._write([record for record, _ in batch])
        finally:  # an error ends the whole trial; nobody must hang until then
            for _, ticket in batch:
                ticket.settle()
            with self._lock:
                self._led = bool(self._waiting)
                if self._led:
                    self._waiting[0][1].promote()


Batch = list[tuple[Record, "asyncio.Future[None]"]]


class AsyncGroupCommit:
    """The same on one event loop: one thread writes while coroutines gather for the next batch."""

    def __init__(self, write: Callable[[list[Record]], None], thread: Executor) -> None:
        self._write = write
        self._thread = thread
        self._waiting: Batch = []
        self._led = False

    async def commit(self, kind: str, row: Row) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((Record(kind, row), future))
        if not self._led:
            self._led = True
            loop.call_soon(self._lead, loop)  # after all coroutines that are ready
        await future

    def _lead(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting, []
        self._led = bool(batch)
        if batch:
            self._thread.submit(self._write_and_settle, batch, loop)

    def _write_and_settle(self, batch: Batch, loop: asyncio.AbstractEventLoop) -> None:
        failure: Exception | None = None
        try:
            self._write([record for record, _ in batch])
        except Exception as error:  # noqa: BLE001  (raised in the coroutines)
            failure = error
        loop.call_soon_threadsafe(self._settle, batch, loop, failure)

    def _settle(self, batch: Batch, loop: asyncio.AbstractEventLoop, failure: Exception | None) -> None:
        for _, future in batch:
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)
        loop.call_soon(self._lead, loop)
