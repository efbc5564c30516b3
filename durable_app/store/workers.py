"""Leases: registering an incarnation, renewing it, and taking back the runs of dead ones."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Case, Count, Exists, F, OuterRef, Q, Value, When, Window
from django.db.models.functions import Coalesce, RowNumber

from durable_app import clock
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import Status, Step, Worker, Workflow
from durable_app.store import database, notify, waits

PATIENT_RECOVERIES = 2
"""Crashes of a run after which its next try is delayed more and more."""

LONGEST_DELAY = timedelta(minutes=5)

_QUEUED = Coalesce("queue_name", Value(DEFAULT_QUEUE))
"""Where a run goes back to; a direct call stood in no queue."""

KEPT = timedelta(days=1)
"""How long the row of an ended worker is shown."""


RENEW = """
UPDATE durable_app_worker SET heartbeat_at = %(now)s, expires_at = %(expires_at)s
WHERE id = %(id)s AND expires_at > %(now)s AND stopped_at IS NULL
RETURNING asked_to, clock_timestamp()
"""


def is_live() -> Q:
    """Return the condition of a worker whose lease is valid."""
    return Q(stopped_at__isnull=True, expires_at__gt=clock.now())


def is_silent() -> Q:
    """Return the condition of a worker whose lease is over without a word."""
    return Q(stopped_at__isnull=True, expires_at__lte=clock.now())


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """What a process tells of itself."""

    id: str
    name: str
    kind: str
    hostname: str
    process_space: str
    pid: int
    pid_started: str
    app_version: str
    queues: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    slots: int = 0


class Neighbour(NamedTuple):
    """An incarnation as its process can be found, and what was seen beside it."""

    id: str
    pid: int
    pid_started: str
    sees_dead: bool


class Executed(NamedTuple):
    """A run that a worker executes, or held when it died."""

    number: int
    workflow_id: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """A run that was taken back."""

    workflow_id: str
    name: str
    worker: str
    status: str


@database.retried
def register(registration: Registration, lease: timedelta) -> None:
    """Write a new incarnation's row."""
    now = clock.now()
    _workers().create(
        id=registration.id,
        name=registration.name,
        kind=registration.kind,
        hostname=registration.hostname,
        process_space=registration.process_space,
        pid=registration.pid,
        pid_started=registration.pid_started,
        app_version=registration.app_version,
        queues=list(registration.queues),
        excluded=list(registration.excluded),
        slots=registration.slots,
        started_at=now,
        heartbeat_at=now,
        expires_at=now + lease,
    )


def renew(worker_id: str, lease: timedelta) -> str | None:
    """Prolong a lease, and take over the database's time; on PostgreSQL in one statement.

    Returns what an operator asks of the worker: "quiet", "stop" or nothing; None if the lease has lapsed:
    such an incarnation is never revived.
    """
    now = clock.now()
    if not database.is_postgres():
        database.synchronize_clock()
        held = _workers().filter(pk=worker_id, expires_at__gt=now, stopped_at__isnull=True)
        if not held.update(heartbeat_at=now, expires_at=now + lease):
            return None
        return str(_workers().values_list("asked_to", flat=True).get(pk=worker_id))
    with database.connection().cursor() as cursor:
        cursor.execute(RENEW, {"id": worker_id, "now": now, "expires_at": now + lease})
        row = cursor.fetchone()
    if row is None:
        return None
    asked_to, database_time = row
    clock.synchronize(database_time)
    return str(asked_to)


@database.retried
def is_alive(worker_id: str) -> bool:
    """Return whether a worker's lease is valid."""
    return bool(_workers().filter(is_live(), pk=worker_id).exists())


@database.retried
def ask(worker_id: str, request: str) -> bool:
    """Ask a live worker for something, which it hears with its next heartbeat; False if it is not alive."""
    return bool(_workers().filter(is_live(), pk=worker_id).update(asked_to=request))


@database.retried
def stop(worker_id: str) -> None:
    """Mark an incarnation as ended: its runs may be taken at once."""
    _workers().filter(pk=worker_id, stopped_at__isnull=True).update(stopped_at=clock.now())


@database.retried
def get(worker_id: str) -> Worker | None:
    """Return an incarnation's row."""
    found: Worker | None = _workers().filter(pk=worker_id).first()
    return found


@database.retried
def all_workers() -> list[Any]:
    """Return incarnations of workers, the newest first, each with the number of runs it executes."""
    rows = list(_workers().filter(kind="worker").order_by("-started_at"))
    running = running_counts()
    for row in rows:
        row.running = running.get(row.pk, 0)
    return rows


@database.retried
def not_ended() -> list[Worker]:
    """Return the workers that have not said that they end, by name; also those whose lease is over."""
    return list(_workers().filter(kind="worker", stopped_at__isnull=True).order_by("name", "pk"))


@database.retried
def held_by(worker_ids: Iterable[str], sight: Callable[[Any], Any], most: int) -> dict[str, list[Executed]]:
    """Return the runs that workers execute, or held when they died: the first so many of each worker.

    ``sight`` leaves those of a queryset of runs that somebody may know of.
    """
    place = Window(RowNumber(), partition_by=F("worker_id"), order_by="pk")
    held = sight(_runs()).filter(status=Status.PENDING, worker_id__in=list(worker_ids))
    rows = held.annotate(place=place).filter(place__lte=most).order_by("worker_id", "pk")
    found: dict[str, list[Executed]] = defaultdict(list)
    for worker_id, *run in rows.values_list("worker_id", "pk", "workflow_id", "name"):
        found[worker_id].append(Executed(*run))
    return found


@database.retried
def running_counts() -> dict[str, int]:
    """Return how many runs each worker executes, or held when it died; by the workers' ids."""
    held = _runs().filter(status=Status.PENDING, worker_id__isnull=False).order_by()
    return dict(held.values_list("worker_id").annotate(count=Count("pk")))


@database.retried
def left() -> list[str]:
    """Return the silent incarnations, and ended ones that still hold runs."""
    ended = Q(stopped_at__isnull=False) & Exists(
        _runs().filter(worker_id=OuterRef("pk"), status=Status.PENDING)
    )
    return list(_workers().filter(is_silent() | ended).order_by("pk").values_list("pk", flat=True))


@database.retried
def neighbours(process_space: str) -> list[Neighbour]:
    """Return the incarnations that share a process space and have not ended.

    The caller is one of them. With each comes whether there is a run of any dead worker, anywhere.
    """
    dead = _runs().filter(status=Status.PENDING).filter(_is_dead(by_lease=True))
    rows = _workers().filter(process_space=process_space, stopped_at__isnull=True)
    return [Neighbour(*row) for row in rows.values_list("pk", "pid", "pid_started", Exists(dead))]


@database.retried
def recover(*, by_lease: bool, limit: int = 500) -> list[Recovered]:
    """Take back runs of workers that have ended or, if ``by_lease``, whose lease is over.

    The caller vouches with ``by_lease`` that its own lease has been valid for a full lease: after an
    outage of the database every lease looks expired. Rows locked elsewhere are passed over.
    """
    with database.transact():
        rows = (
            _runs()
            .filter(status=Status.PENDING)
            .filter(_is_dead(by_lease=by_lease))
            .select_for_update(skip_locked=True, no_key=True, of=("self",))
            .only(
                "pk",
                "workflow_id",
                "name",
                "attempt",
                "recovery_attempts",
                "max_recovery_attempts",
                "worker_id",
            )
        )
        recovered = [_take_back(run) for run in rows[:limit]]
    if recovered:
        notify.work()
    return recovered


def _is_dead(*, by_lease: bool) -> Any:
    owner = Worker.objects.using(database.alias()).filter(pk=OuterRef("worker_id"))
    if by_lease:
        return ~Exists(owner.filter(stopped_at__isnull=True, expires_at__gt=clock.now()))
    return Exists(owner.filter(stopped_at__isnull=False))


def _take_back(run: Workflow) -> Recovered:
    crashes = run.recovery_attempts + 1
    now = clock.now()
    changes: dict[str, Any] = {"status": Status.ENQUEUED, "enqueued_at": now}
    if run.max_recovery_attempts is not None and crashes > run.max_recovery_attempts + 1:
        changes = {
            "status": Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED,
            "finished_at": now,
            "deduplication_id": None,
        }
    elif crashes > PATIENT_RECOVERIES:
        delay = min(timedelta(seconds=2.0 ** min(crashes - PATIENT_RECOVERIES, 10)), LONGEST_DELAY)
        changes = {"status": Status.DELAYED, "run_after": now + delay}
    _runs().filter(pk=run.pk, status=Status.PENDING, attempt=run.attempt).update(
        attempt=F("attempt") + 1,
        recovery_attempts=crashes,
        queue_name=_QUEUED,
        updated_at=now,
        **changes,
    )
    if "finished_at" in changes:
        waits.wake_waiting_for(waits.News("result", run.workflow_id).key)
    return Recovered(
        workflow_id=run.workflow_id,
        name=run.name,
        worker=run.worker_id or "",
        status=changes["status"],
    )


@database.retried
def release(worker_id: str) -> int:
    """Hand back the incarnation's runs; not counted as crashes.

    Returns how many went back.
    """
    now = clock.now()
    with database.transact():
        held = _runs().filter(status=Status.PENDING, worker_id=worker_id)
        locked = held.select_for_update(skip_locked=True, no_key=True)
        ids = list(locked.values_list("pk", flat=True))
        count: int = (
            _runs()
            .filter(pk__in=ids, status=Status.PENDING, worker_id=worker_id)
            .update(
                status=Status.ENQUEUED,
                attempt=F("attempt") + 1,
                queue_name=_QUEUED,
                enqueued_at=now,
                updated_at=now,
            )
        )
    if count:
        notify.work()
    return count


@database.retried
def hand_back(runs: Iterable[tuple[int, int]]) -> None:
    """Hand back runs, given with their attempts, that have not begun; not counted as crashes.

    The attempt stays: nothing was or will be written under it, and the next claim takes another one. A run
    without a recorded step has not started, whatever its claim said: a rate limit is to count its start, and
    its timeout begins with it (a deadline without one is its parent's). One that a crash has thrown back had.
    """
    now = clock.now()
    has_steps = Exists(Step.objects.using(database.alias()).filter(workflow_id=OuterRef("pk")))
    is_new = ~has_steps & Q(timeout__isnull=False, recovery_attempts=0)
    by_attempt: dict[int, list[int]] = defaultdict(list)
    for run, attempt in runs:
        by_attempt[attempt].append(run)
    with database.transact():
        for attempt, pks in by_attempt.items():
            _runs().filter(pk__in=pks, status=Status.PENDING, attempt=attempt).update(
                status=Status.ENQUEUED,
                queue_name=_QUEUED,
                started_at=Case(When(has_steps, then=F("started_at")), default=None),
                deadline_at=Case(When(is_new, then=None), default=F("deadline_at")),
                enqueued_at=now,
                updated_at=now,
            )
    notify.work()


@database.retried
def recover_strays(worker_id: str, runs: Iterable[int]) -> None:
    """Take back runs that the incarnation holds but does not execute: what ended them was no outcome.

    Counted as a crash, so that a run which always ends its execution so is dead-lettered in time.
    """
    with database.transact():
        held = _runs().filter(status=Status.PENDING, worker_id=worker_id, pk__in=list(runs))
        for run in held.select_for_update(skip_locked=True, no_key=True):
            _take_back(run)
    notify.work()


@database.retried
def any_dead() -> bool:
    """Return whether a run is left whose worker has ended, or let its lease run out."""
    return bool(_runs().filter(status=Status.PENDING).filter(_is_dead(by_lease=True)).exists())


@database.retried
def stray_runs(worker_id: str, executing: Iterable[int]) -> list[int]:
    """Return the incarnation's runs that its process does not execute."""
    held = _runs().filter(status=Status.PENDING, worker_id=worker_id)
    return list(held.exclude(pk__in=list(executing)).values_list("pk", flat=True))


@database.retried
def forget_ended() -> int:
    """Delete the rows of workers that ended long ago and hold no run."""
    old = clock.now() - KEPT
    held = _runs().filter(status=Status.PENDING, worker_id=OuterRef("pk"))
    ended = _workers().filter(Q(stopped_at__lt=old) | Q(expires_at__lt=old)).exclude(Exists(held))
    return int(ended.delete()[0])


def _workers() -> Any:
    return Worker.objects.using(database.alias())


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
