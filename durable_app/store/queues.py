"""Claiming: the next runs for a worker, in one statement, by priority and then insertion."""

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from durable_app import clock
from durable_app.models import Status, Workflow
from durable_app.store import database, notify
from durable_app.store.records import Claimed

_COLUMNS = (
    "id", "workflow_id", "name", "attempt", "inputs", "class_name", "config_name", "deadline_at",
    "user", "roles", "assumed_role", "recovery_attempts",
)  # fmt: skip

# The rows are selected first, behind a materialized CTE: ``UPDATE ... IN (subquery LIMIT n)`` was seen to
# take 50 rows for 1, when the planner ran the subquery once a row.
CLAIM = f"""
WITH ready AS MATERIALIZED (
    SELECT id FROM durable_app_workflow
    WHERE status = 'ENQUEUED' AND name = ANY(%(names)s)
      AND (app_version IS NULL OR %(version)s = '' OR app_version = %(version)s)
    ORDER BY priority, id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE durable_app_workflow AS run
SET status = 'PENDING', worker_id = %(worker)s, attempt = attempt + 1,
    started_at = COALESCE(started_at, %(now)s), updated_at = %(now)s,
    deadline_at = COALESCE(deadline_at, %(now)s + timeout)
FROM ready WHERE run.id = ready.id
RETURNING {", ".join(f'run."{name}"' for name in _COLUMNS)}, run.priority
"""  # noqa: S608  (names from the tuple above)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimer:
    """Who claims: an incarnation, and the version its code has (empty: takes any)."""

    worker_id: str
    app_version: str = ""


@database.retried
def claim(claimer: Claimer, names: list[str], limit: int) -> list[Claimed]:
    """Take up to ``limit`` ready runs of these names under a new attempt each."""
    if limit < 1 or not names:
        return []
    if not database.is_postgres():
        return _claim_one_by_one(claimer, names, limit)
    given: dict[str, Any] = {
        "names": names,
        "version": claimer.app_version,
        "limit": limit,
        "worker": claimer.worker_id,
        "now": clock.now(),
    }
    with database.connection().cursor() as cursor:
        cursor.execute(CLAIM, given)
        rows = cursor.fetchall()
    rows.sort(key=lambda row: (row[-1], row[0]))
    return [_claimed(row[:-1]) for row in rows]


def _claim_one_by_one(claimer: Claimer, names: list[str], limit: int) -> list[Claimed]:
    """The same where there is one writer at a time anyway."""
    if not _ready(claimer, names).exists():
        return []  # an idle worker takes no write lock
    now = clock.now()
    with database.transact():
        ids = list(_ready(claimer, names).order_by("priority", "pk").values_list("pk", flat=True)[:limit])
        for run in _rows().filter(pk__in=ids).only("timeout", "deadline_at", "started_at", "attempt"):
            deadline = run.deadline_at
            if deadline is None and run.timeout is not None:
                deadline = now + run.timeout
            _rows().filter(pk=run.pk).update(
                status=Status.PENDING,
                worker_id=claimer.worker_id,
                attempt=run.attempt + 1,
                started_at=run.started_at or now,
                updated_at=now,
                deadline_at=deadline,
            )
        rows = _rows().filter(pk__in=ids).order_by("priority", "pk").values_list(*_COLUMNS)
        return [_claimed(row) for row in rows]


def _ready(claimer: Claimer, names: list[str]) -> Any:
    ready = _rows().filter(status=Status.ENQUEUED, name__in=names)
    if claimer.app_version:
        ready = ready.filter(Q(app_version__isnull=True) | Q(app_version=claimer.app_version))
    return ready


def _claimed(row: tuple[Any, ...]) -> Claimed:
    values = dict(zip(_COLUMNS, row, strict=True))
    if isinstance(values["roles"], str):  # jsonb, as a cursor of Django's gives it
        values["roles"] = json.loads(values["roles"])
    return Claimed(run=values.pop("id"), has_history=values["attempt"] > 1, **values)


@database.retried
def release_delayed(limit: int = 1000) -> int:
    """Move delayed runs whose time has come into the queue; return how many."""
    now = clock.now()
    with database.transact():
        due = list(
            _rows()
            .filter(status=Status.DELAYED, run_after__lte=now)
            .order_by("run_after")
            .select_for_update(skip_locked=True, no_key=True)
            .values_list("pk", flat=True)[:limit]
        )
        moved = _rows().filter(pk__in=due, status=Status.DELAYED)
        count: int = moved.update(status=Status.ENQUEUED, enqueued_at=now, updated_at=now)
    if count:
        notify.work()
    return count


@database.retried
def any_ready(claimer: Claimer, names: list[str]) -> bool:
    """Return whether a run of these names is ready to be claimed."""
    return bool(_ready(claimer, names).exists())


def _rows() -> Any:
    return Workflow.objects.using(database.alias())
