"""Queues as rows: their limits, changed at run time and followed by every worker; pause and resume."""

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from durable_app import clock
from durable_app.limits import DEFAULT_QUEUE, Limits, RateLimit
from durable_app.models import Queue, Status, Workflow
from durable_app.store import database, notify


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
    has_ready: bool = True
    """Whether a run stands in it, ready to be taken."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing is taken from it now."""
        if self.paused_at is None:
            return False
        return self.paused_until is None or clock.now() < self.paused_until


@database.retried
def get(name: str) -> QueueState | None:
    """Return a queue, None if it has no row."""
    row = _rows().filter(pk=name).first()
    return None if row is None else _state(row)


@database.retried
def all_queues() -> list[QueueState]:
    """Return all queues by name; the default one is there even without a row."""
    waiting = Workflow.objects.using(database.alias()).filter(
        status=Status.ENQUEUED, queue_name=OuterRef("pk")
    )
    rows = _rows().annotate(has_ready=Exists(waiting.order_by())).order_by("pk")
    found = [_state(row, has_ready=row.has_ready) for row in rows]
    if all(state.name != DEFAULT_QUEUE for state in found):
        found.append(QueueState(name=DEFAULT_QUEUE))
    return found


def _state(row: Queue, *, has_ready: bool = True) -> QueueState:
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


def _columns(limits: Limits) -> dict[str, Any]:
    """Return the columns that hold these limits."""
    columns: dict[str, Any] = {}
    for one in fields(limits):
        value = getattr(limits, one.name)
        if one.name.endswith("limiter"):
            columns[f"{one.name}_limit"] = value.limit if isinstance(value, RateLimit) else None
            columns[f"{one.name}_period"] = value.period if isinstance(value, RateLimit) else None
        else:
            columns[one.name] = value
    return columns


@database.retried
def register(name: str, limits: Limits, *, update: bool, polling_interval: timedelta | None = None) -> None:
    """Create a queue, or (if ``update``) give an existing one these limits."""
    values = {**_columns(limits), "polling_interval": polling_interval}
    with database.transact():
        if not _create(name, **values) and update:
            _rows().filter(pk=name).update(updated_at=clock.now(), **values)
        _announce()


@database.retried
def declare(name: str, limits: Limits, *, polling_interval: timedelta | None, update: bool) -> None:
    """Create a queue that code declares, or (if ``update``) take over a declaration that has changed.

    Limits that an operator has set stay until the code itself says something new.
    """
    values = {**_columns(limits), "polling_interval": polling_interval}
    declaration = repr((limits, polling_interval))
    with database.transact():
        if _create(name, declaration=declaration, **values) or not update:
            return
        changed = _rows().filter(pk=name).exclude(declaration=declaration)
        if changed.update(declaration=declaration, updated_at=clock.now(), **values):
            _announce()


def _create(name: str, **values: Any) -> bool:
    """Insert a queue; False if there is one of that name."""
    now = clock.now()
    if _rows().filter(pk=name).exists():
        return False
    _rows().bulk_create([Queue(name=name, created_at=now, updated_at=now, **values)], ignore_conflicts=True)
    return True


@database.retried
def change(name: str, limits: Limits, *, expected: Limits) -> bool:
    """Give a queue other limits; False if it has not the expected ones (any more), or no row."""
    with database.transact():
        row = _rows().filter(pk=name).select_for_update(no_key=True).first()
        if row is None or row.limits != expected:
            return False
        _rows().filter(pk=name).update(updated_at=clock.now(), **_columns(limits))
        _announce()
    return True


@database.retried
def set_polling_interval(name: str, interval: timedelta) -> bool:
    """Set how often a queue is looked at; False if it has no row."""
    return bool(_rows().filter(pk=name).update(updated_at=clock.now(), polling_interval=interval))


@database.retried
def pause(name: str, until: datetime | None, reason: str) -> None:
    """Take nothing from a queue, until a time or until it is resumed."""
    now = clock.now()
    paused = {"paused_at": now, "paused_until": until, "pause_reason": reason, "updated_at": now}
    with database.transact():
        _create(name)
        _rows().filter(pk=name).update(**paused)


@database.retried
def resume(name: str) -> None:
    """Take runs from a queue again."""
    with database.transact():
        _rows().filter(pk=name).update(
            paused_at=None, paused_until=None, pause_reason="", updated_at=clock.now()
        )
        _announce()


@database.retried
def delete(name: str) -> None:
    """Delete a queue's row; runs in it stay, and wait for a queue of that name."""
    _rows().filter(pk=name).delete()


def _announce() -> None:
    transaction.on_commit(notify.work, using=database.alias())


def _rows() -> Any:
    return Queue.objects.using(database.alias())
