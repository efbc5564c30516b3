"""When the next run is due for anything, and the next tick: one statement, for the service that waits."""

from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime
from django.utils.timezone import make_aware

from durable_app.store import database, waits

NEXT_DUE = f"""
SELECT (SELECT min(wake_at) FROM durable_app_workflow WHERE status = 'WAITING' AND wake_at IS NOT NULL),
       (SELECT min(run_after) FROM durable_app_workflow WHERE status = 'DELAYED'),
       (SELECT min(deadline_at) FROM durable_app_workflow
        WHERE deadline_at IS NOT NULL AND finished_at IS NULL),
       (SELECT min(next_at) FROM durable_app_schedule WHERE next_at IS NOT NULL),
       EXISTS (SELECT 1 FROM durable_app_wait WHERE key = '{waits.CANCEL}'),
       EXISTS (SELECT 1 FROM durable_app_workflow WHERE status = 'ENQUEUED')
"""  # noqa: S608  (a key of our own)


class NextDue(NamedTuple):
    """When the next thing is due of two kinds, None for never; and what is due at once."""

    run: datetime | None
    tick: datetime | None
    has_requests: bool
    """Whether runs are to be cancelled that were locked when that was asked for."""
    has_ready: bool
    """Whether runs stand in queues, ready to be taken."""


@database.retried
def next_due() -> NextDue:
    """Return when the next parked or delayed run is due, or a deadline is over; and the next tick."""
    found = database.connection()
    with found.cursor() as cursor:
        cursor.execute(NEXT_DUE)
        row = cursor.fetchone()
    *times, has_requests, has_ready = row
    *runs, tick = [None if value is None else _aware(value, found.timezone) for value in times]
    first = min((one for one in runs if one is not None), default=None)
    return NextDue(run=first, tick=tick, has_requests=bool(has_requests), has_ready=bool(has_ready))


def _aware(value: Any, zone: Any) -> datetime:
    """Return a time as PostgreSQL gives it, or as SQLite stores it: text in the connection's zone."""
    if isinstance(value, datetime):
        return value
    parsed = parse_datetime(value)
    if parsed is None:
        raise ValueError(f"{value!r} is no time")
    return make_aware(parsed, zone)
