"""Letting others write: SQLite's lock goes to whoever asks at the right moment, not to who asked first."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from durable_app.store import database

LONGEST = 0.2
"""Seconds of a rest."""


@contextmanager
def giving_way() -> Iterator[None]:
    """Rest after a short transaction in the block, one of many, for as long as it took.

    Who waits for SQLite's lock looks at it now and then, and gives up after seconds: one transaction right
    behind the other would keep it from them. Elsewhere, and in a transaction of the caller's, nobody rests.
    """
    began = time.monotonic()
    yield
    if not database.is_postgres() and not database.joins_caller():
        time.sleep(min(time.monotonic() - began, LONGEST))
