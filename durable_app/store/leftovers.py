"""Transactions that user code left open on its thread: nobody after it may inherit them.

Neither a step's record nor a run's outcome may join one: it would vanish with it.
"""

from collections.abc import Iterable

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_app.errors import TransactionLeftOpenError
from durable_app.store import database


def refuse(what: str) -> None:
    """Raise TransactionLeftOpenError if the code that has just ended left a transaction open here."""
    left = roll_back()
    if left:
        raise TransactionLeftOpenError(what, left[0])


async def arefuse(what: str) -> None:
    """Like ``refuse``, for a coroutine run."""
    if _has_thread():
        await sync_to_async(refuse)(what)


def roll_back() -> list[str]:
    """Roll back this thread's open transactions, but for a ``TestCase``'s own; return their aliases."""
    left = [found for found in connections.all(initialized_only=True) if database.in_transaction(found.alias)]
    for found in left:
        try:
            _unwind(found)
        except Error:
            found.close()
        if database.in_transaction(found.alias):
            found.close()
            del connections[found.alias]
    return [found.alias for found in left]


async def aroll_back() -> None:
    """Like ``roll_back``, for a coroutine run."""
    if _has_thread():
        await sync_to_async(roll_back)()


def close_finished_connections() -> list[BaseDatabaseWrapper]:
    """Between two runs: close this thread's connections that are broken or too old; return the others."""
    kept = []
    for found in connections.all(initialized_only=True):
        if found.connection is None:
            continue
        if found.in_atomic_block or not found.get_autocommit():
            found.close()  # a run left its transaction open: never let the next one inherit it
            del connections[found.alias]
            continue
        found.close_if_unusable_or_obsolete()
        if found.connection is not None:
            kept.append(found)
    return kept


def close_kept(kept: Iterable[BaseDatabaseWrapper]) -> None:
    """Close connections of threads that have ended."""
    for found in kept:
        found.inc_thread_sharing()
        found.close()


def close_connections() -> None:
    """Close the connections of a thread that ends, in whatever state they are."""
    roll_back()
    database.close_thread_connections()


def _has_thread() -> bool:
    """Return whether this coroutine run has made ORM calls: only then it has a thread for them."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    return context is not None and context in SyncToAsync.context_to_thread_executor


def _unwind(found: BaseDatabaseWrapper) -> None:
    """Leave the open ``atomic()`` blocks as an exception would."""
    while found.in_atomic_block and database.in_transaction(found.alias):
        found.atomic_blocks[-1].__exit__(TransactionLeftOpenError, None, None)
    if not found.in_atomic_block and not found.get_autocommit():
        found.rollback()
        found.set_autocommit(True)
