"""Group commit: many records, one statement, one commit; in leader/follower form.

A caller appends its record and takes the leader's lock. Whoever gets it writes everything that waits
and hands each caller its answer; a follower finds its record already written. No extra thread, no
timer: a run alone pays one round trip a record, 64 runs together share commits. Coroutines append the
same way; one helper thread leads for all of an event loop, and resolves their futures in one call.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from durable_app.store.records import Record

T = TypeVar("T")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0


class Writer(Protocol):
    """One long-lived connection that writes batches; one implementation a database."""

    def write(self, records: list[Record]) -> list[Any]:
        """Write all records in one commit and return an answer for each."""

    def notify(self, payload: str) -> None:
        """Tell other processes, as far as the database can."""

    def is_outage(self, error: Exception) -> bool:
        """Return whether the database, not a record, is at fault."""

    def close(self) -> None:
        """Close the connection; the next write opens another."""


class Ticket:
    """A record on its way, and its answer."""

    __slots__ = ("answer", "done", "error", "future", "loop", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.done = False
        self.answer: Any = None
        self.error: Exception | None = None
        self.future: asyncio.Future[Any] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def settle(self, answer: Any = None, error: Exception | None = None) -> None:
        self.answer, self.error, self.done = answer, error, True

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.answer


class Committer:
    """The door through which a process's hot-path records reach the database.

    ``patience`` is how long, in seconds, a record is retried while the database is away.
    """

    def __init__(self, writer: Writer, *, patience: float) -> None:
        self._writer = writer
        self._patience = patience
        self._waiting: deque[Ticket] = deque()
        self._leading = threading.Lock()
        self._helper: ThreadPoolExecutor | None = None
        self._summoned = False
        self._guard = threading.Lock()

    def submit(self, record: Record) -> Any:
        """Write a record and return its answer; blocks for one commit."""
        ticket = Ticket(record)
        self._waiting.append(ticket)
        with self._leading:
            if not ticket.done:
                self._write_waiting()
        return ticket.result()

    async def asubmit(self, record: Record) -> Any:
        """Write a record and return its answer; the event loop goes on meanwhile."""
        ticket = Ticket(record)
        ticket.loop = asyncio.get_running_loop()
        ticket.future = ticket.loop.create_future()
        self._waiting.append(ticket)
        self._summon_helper()
        await ticket.future
        return ticket.result()

    def exclusively(self, call: Callable[[Writer], T]) -> T:
        """Use the connection between two batches."""
        with self._leading:
            return call(self._writer)

    def close(self) -> None:
        """Close the connection and end the helper thread."""
        with self._leading:
            self._writer.close()
        if self._helper is not None:
            self._helper.shutdown(wait=False)
            self._helper = None

    def _summon_helper(self) -> None:
        with self._guard:
            if self._summoned:
                return
            self._summoned = True
            if self._helper is None:
                self._helper = ThreadPoolExecutor(1, thread_name_prefix="durable-committer")
        self._helper.submit(self._lead_for_loop)

    def _lead_for_loop(self) -> None:
        self._summoned = False  # before reading: who comes from here on summons again
        with self._leading:
            if self._waiting:
                self._write_waiting()

    def _write_waiting(self) -> None:
        batch = []
        while self._waiting:
            batch.append(self._waiting.popleft())
        try:
            self._write(batch)
        except BaseException as error:
            for ticket in batch:
                if not ticket.done:
                    ticket.settle(error=RuntimeError(f"the commit was interrupted: {error!r}"))
            raise
        finally:
            _resolve(batch)

    def _write(self, batch: list[Ticket]) -> None:
        """Write a batch; on an error of a record's own, each record alone."""
        try:
            answers = self._write_through_outage([ticket.record for ticket in batch])
        except Exception as error:  # noqa: BLE001  (handed to the one caller it belongs to)
            if len(batch) == 1 or self._writer.is_outage(error):
                for ticket in batch:
                    ticket.settle(error=error)
                return
            for ticket in batch:
                self._write([ticket])
            return
        for ticket, answer in zip(batch, answers, strict=True):
            ticket.settle(answer)

    def _write_through_outage(self, records: list[Record]) -> list[Any]:
        """Write, and write again while the database is away; every record is idempotent."""
        give_up_at = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        while True:
            try:
                return self._writer.write(records)
            except Exception as error:
                if not self._writer.is_outage(error) or time.monotonic() + pause > give_up_at:
                    raise
                self._writer.close()
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)


def _resolve(batch: list[Ticket]) -> None:
    """Wake the coroutines of a batch, with one call for each event loop."""
    futures: dict[asyncio.AbstractEventLoop, list[asyncio.Future[Any]]] = {}
    for ticket in batch:
        if ticket.future is not None and ticket.loop is not None:
            futures.setdefault(ticket.loop, []).append(ticket.future)
    for loop, waiting in futures.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_wake, waiting)


def _wake(futures: list[asyncio.Future[Any]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
