"""Queues as rows: their limits, changed at run time and followed by every worker; pause and resume."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from durable_app import clock
from durable_app.errors import NonExistentQueueError
from durable_app.limits import DEFAULT_QUEUE, Limits, RateLimit
from durable_app.models import Queue, QueueStart, Status, Wait, Workflow
from durable_app.registry import DeclaredQueue, registry
from durable_app.store import database, notify

# As text: the ORM took a millisecond of every claim to make this anew.
ALL_QUEUES = """
SELECT queue.*, EXISTS (
    SELECT 1 FROM durable_app_workflow AS run WHERE run.status = 'ENQUEUED' AND run.queue_name = queue.name
) AS has_ready
FROM durable_app_queue AS queue ORDER BY queue.name
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """Why nothing is taken from a queue. Times are aware datetimes."""

    since: datetime
    until: datetime | None
    """None: until somebody resumes it."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """A queue as its row has it."""

    name: str
    limits: Limits = field(default_factory=Limits)
    polling_interval: timedelta | None = None
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    pause_reason: str = ""
    declaration: str = ""
    """What code last declared it to be; empty: none does."""
    has_ready: bool = True
    """Whether a run stands in it, ready to be taken."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing is taken from it now."""
        if self.paused_at is None:
            return False
        return self.paused_until is None or clock.now() < self.paused_until

    @property
    def declared(self) -> Limits | None:
        """The limits that code declares; None if it declares no such queue."""
        return _declared(self.declaration)[0] if self.declaration else None

    @property
    def is_overridden(self) -> bool:
        """Whether somebody has set other limits than code declares."""
        said = _declaration(self.limits, self.polling_interval)
        return bool(self.declaration) and self.declaration != said

    @property
    def pause(self) -> Pause | None:
        """What keeps it from being served now, if anything does."""
        if self.paused_at is None or not self.is_paused:
            return None
        return Pause(since=self.paused_at, until=self.paused_until, reason=self.pause_reason)

    @property
    def look_again(self) -> float | None:
        """In how many seconds to look at it, if nobody wakes its workers before; None: no wish."""
        spans = [] if self.polling_interval is None else [self.polling_interval]
        if self.paused_until is not None and self.is_paused:
            spans.append(self.paused_until - clock.now())
        return min((span / timedelta(seconds=1) for span in spans), default=None)


@database.retried
def get(name: str) -> QueueState | None:
    """Return a queue, None if it has no row; the default one, and those that code declares, need none."""
    row = _rows().filter(pk=name).first()
    if row is not None:
        return state_of(row)
    return _in_code(name) or (QueueState(name=name) if name == DEFAULT_QUEUE else None)


@database.retried
def all_queues() -> list[QueueState]:
    """Return all queues by name, the default one among them; every claim begins with this statement."""
    found = [state_of(row, has_ready=row.has_ready) for row in _rows().raw(ALL_QUEUES)]
    if all(state.name != DEFAULT_QUEUE for state in found):
        found.append(QueueState(name=DEFAULT_QUEUE))
    return found


@database.retried
def known_queues() -> list[QueueState]:
    """Return all queues: those that have a row, the default one, and those that only code declares yet."""
    found = all_queues()
    names = {state.name for state in found}
    return found + [state for name in registry.queues if name not in names and (state := _in_code(name))]


def _in_code(name: str) -> QueueState | None:
    """Return a queue as code declares it, None if it declares none of this name."""
    declared = registry.queues.get(name)
    if declared is None:
        return None
    return QueueState(
        name=name,
        limits=declared.limits,
        polling_interval=declared.polling_interval,
        declaration=_declaration(declared.limits, declared.polling_interval),
    )


def free_among(names: Sequence[str]) -> list[str]:
    """Return those of these queues that have no limits and are not paused."""
    found = {row.name: state_of(row) for row in _rows().filter(pk__in=names)}
    found.setdefault(DEFAULT_QUEUE, QueueState(name=DEFAULT_QUEUE))
    return [
        name
        for name in names
        if name in found and found[name].limits.is_unlimited and not found[name].is_paused
    ]


def state_of(row: Queue, *, has_ready: bool = True) -> QueueState:
    """Return what a row says."""
    return QueueState(
        name=row.name,
        limits=row.limits,
        polling_interval=row.polling_interval,
        paused_at=row.paused_at,
        paused_until=row.paused_until,
        pause_reason=row.pause_reason,
        declaration=row.declaration,
        has_ready=has_ready,
    )


@database.retried
def register(name: str, limits: Limits, *, update: bool, polling_interval: timedelta | None = None) -> None:
    """Create a queue, or (if ``update``) give an existing one these limits."""
    values = {**columns(limits), "polling_interval": polling_interval}
    with database.transact():
        _ensure(name, **values)
        if update:
            _set(name, **values)
        _announce()


@database.retried
def declare(name: str, declared: DeclaredQueue, *, update: bool) -> None:
    """Create a queue that code declares, or (if ``update``) take over a declaration that has changed.

    Limits that an operator has set stay until the code itself says something new.
    """
    values = _declaring(declared)
    with database.transact():
        _ensure(name, **values)
        if update and _rows().filter(pk=name).exclude(declaration=values["declaration"]).exists():
            _set(name, **values)
        _announce()


def _declaring(declared: DeclaredQueue) -> dict[str, Any]:
    """Return the columns of a queue as code declares it."""
    limits, interval = declared.limits, declared.polling_interval
    return {
        **columns(limits),
        "polling_interval": interval,
        "declaration": _declaration(limits, interval),
    }


def _declaration(limits: Limits, polling_interval: timedelta | None) -> str:
    """Return what code says, in a form that a new kind of limit does not change."""
    said = limits.as_dict()
    if polling_interval is not None:
        said["polling_interval"] = polling_interval.total_seconds()
    return json.dumps(said, sort_keys=True)


def _declared(declaration: str) -> tuple[Limits, timedelta | None]:
    """Return what ``_declaration`` wrote down."""
    said: dict[str, Any] = json.loads(declaration)
    seconds = said.pop("polling_interval", None)
    for name in ("limiter", "partition_limiter"):
        said[name] = RateLimit.of(said.get(name))
    return Limits(**said), None if seconds is None else timedelta(seconds=seconds)


@database.retried
def change(
    name: str, adjust: Callable[[Limits], Limits], polling_interval: timedelta | None = None
) -> Limits:
    """Give a queue the limits that ``adjust`` makes of those it has, and a new interval if one is given.

    Returns the limits. Raises NonExistentQueueError, and what ``adjust`` raises: then nothing changes.
    """
    with database.transact():
        limits = adjust(_locked(name).limits)
        interval = {} if polling_interval is None else {"polling_interval": polling_interval}
        _set(name, **columns(limits), **interval)
        _announce()
    return limits


@database.retried
def reset(name: str) -> tuple[Limits, Limits] | None:
    """Give a queue again what code declares; return the limits before and after.

    None, having changed nothing, if code declares no such queue. Raises NonExistentQueueError.
    """
    with database.transact():
        row = _locked(name)
        if not row.declaration:
            return None
        limits, interval = _declared(row.declaration)
        _set(name, polling_interval=interval, **columns(limits))
        _announce()
    return row.limits, limits


@database.retried
def pause(name: str, until: datetime | None, reason: str) -> None:
    """Take nothing from a queue, until a time or until it is resumed; raises NonExistentQueueError."""
    with database.transact():
        _locked(name)
        _set(name, paused_at=clock.now(), paused_until=until, pause_reason=reason)
        _announce()


@database.retried
def resume(name: str) -> None:
    """Take runs from a queue again; raises NonExistentQueueError."""
    with database.transact():
        _locked(name)
        _set(name, paused_at=None, paused_until=None, pause_reason="")
        _announce()


@database.retried
def delete(name: str) -> None:
    """Delete a queue's row; runs in it stay, and wait for a queue of that name."""
    with database.transact():
        _rows().filter(pk=name).delete()
        _starts(name).delete()


@database.retried
def has_keyless(name: str) -> bool:
    """Return whether runs of a queue that have not ended have no partition key."""
    rows = Workflow._base_manager.using(database.alias()).filter(queue_name=name, partition_key__isnull=True)
    waits = Wait.objects.using(database.alias()).values("workflow_id")
    parts = [
        Q(status=one) for one in (Status.ENQUEUED, Status.PENDING, Status.DELAYED)
    ]  # a partial index each
    parts += [Q(status=Status.WAITING, wake_at__isnull=False), Q(status=Status.WAITING, pk__in=waits)]
    return any(rows.filter(part).exists() for part in parts)


def _locked(name: str) -> Queue:
    """Lock a queue's row, which that of the default queue and of declared ones may have to be made first.

    Raises NonExistentQueueError.
    """
    declared = registry.queues.get(name)
    if declared is not None:
        _ensure(name, **_declaring(declared))
    elif name == DEFAULT_QUEUE:
        _ensure(name)
    row: Queue | None = _rows().filter(pk=name).select_for_update(no_key=True).first()
    if row is None:
        raise NonExistentQueueError(name)
    return row


def _ensure(name: str, **values: Any) -> None:
    """Insert a queue unless there is one of that name."""
    if not _rows().filter(pk=name).exists():
        now = clock.now()
        new = Queue(name=name, created_at=now, updated_at=now, **values)
        _rows().bulk_create([new], ignore_conflicts=True)


def _set(name: str, **values: Any) -> None:
    _rows().filter(pk=name).update(updated_at=clock.now(), **values)
    if not (values.get("limiter_limit", True) or values.get("partition_limiter_limit", True)):
        _starts(name).delete()  # nothing counts them any more


def columns(limits: Limits) -> dict[str, Any]:
    """Return the columns that hold these limits."""
    found: dict[str, Any] = {}
    for one in fields(limits):
        value = getattr(limits, one.name)
        if one.name.endswith("limiter"):
            found[f"{one.name}_limit"] = value.limit if isinstance(value, RateLimit) else None
            found[f"{one.name}_period"] = value.period if isinstance(value, RateLimit) else None
        else:
            found[one.name] = value
    return found


def _announce() -> None:
    transaction.on_commit(notify.work, using=database.alias())


def _rows() -> Any:
    return Queue.objects.using(database.alias())


def _starts(name: str) -> Any:
    return QueueStart.objects.using(database.alias()).filter(queue=name)
