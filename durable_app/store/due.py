"""When the next run is due for anything: one statement, for the service that waits for it."""

from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import make_aware

from durable_app.store import database

NEXT_DUE = """
SELECT (SELECT min(wake_at) FROM durable_app_workflow WHERE status = 'WAITING' AND wake_at IS NOT NULL),
       (SELECT min(run_after) FROM durable_app_workflow WHERE status = 'DELAYED'),
       (SELECT min(deadline_at) FROM durable_app_workflow
        WHERE deadline_at IS NOT NULL AND finished_at IS NULL)
"""


@database.retried
def next_due() -> datetime | None:
    """Return when the next parked or delayed run is due, or a deadline is over; None for never."""
    found = database.connection()
    with found.cursor() as cursor:
        cursor.execute(NEXT_DUE)
        row = cursor.fetchone()
    return min((_aware(value, found.timezone) for value in row if value is not None), default=None)


def _aware(value: Any, zone: Any) -> datetime:
    """Return a time as PostgreSQL gives it, or as SQLite stores it: text in the connection's zone."""
    if isinstance(value, datetime):
        return value
    parsed = parse_datetime(value)
    if parsed is None:
        raise ValueError(f"{value!r} is no time")
    return make_aware(parsed, zone)
