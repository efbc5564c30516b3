"""Recording the ends of runs whose thread has gone on to the next run: one commit for many."""

import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from durable_app.engine.flow import Flow, advance
from durable_app.store import database, leftovers
from durable_app.store.records import Outcome, Verdict

logger = logging.getLogger("durable_app")


class End(NamedTuple):
    """A run that has executed; its flow waits for the answer to its outcome."""

    flow: Flow[None]
    outcome: Outcome
    context: contextvars.Context


class Ends:
    """Records outcomes, all that have come meanwhile at a time, and lets their flows end.

    ``on_done`` is called for each. What is left to do after a plain answer is next to nothing; a flow that
    must do more goes on in a thread of its own, of which there are ``threads`` at most.
    """

    def __init__(self, threads: int, on_done: Callable[[], None]) -> None:
        self._pool = ThreadPoolExecutor(threads, "durable-end", initializer=database.borrow_connections)
        self._on_done = on_done
        self._guard = threading.Lock()
        self._pending: list[End] = []
        self._recording = False
        self._kept: set[Any] = set()
        """Connections that the threads keep from end to end."""

    def add(self, end: End) -> None:
        """Take over a run's end."""
        with self._guard:
            self._pending.append(end)
            starts, self._recording = not self._recording, True
        if starts:
            self._pool.submit(self._record)

    def shut_down(self, *, wait: bool) -> None:
        """Take no more ends."""
        self._pool.shutdown(wait=wait, cancel_futures=True)
        if wait:
            leftovers.close_kept(self._kept)

    def _record(self) -> None:
        while batch := self._batch():
            for end, answer in zip(batch, _answers(batch), strict=True):
                if answer is Verdict.WRITTEN:
                    self._finish(end, answer)
                else:
                    self._pool.submit(self._finish_alone, end, answer)
            self._kept.update(leftovers.close_finished_connections())

    def _batch(self) -> list[End]:
        with self._guard:
            batch, self._pending = self._pending, []
            self._recording = bool(batch)
        return batch

    def _finish_alone(self, end: End, answer: Any) -> None:
        self._finish(end, answer)
        self._kept.update(leftovers.close_finished_connections())

    def _finish(self, end: End, answer: Any) -> None:
        """Let a flow end, or handle its refusal or error itself."""
        resume = end.flow.throw if isinstance(answer, BaseException) else end.flow.send
        try:
            end.context.run(advance, end.flow, resume, answer)
        except BaseException:
            logger.exception("Execution ended without an outcome")
        finally:
            self._on_done()


def _answers(batch: list[End]) -> list[Any]:
    try:
        return database.commit_all([end.outcome for end in batch])
    except Exception as error:  # noqa: BLE001  (each flow's own to handle)
        return [error] * len(batch)
