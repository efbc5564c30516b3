"""The database's alias, its connections and transactions; the only file that asks for the vendor.

Three kinds of connection are used. The process's committer has one of its own for the hot path. Store
functions use the Django connection of the thread they run on: in a thread of the user's that is the
user's, elsewhere ``call`` moves them to a small pool, so that a process's connections stay few. Inside a
transaction of the caller's (or of a ``TestCase``) everything joins that transaction.
"""

import asyncio
import atexit
import functools
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.core import mail
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import InterfaceError, ProgrammingError

from durable_app import clock, conf
from durable_app.errors import DatabaseNotReadyError
from durable_app.store.committer import Committer
from durable_app.store.records import Record

logger = logging.getLogger("durable_app")

P = ParamSpec("P")
R = TypeVar("R")

_role = threading.local()

STORE_THREADS = 2
"""Connections that the threads and coroutines of a worker share for what is not on the hot path."""


def alias() -> str:
    """Return the alias of the engine's database."""
    return conf.options().DATABASE


def connection(using: str | None = None) -> BaseDatabaseWrapper:
    """Return this thread's Django connection to the engine's (or the named) database."""
    return connections[using or alias()]


def is_postgres(using: str | None = None) -> bool:
    """Return whether the database is PostgreSQL."""
    return connection(using).vendor == "postgresql"


def is_pooled() -> bool:
    """Return whether a transaction pooler stands before the database (Django's own switch for it)."""
    return bool(connection().settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def in_memory() -> bool:
    """Return whether the database is SQLite without a file, which only its own threads can see."""
    return _is_in_memory(connection())


def _is_in_memory(found: BaseDatabaseWrapper) -> bool:
    return found.vendor == "sqlite" and bool(found.is_in_memory_db())  # type: ignore[attr-defined]


# Whose transaction


def in_transaction(using: str | None = None) -> bool:
    """Return whether this thread has a transaction open that some code of the user's will end."""
    found = connection(using)
    if not found.in_atomic_block:
        return joins_caller(using)  # autocommit is switched off
    return not _is_test_wrapping(found)


def joins_caller(using: str | None = None) -> bool:
    """Return whether writes belong on this thread's connection: in a transaction, or a test's."""
    return _is_joined(connection(using))


def _is_joined(found: BaseDatabaseWrapper) -> bool:
    return found.in_atomic_block or (found.connection is not None and not found.autocommit)


def _is_test_wrapping(found: BaseDatabaseWrapper) -> bool:
    """Return whether all open blocks are those a ``TestCase`` put around its test."""
    return all(getattr(block, "_from_testcase", False) for block in found.atomic_blocks)


def under_test() -> bool:
    """Return whether Django's test environment is set up in this process."""
    return "outbox" in vars(mail)


# Transactions of the store's own


@contextmanager
def transact(using: str | None = None) -> Iterator[BaseDatabaseWrapper]:
    """Open a transaction whose first statement writes, so that SQLite never has to upgrade a lock."""
    name = using or alias()
    found = connections[name]
    outermost = not found.in_atomic_block
    with transaction.atomic(using=name):
        if outermost and found.vendor == "sqlite":
            with found.cursor() as cursor:
                cursor.execute("UPDATE durable_app_worker SET name = name WHERE 0")
        yield found


def retried(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a store function: it is one transaction, run again after a passing database error.

    Deadlocks, serialization failures, lost connections and lock time-outs are retried for as long as a
    lease lasts. Inside a transaction of the caller's nothing is retried: that is the caller's to do.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if connection().in_atomic_block:
            return function(*args, **kwargs)
        give_up_at = time.monotonic() + conf.options().LEASE.total_seconds()
        pause = 0.005
        _role.repeats = False
        while True:
            try:
                return function(*args, **kwargs)
            except (OperationalError, InterfaceError) as error:
                if not is_transient(error) or time.monotonic() + pause > give_up_at:
                    _explain(error)  # SQLite's "no such table" is an OperationalError
                    raise
                _role.repeats = True
                connection().close_if_unusable_or_obsolete()
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
                pause = min(pause * 2, 1.0)
            except ProgrammingError as error:
                _explain(error)
                raise

    return wrapper


def is_repeating() -> bool:
    """Return whether the store function on this thread runs again: its first COMMIT may have landed."""
    return getattr(_role, "repeats", False)


def is_transient(error: BaseException) -> bool:
    """Return whether a Django database error may pass by itself."""
    cause = error.__cause__
    if cause is None:
        return isinstance(error, InterfaceError)
    return isinstance(error, InterfaceError) or _outage_test()(cause)


def is_outage(error: BaseException) -> bool:
    """Return whether an error, the driver's or Django's, tells that the database is away."""
    causes = [one for one in (error, error.__cause__) if one is not None]
    return any(map(_outage_test(), causes))


@functools.cache
def _outage_test() -> Callable[[BaseException], bool]:
    if is_postgres():
        from durable_app.store import postgres  # noqa: PLC0415  (psycopg is there only where it is used)

        return postgres.is_outage
    from durable_app.store import sqlite  # noqa: PLC0415

    return sqlite.is_outage


def _explain(error: Exception) -> None:
    """Raise DatabaseNotReadyError if that is what a database error comes from."""
    text = str(error)
    if "durable_app_" in text and ("does not exist" in text or "no such table" in text):
        raise DatabaseNotReadyError(
            f"The engine's tables are missing in the database {alias()!r}: run "
            f"`python manage.py migrate`. ({text.splitlines()[0]})"
        ) from error


# The hot path


class _Process:
    """What this process holds open towards the database."""

    def __init__(self, found: BaseDatabaseWrapper, committer: Committer, writer: Any) -> None:
        self.pid = os.getpid()
        self.alias = found.alias
        self.settings = found.settings_dict  # one dict for all threads; tests change its NAME
        self.name = self.settings["NAME"]
        self.committer = committer
        self.writer = writer

    @property
    def is_current(self) -> bool:
        """Whether it was opened by this process, for the database that is in use now."""
        return self.settings["NAME"] == self.name and self.alias == alias() and self.pid == os.getpid()


_process: _Process | None = None
_opening = threading.Lock()


def committer() -> Committer:
    """Return the process's committer; a forked child or another test database gets a new one."""
    return _current().committer


def _current() -> _Process:
    global _process
    found = _process
    if found is not None and found.is_current:
        return found
    with _opening:
        if _process is None or not _process.is_current:
            stale, _process = _process, _open()
            if stale is not None and stale.pid == os.getpid():
                stale.committer.close()
        return _process


def _open() -> _Process:
    found = connection()
    writer: Any
    if is_postgres():
        from durable_app.store.postgres import PostgresWriter  # noqa: PLC0415

        writer = PostgresWriter(found.get_connection_params(), pooled=is_pooled())
    elif found.vendor == "sqlite":
        from durable_app.store.sqlite import SQLiteWriter  # noqa: PLC0415

        params = found.get_connection_params()
        params.pop("transaction_mode", None)
        params.pop("init_command", None)
        writer = SQLiteWriter(params, adapt=found.ops.adapt_datetimefield_value)
    else:
        raise DatabaseNotReadyError(
            f"The database {alias()!r} is {found.vendor}; the engine runs on PostgreSQL and SQLite. "
            f"Name another alias in DURABLE['DATABASE']."
        )
    patience = conf.options().LEASE.total_seconds()
    return _Process(found, Committer(writer, patience=patience), writer)


def commit(record: Record) -> Any:
    """Write one record: in the caller's transaction if there is one, else with the next group commit."""
    if _must_join():
        return _commit_here(record)
    try:
        return committer().submit(record)
    except Exception as error:
        _explain(error)
        raise


def commit_all(records: list[Record]) -> list[Any]:
    """Write records in one commit; return the answer to each, or the error that it met."""
    if not _must_join():
        return committer().submit_all(records)
    answers: list[Any] = []
    for record in records:
        try:
            answers.append(_commit_here(record))
        except Exception as error:  # noqa: BLE001  (the caller's, who has one record of many)
            answers.append(error)
    return answers


async def acommit(record: Record) -> Any:
    """Write one record from a coroutine."""
    if under_test() and await _amust_join():
        return await sync_to_async(_commit_here)(record)
    try:
        return await committer().asubmit(record)
    except Exception as error:
        _explain(error)
        raise


def _must_join() -> bool:
    found = connection()
    if under_test() and not getattr(_role, "borrows", False):
        # A test that declared no database is stopped here; a connection of our own must be no way around.
        found.cursor().close()
    return _is_joined(found) or _is_in_memory(found)


async def _amust_join() -> bool:
    if SyncToAsync.thread_sensitive_context.get(None) is not None:
        return in_memory()  # a worker's run: its ORM thread, if it has one, is nobody else's
    return await sync_to_async(_must_join)()


def _commit_here(record: Record) -> Any:
    found = connection()
    if found.in_atomic_block:
        return write_within([record])[0]  # no conflict raises: no savepoint is needed
    with transact():
        return write_within([record])[0]


def write_within(records: list[Record]) -> list[Any]:
    """Write records in the transaction that is open on this thread."""
    found = connection()
    found.ensure_connection()
    with found.wrap_database_errors:  # the writer talks to the driver: `retried` knows Django's errors
        return _current().writer.write_within(found.connection, records)  # type: ignore[no-any-return]


@atexit.register
def close() -> None:
    """Close what this process holds open (at its end; between tests)."""
    global _process, _pool
    with _opening:
        found, _process = _process, None
        pool, _pool = _pool, None
    if found is not None and found.pid == os.getpid():
        found.committer.close()
    if pool is not None and pool[0] == os.getpid():
        pool[1].shutdown(wait=True)
        _close_pooled()


# Where store functions run

_pool: tuple[int, ThreadPoolExecutor] | None = None


def borrow_connections() -> None:
    """Mark this thread as one of a worker's: store functions move to the shared connections."""
    _role.borrows = True


def call(function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Run a store function where this thread's database work belongs."""
    if getattr(_role, "borrows", False) and not connection().in_atomic_block:
        return _store_pool().submit(function, *args, **kwargs).result()
    return function(*args, **kwargs)


async def acall(function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Run a store function from a coroutine."""
    if under_test() and await _amust_join():
        return await sync_to_async(function)(*args, **kwargs)
    future = _store_pool().submit(function, *args, **kwargs)
    return await asyncio.wrap_future(future)


_pooled: list[BaseDatabaseWrapper] = []
"""The connections of the pool's threads, which are closed when the pool is."""


def _note_connection() -> None:
    _pooled.append(connection())


def _close_pooled() -> None:
    while _pooled:
        found = _pooled.pop()
        found.inc_thread_sharing()  # it was opened by a thread that has ended
        found.close()


def _store_pool() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603
    with _opening:
        if _pool is None or _pool[0] != os.getpid():
            _pool = (os.getpid(), ThreadPoolExecutor(STORE_THREADS, "durable-store", _note_connection))
        return _pool[1]


def close_thread_connections() -> None:
    """Close this thread's Django connections, unless a transaction is open on one."""
    for name in connections:
        found = connections[name]
        if not found.in_atomic_block:
            found.close()


def synchronize_clock() -> None:
    """Take over the database's time."""
    found = connection()
    if found.vendor == "postgresql":
        with found.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            clock.synchronize(cursor.fetchone()[0])
    else:
        clock.synchronize(datetime.now(UTC))
