"""Group commit: many records, one statement, one commit; in leader/follower form.

A caller appends its record; whoever finds nobody leading leads: it writes everything that waits, hands
each caller its answer and makes the first one who came meanwhile the next leader. (With a plain lock a
leader that is done takes the lock again before a waiter wakes: batches of one, a seventh of the speed.)
No extra thread, no timer: a run alone pays one round trip a record, 64 runs together share commits.
Coroutines append the same way; one helper thread leads for them, and resolves their futures in one call.
"""

import asyncio
import threading
import time
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
    """A record on its way, and its answer.

    A thread waits at the gate. It opens when the record is written, or when it is the thread's turn to
    lead.
    """

    __slots__ = ("answer", "done", "error", "future", "gate", "loop", "may_lead", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.done = False
        self.answer: Any = None
        self.error: Exception | None = None
        self.gate: threading.Lock | None = None
        self.future: asyncio.Future[Any] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.may_lead = True

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
        self._guard = threading.Lock()
        self._waiting: list[Ticket] = []
        self._led = False
        self._leader: Ticket | None = None
        """The ticket whose thread was told to lead and may not have begun."""
        self._writing = threading.Lock()
        self._helper: ThreadPoolExecutor | None = None

    def submit(self, record: Record) -> Any:
        """Write a record and return its answer; blocks for one commit."""
        ticket = Ticket(record)
        self._settle([ticket])
        return ticket.result()

    def submit_all(self, records: list[Record]) -> list[Any]:
        """Write records in one commit and return the answer to each, or the error that it met."""
        tickets = [Ticket(record) for record in records]
        if tickets:
            self._settle(tickets)
        return [ticket.answer if ticket.error is None else ticket.error for ticket in tickets]

    def _settle(self, tickets: list[Ticket]) -> None:
        """Block until these records are written; they go with one batch, and one gate will do."""
        first = tickets[0]
        gate = first.gate = threading.Lock()
        gate.acquire()
        if self._joins_as_leader(tickets):
            self._lead()
            return
        try:
            gate.acquire()
        except BaseException:  # KeyboardInterrupt: somebody else must lead in this thread's place
            self._leave(first)
            raise
        if not first.done:
            self._lead()

    async def asubmit(self, record: Record) -> Any:
        """Write a record and return its answer; the event loop goes on meanwhile."""
        ticket = Ticket(record)
        ticket.loop = asyncio.get_running_loop()
        ticket.future = ticket.loop.create_future()
        if self._joins_as_leader([ticket]):
            self._let_helper_lead()
        await ticket.future
        return ticket.result()

    def exclusively(self, call: Callable[[Writer], T]) -> T:
        """Use the connection between two batches."""
        with self._writing:
            return call(self._writer)

    def close(self) -> None:
        """Close the connection and end the helper thread."""
        with self._writing:
            self._writer.close()
        if self._helper is not None:
            self._helper.shutdown(wait=False)
            self._helper = None

    # Who leads

    def _joins_as_leader(self, tickets: list[Ticket]) -> bool:
        with self._guard:
            self._waiting += tickets
            leads, self._led = not self._led, True
        return leads

    def _lead(self) -> None:
        """Write what waits, then let one of those who came meanwhile lead."""
        with self._guard:
            batch, self._waiting = self._waiting, []
            self._leader = None
        try:
            with self._writing:
                self._write_or_settle(batch)
        finally:
            _wake_all(batch)
            self._hand_over()

    def _hand_over(self) -> None:
        with self._guard:
            if not self._waiting:
                self._led = False
                return
            self._leader = heir = next((t for t in self._waiting if t.gate and t.may_lead), None)
        if heir is None or heir.gate is None:
            self._let_helper_lead()
        else:
            heir.gate.release()

    def _leave(self, ticket: Ticket) -> None:
        with self._guard:
            ticket.may_lead = False
            must_replace = self._leader is ticket
        if must_replace:
            self._hand_over()

    def _let_helper_lead(self) -> None:
        if self._helper is None:  # only a leader comes here, and there is one at a time
            self._helper = ThreadPoolExecutor(1, thread_name_prefix="durable-committer")
        self._helper.submit(self._lead)

    # What a leader does

    def _write_or_settle(self, batch: list[Ticket]) -> None:
        try:
            self._write(batch)
        except BaseException as error:
            for ticket in batch:
                if not ticket.done:
                    ticket.settle(error=RuntimeError(f"the commit was interrupted: {error!r}"))
            raise

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


def _wake_all(batch: list[Ticket]) -> None:
    """Open the gates of a batch's threads; wake its coroutines, with one call for each event loop."""
    futures: dict[asyncio.AbstractEventLoop, list[asyncio.Future[Any]]] = {}
    for ticket in batch:
        if ticket.gate is not None:
            if ticket.gate.locked():  # open already if its thread was interrupted when told to lead
                ticket.gate.release()
        elif ticket.future is not None and ticket.loop is not None:
            futures.setdefault(ticket.loop, []).append(ticket.future)
    for loop, waiting in futures.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_wake, waiting)


def _wake(futures: list[asyncio.Future[Any]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
