"""What is kept: finished runs deleted by age or number, old active ones cancelled, batch by batch."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from durable_app import clock, control
from durable_app.engine.context import current
from durable_app.errors import InvalidOptionError, NotAllowedInWorkflowError
from durable_app.store import database, listing, retention
from durable_app.store.retention import Ended

T = TypeVar("T")

Age = timedelta | datetime | None
"""How old, or since when."""

BATCH = 1000

Batches = Iterator[Callable[[], T]]
"""Calls into the store, to be made one after the other, here or in a thread of their own."""


def prune_workflows(
    *,
    older_than: Age = None,
    keep_failed: Age = None,
    keep_newest: int | None = None,
    batch_size: int = BATCH,
) -> Iterator[int]:
    """Delete finished runs with all that belongs to them; yield how many, batch by batch.

    A run goes if it ended longer ago than ``older_than`` (a span, or a time), or is not among the
    ``keep_newest`` newest of all; failed ones stay for ``keep_failed`` if that is longer. Active runs, and
    those whose parent or child is active, always stay. Each batch is a transaction of its own. Raises
    InvalidOptionError, NotAllowedInWorkflowError.
    """
    pruning = _Pruning(older_than, keep_failed, keep_newest, batch_size)
    _refuse_in_workflow("prune_workflows")
    return (deleted for call in pruning.calls() if (deleted := call()))


async def aprune_workflows(
    *,
    older_than: Age = None,
    keep_failed: Age = None,
    keep_newest: int | None = None,
    batch_size: int = BATCH,
) -> AsyncIterator[int]:
    """Async twin of ``prune_workflows``."""
    pruning = _Pruning(older_than, keep_failed, keep_newest, batch_size)
    _refuse_in_workflow("aprune_workflows")
    for call in pruning.calls():
        if deleted := await database.acall(call):
            yield deleted


def prunable_workflows(
    *, older_than: Age = None, keep_failed: Age = None, keep_newest: int | None = None
) -> int:
    """Return how many runs ``prune_workflows`` would delete now. Raises InvalidOptionError."""
    return _Pruning(older_than, keep_failed, keep_newest, BATCH).count()


class _Pruning:
    """The batches of one pruning; each call tells where the next begins."""

    def __init__(self, older_than: Age, keep_failed: Age, keep_newest: int | None, batch_size: int) -> None:
        if older_than is None and keep_newest is None:
            raise InvalidOptionError("say which runs are to be deleted: older_than, keep_newest or both")
        if keep_newest is not None and keep_newest < 0:
            raise InvalidOptionError(f"keep_newest must not be below zero, but is {keep_newest}")
        if batch_size < 1:
            raise InvalidOptionError(f"batch_size must be at least 1, not {batch_size}")
        self._before = _moment("older_than", older_than)
        self._failed_before = _moment("keep_failed", keep_failed)
        self._keep_newest = keep_newest
        self._size = batch_size

    def count(self) -> int:
        """Return how many runs would go."""
        newest = self._keep_newest
        below = None if newest is None else retention.oldest_to_keep(newest)
        return retention.count(list(self._ended()), below)

    def calls(self) -> Batches[int]:
        """Yield a call for each batch."""
        for ended in self._ended():
            yield from self._ended_calls(ended)
        if self._keep_newest is not None:
            yield from self._beyond_calls(self._keep_newest)

    def _ended(self) -> Iterator[Ended]:
        if self._before is None:
            return
        if self._failed_before is None:
            yield Ended(before=self._before)
            return
        yield Ended(before=self._before, statuses=retention.FINE)
        yield Ended(before=min(self._before, self._failed_before), statuses=retention.FAILED)

    def _ended_calls(self, ended: Ended) -> Batches[int]:
        after: Any = None
        more = True

        def delete() -> int:
            nonlocal after, more
            batch = retention.delete_ended(ended, self._size, after)
            after, more = batch.last, batch.last is not None
            return batch.deleted

        while more:
            yield delete

    def _beyond_calls(self, count: int) -> Batches[int]:
        boundary: int | None = 0
        after: int | None = 0

        def find() -> int:
            nonlocal boundary
            boundary = retention.oldest_to_keep(count)
            return 0

        def delete() -> int:
            nonlocal after
            deleted, after = retention.delete_below(boundary or 0, self._size, after or 0)
            return deleted

        yield find
        while boundary is not None and after is not None:
            yield delete


def cancel_workflows_created_before(
    cutoff: datetime | str, *, batch_size: int = BATCH
) -> Iterator[list[str]]:
    """Cancel all active runs that were created before a time; yield their ids, batch by batch.

    Raises InvalidOptionError, NotAllowedInWorkflowError.
    """
    calls = _cancellations(cutoff, batch_size)
    _refuse_in_workflow("cancel_workflows_created_before")
    return (ids for call in calls if (ids := call()))


async def acancel_workflows_created_before(
    cutoff: datetime | str, *, batch_size: int = BATCH
) -> AsyncIterator[list[str]]:
    """Async twin of ``cancel_workflows_created_before``."""
    calls = _cancellations(cutoff, batch_size)
    _refuse_in_workflow("acancel_workflows_created_before")
    for call in calls:
        if ids := await database.acall(call):
            yield ids


def _cancellations(cutoff: datetime | str, batch_size: int) -> Batches[list[str]]:
    moment = listing.moment("cutoff", cutoff)
    if moment is None or batch_size < 1:
        raise InvalidOptionError("a cutoff is a time, and batch_size at least 1")
    return _cancellation_calls(moment, batch_size)


def _cancellation_calls(cutoff: datetime, batch_size: int) -> Batches[list[str]]:
    after = 0
    more = True

    def cancel() -> list[str]:
        nonlocal after, more
        found = retention.active_created_before(cutoff, batch_size, after)
        more = len(found) == batch_size
        after = found[-1][0] if found else after
        return control.cancel([workflow_id for _, workflow_id in found])

    while more:
        yield cancel


def _moment(name: str, age: Age) -> datetime | None:
    if not isinstance(age, timedelta):
        return listing.moment(name, age)
    if age < timedelta(0):
        raise InvalidOptionError(f"{name} must not be below zero, but is {age}")
    return clock.now() - age


def _refuse_in_workflow(verb: str) -> None:
    scope = current.get()
    if scope is not None and scope.step is None:
        raise NotAllowedInWorkflowError(verb)
