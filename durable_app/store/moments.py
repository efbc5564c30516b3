"""From a time to a place among rows: ``created_at`` has no index, but ids are in its order."""

from datetime import datetime
from typing import Any

from durable_app.models import AuditEvent, Workflow
from durable_app.store import database

BLOCK = 100
"""Rows that a probe looks at: an imported run among them, older than its neighbours, does not mislead it."""

_SEARCH = """
WITH RECURSIVE search(low, high) AS (
    SELECT (SELECT COALESCE(MIN(id), 0) FROM {table}), (SELECT COALESCE(MAX(id), 0) + 1 FROM {table})
    UNION ALL
    SELECT CASE WHEN {probe} < %s THEN (low + high) / 2 + 1 ELSE low END,
           CASE WHEN {probe} < %s THEN high ELSE (low + high) / 2 END
    FROM search WHERE low < high
)
SELECT MAX(low) FROM search
"""

_PROBE = """(
    SELECT MAX({column}) FROM (
        SELECT {column} FROM {table} WHERE id <= (low + high) / 2 ORDER BY id DESC LIMIT {block}
    ) AS block
)"""


def first_since(time: datetime) -> int:
    """Return a run's number that no run created since ``time`` is below: a binary search in one statement.

    Runs may be above it that are older. Of more than ``BLOCK`` runs imported one after the other, older ones
    beside them may be missed: a window is a look at what happened, not a promise.
    """
    return _search(Workflow, "created_at", time)


def first_event_since(time: datetime) -> int:
    """Return an audit event's number that none recorded since ``time`` is below."""
    return _search(AuditEvent, "at", time)


@database.retried
def _search(model: Any, column: str, time: datetime) -> int:
    found = database.connection()
    table = found.ops.quote_name(model._meta.db_table)
    probe = _PROBE.format(table=table, column=found.ops.quote_name(column), block=BLOCK)
    adapted = found.ops.adapt_datetimefield_value(time)
    with found.cursor() as cursor:
        cursor.execute(_SEARCH.format(table=table, probe=probe), [adapted, adapted])
        return int(cursor.fetchone()[0])
