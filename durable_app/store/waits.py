"""Parking and waking: no wake-up may be lost.

Who parks locks its own row ``FOR UPDATE`` and then looks whether what it waits for has come. A sender
holds that row ``FOR KEY SHARE`` while it writes a message; a run that publishes an event or ends holds
its own row, which the parker must lock too. So either the parker sees the news, or the bringer of the
news sees the parked run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from durable_app import clock
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import Event, Message, Status, StreamEntry, Wait, Workflow
from durable_app.models.workflow import TERMINAL
from durable_app.store import approvals, database, notify
from durable_app.store.steps import fence

CODE = "code"
"""Key of runs that wait for changed code; a starting worker wakes them all."""

CANCEL = "cancel"
"""Key of runs whose cancellation was asked for while their row was locked."""

ANNOUNCED = frozenset({"event", "message", "stream"})
"""Kinds of news that other processes are told of; of results, only those who are parked for them."""

RECHECK = timedelta(seconds=2)
"""How soon a run looks again for a target that does not exist yet: there is no row to lock then."""


@dataclass(frozen=True, slots=True)
class News:
    """What a run waits for: a run's ``result``, ``event`` or ``stream``, or a ``message`` on a topic."""

    kind: str
    target: str
    """Workflow id of the run that brings the news; of the waiting run for a message."""
    name: str = ""
    """The event's or stream's key, or the message's topic."""
    offset: int = 0
    """Where in the stream the news will stand."""

    @property
    def key(self) -> str:
        """The text under which parked runs are found."""
        return f"{self.kind}:{self.target}:{self.name}" if self.name else f"{self.kind}:{self.target}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name or self.target}"


class Parked(Enum):
    """The answer to an attempt to park."""

    PARKED = auto()
    READY = auto()
    """What the run waits for has come meanwhile."""
    BUSY = auto()
    """A row is locked by somebody who may be bringing the news: look again in a moment."""
    UNSEEN = auto()
    """The run that brings the news does not exist yet, so its row could not be locked."""


@database.retried
def park(
    run: int,
    attempt: int,
    workflow_id: str,
    *,
    news: tuple[News, ...] = (),
    wake_at: datetime | None = None,
) -> Parked:
    """Release a run until the first of its news, or the due time.

    Raises WorkflowCancelled or OwnershipLost if the run is not this attempt's.
    """
    with database.transact():
        fence(run, attempt, workflow_id)
        _lock_against_senders(run)
        for item in news:
            state = _has_come(item, run)
            if state is Parked.UNSEEN:
                wake_at = min(filter(None, (wake_at, clock.now() + RECHECK)))
            elif state is not Parked.PARKED:
                return state
        Wait.objects.using(database.alias()).bulk_create(
            [Wait(key=key, workflow_id=run) for key in sorted({item.key for item in news})],
            ignore_conflicts=True,
        )
        _rows().filter(pk=run).update(
            status=Status.WAITING,
            wake_at=wake_at,
            waiting_for=", ".join(_in_words(item, run) for item in news) or "sleep",
            updated_at=clock.now(),
        )
    return Parked.PARKED


def _in_words(item: News, run: int) -> str:
    """Return what people call a piece of news: the question, where it is the answer to one."""
    answer = approvals.in_words(run, item.name) if item.kind == "message" else None
    return answer or str(item)


@database.retried
def block(run: int, attempt: int, workflow_id: str, reason: str) -> None:
    """Put aside a run whose recorded steps do not match the code, until new code starts."""
    with database.transact():
        fence(run, attempt, workflow_id)
        Wait.objects.using(database.alias()).bulk_create(
            [Wait(key=CODE, workflow_id=run)], ignore_conflicts=True
        )
        _rows().filter(pk=run).update(
            status=Status.WAITING, wake_at=None, waiting_for=reason, updated_at=clock.now()
        )


def wake_waiting_for(*keys: str) -> None:
    """Make parked runs claimable that wait for any of these keys; inside the caller's transaction."""
    waiting = Wait.objects.using(database.alias()).filter(key__in=keys)
    wake(waiting.values_list("workflow_id", flat=True))


@database.retried
def wake_blocked() -> None:
    """Give every blocked run another try: a worker has started, perhaps with new code."""
    with database.transact():
        wake_waiting_for(CODE)


@database.retried
def wake_due(limit: int = 1000) -> int:
    """Make parked runs claimable whose time has come; return how many."""
    with database.transact():
        due = _rows().filter(status=Status.WAITING, wake_at__lte=clock.now())
        return wake(
            due.order_by("wake_at")
            .select_for_update(skip_locked=True, no_key=True)
            .values_list("pk", flat=True)[:limit]
        )


def wake(runs: Iterable[int]) -> int:
    """Move these runs from WAITING to ENQUEUED, in order of their rows; return how many moved."""
    candidates = list(runs)
    if not candidates:
        return 0
    held = list(
        _rows()
        .filter(pk__in=candidates, status=Status.WAITING)
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk", flat=True)
    )
    now = clock.now()
    moved = _rows().filter(pk__in=held, status=Status.WAITING)
    count: int = moved.update(
        status=Status.ENQUEUED,
        queue_name=Coalesce("queue_name", Value(DEFAULT_QUEUE)),  # a direct call stood in none
        wake_at=None,
        waiting_for="",
        enqueued_at=now,
        updated_at=now,
    )
    waits = Wait.objects.using(database.alias()).filter(workflow_id__in=held)
    waits.exclude(key=CANCEL).delete()
    if count:
        transaction.on_commit(notify.work, using=database.alias())
    return count


def _rows() -> Any:
    return Workflow.objects.using(database.alias())


def _exists(workflow_id: str) -> bool:
    return bool(_rows().filter(workflow_id=workflow_id).exists())


def _lock_against_senders(run: int) -> None:
    """Take the strong lock, which also waits for those who hold the row ``FOR KEY SHARE``."""
    if database.is_postgres():
        _rows().filter(pk=run).select_for_update().values_list("pk").first()


def _has_come(item: News, run: int) -> Parked:
    match item.kind:
        case "message":
            inbox = Message.objects.using(database.alias()).filter(
                destination_id=run, topic=item.name, consumed_at__isnull=True
            )
            return Parked.READY if inbox.exists() else Parked.PARKED
        case "event":
            return _event_has_come(item)
        case "stream":
            return _entry_has_come(item)
        case _:
            return _result_has_come(item)


def _event_has_come(item: News) -> Parked:
    locked = _lock_target(item.target)
    if not locked and _exists(item.target):
        return Parked.BUSY
    events = Event.objects.using(database.alias()).filter(workflow__workflow_id=item.target, key=item.name)
    if events.exists():
        return Parked.READY
    if not locked:  # only what this look has seen counts: the target may have been created since
        return Parked.UNSEEN
    _rows().filter(workflow_id=item.target).exclude(status__in=TERMINAL).update(awaited=True)
    return Parked.PARKED


def _entry_has_come(item: News) -> Parked:
    """Look for the entry, and let the writer look for parked readers from now on.

    That is what ``awaited`` does, which also brings the news that the run has ended without the entry.
    """
    if not _lock_target(item.target):
        return Parked.BUSY if _exists(item.target) else Parked.READY
    entries = StreamEntry.objects.using(database.alias()).filter(
        workflow__workflow_id=item.target, key=item.name, offset__gte=item.offset
    )
    return Parked.READY if entries.exists() else _result_has_come(item)


def _result_has_come(item: News) -> Parked:
    if not _lock_target(item.target):
        return Parked.BUSY if _exists(item.target) else Parked.READY
    target = _rows().filter(workflow_id=item.target)
    unfinished = target.exclude(status__in=TERMINAL).update(awaited=True)
    return Parked.PARKED if unfinished else Parked.READY


def _lock_target(workflow_id: str) -> bool:
    """Lock the row of the run that brings the news, unless it is locked: never wait for it."""
    rows = _rows().filter(workflow_id=workflow_id)
    locked = rows.select_for_update(skip_locked=True, no_key=True).values_list("pk").first()
    return locked is not None
