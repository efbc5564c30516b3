"""A limit on what looking may cost: a statement that takes too long is ended by the database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, transaction

from durable_app import conf
from durable_app.errors import QueryTimeoutError
from durable_app.store import database

INSTRUCTIONS = 10_000
"""How many of SQLite's instructions, about a millisecond, pass between two looks at the clock."""

_LIMIT = """
SELECT current_setting('statement_timeout'), set_config('statement_timeout',
    CASE WHEN current_setting('statement_timeout')::interval BETWEEN interval '1 us' AND %(limit)s::interval
         THEN current_setting('statement_timeout') ELSE %(limit)s END, true)
"""


@contextmanager
def limited(at_most: float | None = None) -> Iterator[None]:
    """Let each statement in the block take no longer than ``DURABLE["QUERY_TIMEOUT"]``.

    Nor longer than ``at_most`` seconds. On SQLite the block as a whole. Raises QueryTimeoutError.
    """
    seconds = conf.options().QUERY_TIMEOUT.total_seconds()
    if at_most is not None:
        seconds = min(seconds, at_most)
    try:
        with _on_postgres(seconds) if database.is_postgres() else _on_sqlite(seconds):
            yield
    except OperationalError as error:
        if _was_ended(error.__cause__):
            raise QueryTimeoutError(seconds) from error
        raise


def _was_ended(error: BaseException | None) -> bool:
    """Return whether the driver's error is PostgreSQL's query_canceled, or SQLite's interrupt."""
    return getattr(error, "sqlstate", None) == "57014" or getattr(error, "sqlite_errorcode", None) == 9


@contextmanager
def _on_postgres(seconds: float) -> Iterator[None]:
    with transaction.atomic(using=database.alias()), database.connection().cursor() as cursor:
        cursor.execute(_LIMIT, {"limit": f"{max(1, round(seconds * 1000))}ms"})
        before = cursor.fetchone()[0]
        yield
        # The transaction may be the caller's, and go on.
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])


@contextmanager
def _on_sqlite(seconds: float) -> Iterator[None]:
    give_up_at = time.monotonic() + seconds
    found = database.connection()
    found.ensure_connection()
    driver: Any = found.connection
    driver.set_progress_handler(lambda: time.monotonic() > give_up_at, INSTRUCTIONS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
