"""Code that may look at the project's databases, and write to none of them."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_READS = re.compile(
    r"\s*(?:SELECT|EXPLAIN|SHOW|PRAGMA|SET|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|WITH)\b", re.IGNORECASE
)
_WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


@contextmanager
def reading_only(refuse: Callable[[str], BaseException]) -> Iterator[None]:
    """Raise what ``refuse`` makes of a statement that writes, on any connection of Django's."""

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if _is_writing(sql):
            raise refuse(sql)
        return execute(sql, params, many, context)

    def guard(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        if wrapper not in connection.execute_wrappers:
            connection.execute_wrappers.append(wrapper)

    with ExitStack() as stack:
        connection_created.connect(guard)
        stack.callback(connection_created.disconnect, guard)
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(wrapper))
        yield


def _is_writing(sql: str) -> bool:
    found = _READS.match(sql)
    if found is None:
        return True
    return found[0].strip().upper() == "WITH" and _WRITES.search(sql) is not None
