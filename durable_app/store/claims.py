"""Claiming: the next runs for a worker, in one statement; of each queue by priority and then insertion.

The runs of queues without limits are taken here, for all such queues together; ``limited`` takes those
that must be counted.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from durable_app import clock
from durable_app.limits import DEFAULT_QUEUE, Limits
from durable_app.models import Status, Workflow
from durable_app.store import database, queues
from durable_app.store.records import Claimed

_COLUMNS = (
    "id", "workflow_id", "name", "attempt", "inputs", "serialization", "class_name", "config_name",
    "deadline_at", "user", "roles", "assumed_role",
)  # fmt: skip
"""The fields of ``Claimed``, in their order."""

_CLAIMED = """
UPDATE durable_app_workflow AS run
SET status = 'PENDING', worker_id = %(worker)s, attempt = attempt + 1,
    app_version = COALESCE(app_version, NULLIF(%(version)s, '')),
    started_at = COALESCE(started_at, %(now)s), updated_at = %(now)s,
    deadline_at = COALESCE(deadline_at, %(now)s + timeout)
"""

_RETURNING = "RETURNING {}, run.priority".format(", ".join(f'run."{name}"' for name in _COLUMNS))

READY = """
run.status = 'ENQUEUED' AND run.name = ANY(%(names)s)
AND (%(any_version)s OR run.app_version = %(version)s OR (run.app_version IS NULL AND %(unversioned)s))
"""
"""What ``ready`` says, with the parameters of ``whose``."""

_IS_FREE = " AND ".join(
    f"queue.{name} IS NULL" if value is None else f"NOT queue.{name}"
    for name, value in queues.columns(Limits()).items()
)

# What the caller knows of the queues is a moment old: only those are served that are free of limits, and
# not paused, as the statement itself sees them.
#
# The rows are selected first, behind a materialized CTE: ``UPDATE ... IN (subquery LIMIT n)`` was seen to
# take 50 rows for 1, when the planner ran the subquery once a row. One index scan a queue, and the queues
# take turns: a long backlog in one neither slows the others down nor stands before them.
CLAIM = f"""
WITH line AS MATERIALIZED (
    SELECT given.queue_name FROM unnest(%(queues)s::text[]) AS given(queue_name)
    LEFT JOIN durable_app_queue AS queue ON queue.name = given.queue_name
    WHERE CASE WHEN queue.name IS NULL THEN given.queue_name = '{DEFAULT_QUEUE}'
        ELSE {_IS_FREE} AND (queue.paused_at IS NULL OR queue.paused_until <= %(now)s) END
), ready AS MATERIALIZED (
    SELECT found.id
    FROM line
    CROSS JOIN LATERAL (
        SELECT run.id, run.priority FROM durable_app_workflow AS run
        WHERE run.queue_name = line.queue_name AND {READY}
        ORDER BY run.priority, run.id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
    ) AS found
    ORDER BY row_number() OVER (PARTITION BY line.queue_name ORDER BY found.priority, found.id),
        found.priority, found.id
    LIMIT %(limit)s
)
{_CLAIMED} FROM ready WHERE run.id = ready.id
{_RETURNING}
"""  # noqa: S608  (names from the tuple above)

TAKE = f"{_CLAIMED} WHERE run.id = ANY(%(ids)s) AND run.status = 'ENQUEUED' {_RETURNING}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimer:
    """Who claims: an incarnation, and the version its code has (empty: takes any)."""

    worker_id: str
    app_version: str = ""
    takes_unversioned: bool = True
    """Whether runs that name no version are this one's, because it is the latest."""


@database.retried
def claim(
    claimer: Claimer, names: list[str], limit: int, lines: Sequence[str] = (DEFAULT_QUEUE,)
) -> list[Claimed]:
    """Take up to ``limit`` ready runs of these names, under a new attempt each, from those of these queues
    that have no limits and are not paused.
    """
    if limit < 1 or not names or not lines:
        return []
    if not database.is_postgres():
        return _claim_one_by_one(claimer, names, limit, lines)
    return _claimed_by(
        CLAIM,
        {
            **whose(claimer, names),
            "queues": list(lines),
            "limit": limit,
            "worker": claimer.worker_id,
            "now": clock.now(),
        },
    )


def whose(claimer: Claimer, names: list[str]) -> dict[str, Any]:
    """Return the parameters of ``READY``."""
    return {
        "names": names,
        "any_version": not claimer.app_version,
        "version": claimer.app_version,
        "unversioned": claimer.takes_unversioned,
    }


def _claimed_by(statement: str, given: dict[str, Any]) -> list[Claimed]:
    with database.connection().cursor() as cursor:
        cursor.execute(statement, given)
        rows = cursor.fetchall()
    rows.sort(key=lambda row: (row[-1], row[0]))
    return [_claimed(row[:-1]) for row in rows]


def _claim_one_by_one(claimer: Claimer, names: list[str], limit: int, lines: Sequence[str]) -> list[Claimed]:
    """The same where there is one writer at a time anyway."""
    if not ready(claimer, names).filter(queue_name__in=lines).exists():
        return []  # an idle worker takes no write lock
    with database.transact():
        found: list[tuple[int, int, int]] = []
        for line in queues.free_among(lines):
            rows = ready(claimer, names).filter(queue_name=line).order_by("priority", "pk")
            first = rows.values_list("priority", "pk")[:limit]
            found += [(turn, *row) for turn, row in enumerate(first)]
        return take(claimer, [pk for _, _, pk in sorted(found)[:limit]], clock.now())


def take(claimer: Claimer, ids: list[int], now: datetime) -> list[Claimed]:
    """Take these runs, whose rows the caller's transaction has locked."""
    if not ids:
        return []
    if database.is_postgres():
        given = {"ids": ids, "worker": claimer.worker_id, "version": claimer.app_version, "now": now}
        return _claimed_by(TAKE, given)
    needed = ("timeout", "deadline_at", "started_at", "attempt", "app_version")
    for run in _rows().filter(pk__in=ids).only(*needed):
        deadline = run.deadline_at
        if deadline is None and run.timeout is not None:
            deadline = now + run.timeout
        _rows().filter(pk=run.pk).update(
            status=Status.PENDING,
            worker_id=claimer.worker_id,
            attempt=run.attempt + 1,
            app_version=run.app_version or claimer.app_version or None,
            started_at=run.started_at or now,
            updated_at=now,
            deadline_at=deadline,
        )
    rows = _rows().filter(pk__in=ids).order_by("priority", "pk").values_list(*_COLUMNS)
    return [_claimed(row) for row in rows]


def ready(claimer: Claimer, names: list[str]) -> Any:
    """Return the runs that the claimer's code can execute, and that nobody has taken."""
    found = _rows().filter(status=Status.ENQUEUED, name__in=names)
    if not claimer.app_version:
        return found
    ours = Q(app_version=claimer.app_version)
    return found.filter(ours | Q(app_version__isnull=True) if claimer.takes_unversioned else ours)


def _claimed(row: tuple[Any, ...]) -> Claimed:
    found = Claimed._make(row)
    if isinstance(found.roles, str):  # jsonb, as a cursor of Django's gives it
        return found._replace(roles=json.loads(found.roles))
    return found


@database.retried
def any_ready(claimer: Claimer, names: list[str], lines: Sequence[str]) -> bool:
    """Return whether a run of these names is ready in one of these queues."""
    return bool(ready(claimer, names).filter(queue_name__in=lines).exists())


def _rows() -> Any:
    return Workflow.objects.using(database.alias())
