"""``DBOS.sql_session``: SQL inside a transaction, on the connection that Django's models use there.

It has the few methods that programs use most; the ORM itself is there too, and joins the same transaction.
"""

import re
from collections import namedtuple
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from durable_app.dbos.error import DBOSException

PARAMETER = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
""":name, but neither ::type nor 12:30."""


class Result:
    """The rows of a statement; each is a named tuple."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = iter(rows)
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        return list(self._rows)

    all = fetchall

    def fetchone(self) -> Any:
        """Return the next row, None if there is none."""
        return next(self._rows, None)

    first = fetchone

    def one(self) -> Any:
        """Return the only row; raises DBOSException for none, or more."""
        rows = self.fetchall()
        if len(rows) != 1:
            raise DBOSException(f"one row was expected, and there are {len(rows)}.")
        return rows[0]

    def scalar(self) -> Any:
        """Return the first value of the next row, None if there is none."""
        row = self.fetchone()
        return None if row is None else row[0]

    def scalar_one(self) -> Any:
        """Return the first value of the only row; raises DBOSException for none, or more."""
        return self.one()[0]


class Session:
    """SQL on the open transaction."""

    def execute(self, statement: object, parameters: Mapping[str, Any] | None = None) -> Result:
        """Execute a statement with ``:name`` parameters: a text, or what is one by ``str()``."""
        sql = PARAMETER.sub(r"%(\1)s", str(statement).replace("%", "%%"))
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(sql, dict(parameters or {}))
            if cursor.description is None:
                return Result([], cursor.rowcount)
            make = namedtuple("Row", [column[0] for column in cursor.description], rename=True)  # type: ignore[misc]
            return Result([make(*row) for row in cursor.fetchall()], cursor.rowcount)


def session() -> Session:
    """Return the session; raises DBOSException outside a transaction."""
    if not connections[DEFAULT_DB_ALIAS].in_atomic_block:
        raise DBOSException("DBOS.sql_session is there inside a @DBOS.transaction() only.")
    return Session()
