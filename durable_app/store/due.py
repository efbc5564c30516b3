"""When the next run is due for anything, and the next tick: one statement, for the service that waits."""

from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime
from django.utils.timezone import make_aware

from durable_app.store import database

NEXT_DUE = """
SELECT (SELECT min(wake_at) FROM durable_app_workflow WHERE status = 'WAITING' AND wake_at IS NOT NULL),
       (SELECT min(run_after) FROM durable_app_workflow WHERE status = 'DELAYED'),
       (SELECT min(deadline_at) FROM durable_app_workflow
        WHERE deadline_at IS NOT NULL AND finished_at IS NULL),
       (SELECT min(next_at) FROM durable_app_schedule WHERE next_at IS NOT NULL)
"""


class NextDue(NamedTuple):
    """When the next thing is due of two kinds; None for never."""

    run: datetime | None
    tick: datetime | None


@database.retried
def next_due() -> NextDue:
    """Return when the next parked or delayed run is due, or a deadline is over; and the next tick."""
    found = database.connection()
    with found.cursor() as cursor:
        cursor.execute(NEXT_DUE)
        row = cursor.fetchone()
    *runs, tick = [None if value is None else _aware(value, found.timezone) for value in row]
    return NextDue(run=min((one for one in runs if one is not None), default=None), tick=tick)


def _aware(value: Any, zone: Any) -> datetime:
    """Return a time as PostgreSQL gives it, or as SQLite stores it: text in the connection's zone."""
    if isinstance(value, datetime):
        return value
    parsed = parse_datetime(value)
    if parsed is None:
        raise ValueError(f"{value!r} is no time")
    return make_aware(parsed, zone)
