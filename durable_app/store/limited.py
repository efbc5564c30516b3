"""Claiming from queues with limits: counted under the lock of the queue's row.

So two workers never count at the same time, and neither the running runs nor the starts in any window are
ever more than the limit. A worker that finds the row locked passes the queue over for a moment: another
one is filling it. Queues without limits never come here.
"""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Min

from durable_app import clock
from durable_app.limits import RateLimit
from durable_app.models import Queue, QueueStart, Status, Workflow
from durable_app.store import claims, database
from durable_app.store.claims import Claimer
from durable_app.store.records import Claimed

MOST_PARTITIONS = 1000
"""Partition keys that one claim looks at."""

CONTENDED = 0.02
"""Seconds until a worker looks again at a queue that another one was filling."""

PLENTY = 1_000_000


@dataclass(kw_only=True, slots=True)
class Taken:
    """What a claim took, and in how many seconds a rate limit will let it take more."""

    runs: list[Claimed] = field(default_factory=list)
    again: float | None = None

    def look_again(self, seconds: float) -> None:
        """Note a time to look again, if it comes before the one noted."""
        self.again = seconds if self.again is None else min(self.again, seconds)


@database.retried
def claim(claimer: Claimer, queue: str, names: list[str], limit: int) -> Taken:
    """Take up to ``limit`` ready runs of one queue, as many as its limits allow."""
    taken = Taken()
    if limit < 1 or not names or not _ready(claimer, queue, names).exists():
        return taken
    with database.transact():
        row = _queues().filter(pk=queue).select_for_update(skip_locked=True, no_key=True).first()
        if row is None:
            taken.look_again(CONTENDED * random.uniform(0.5, 1.5))  # noqa: S311
            return taken
        choice = _Choice(row, claimer, names, taken)
        choice.fill(limit)
        _log_starts(row, choice.starting)
        taken.runs = claims.take(claimer, choice.ids)
    return taken


class _Choice:
    """The runs of one queue that its limits let a worker take; its row is locked meanwhile."""

    def __init__(self, row: Queue, claimer: Claimer, names: list[str], taken: Taken) -> None:
        self.row = row
        self.limits = row.limits
        self.claimer = claimer
        self.names = names
        self.taken = taken
        self.ids: list[int] = []
        self.starting: list[str | None] = []
        """Partition keys of the runs that start: a woken or recovered one has started already."""

    def fill(self, limit: int) -> None:
        """Choose up to ``limit`` runs."""
        limits, running = self.limits, _running(self.row.name)
        room = min(limit, self._left(running, limits.concurrency, limits.worker_concurrency))
        starts = self._rate_left(limits.limiter, _starts(self.row.name))
        ready = _ready(self.claimer, self.row.name, self.names)
        if not limits.is_partitioned:
            self._choose(ready, None, room, starts)
            return
        for key in _partitions(ready):
            left = room - len(self.ids)
            if left <= 0:
                break
            here = running.filter(partition_key=key)
            left = min(
                left, self._left(here, limits.partition_concurrency, limits.partition_worker_concurrency)
            )
            if left > 0:
                log = _starts(self.row.name).filter(partition_key=key)
                rate = self._rate_left(limits.partition_limiter, log)
                self._choose(
                    ready.filter(partition_key=key), key, left, min(starts - len(self.starting), rate)
                )

    def _choose(self, ready: Any, key: str | None, room: int, starts: int) -> None:
        """Choose by priority and insertion; of the runs that start, no more than ``starts``."""
        locked = ready.select_for_update(skip_locked=True, no_key=True).order_by("priority", "pk")
        again = list(locked.filter(started_at__isnull=False).values_list("pk", flat=True)[: max(0, room)])
        fresh = max(0, min(room - len(again), starts))
        new = list(locked.filter(started_at__isnull=True).values_list("pk", flat=True)[:fresh])
        self.ids += again + new
        self.starting += [key] * len(new)

    def _left(self, running: Any, everywhere: int | None, here: int | None) -> int:
        """Return how many more may run."""
        left = PLENTY
        if everywhere is not None:
            left = everywhere - running.count()
        if here is not None:
            left = min(left, here - running.filter(worker_id=self.claimer.worker_id).count())
        return max(0, left)

    def _rate_left(self, limiter: RateLimit | None, starts: Any) -> int:
        """Return how many more may start now; note when that changes, if it is none."""
        if limiter is None:
            return PLENTY
        now = clock.now()
        recent = list(
            starts.filter(started_at__gt=now - limiter.period)
            .order_by("-started_at")
            .values_list("started_at", flat=True)[: limiter.limit]
        )
        left = limiter.limit - len(recent)
        if left <= 0:
            self.taken.look_again((recent[-1] + limiter.period - now) / timedelta(seconds=1))
        return left


def _partitions(ready: Any) -> list[str]:
    """Return partition keys with ready runs in random order, so that none starves."""
    keys = ready.filter(partition_key__isnull=False).order_by().values("partition_key")
    groups = keys.annotate(first=Min("pk")).order_by("?")
    return [group["partition_key"] for group in groups[:MOST_PARTITIONS]]


def _log_starts(row: Queue, keys: list[str | None]) -> None:
    """Log starts that a rate limit counts, and forget those that have left every window."""
    limits = row.limits
    periods = [limiter.period for limiter in (limits.limiter, limits.partition_limiter) if limiter]
    if not periods or not keys:
        return
    now = clock.now()
    _starts(row.name).filter(started_at__lte=now - max(periods)).delete()
    log = [QueueStart(queue=row.name, partition_key=key, started_at=now) for key in keys]
    QueueStart.objects.using(database.alias()).bulk_create(log)


def _ready(claimer: Claimer, queue: str, names: list[str]) -> Any:
    return claims.ready(claimer, names).filter(queue_name=queue)


def _running(queue: str) -> Any:
    rows = Workflow.objects.using(database.alias())
    return rows.filter(status=Status.PENDING, queue_name=queue)


def _starts(queue: str) -> Any:
    return QueueStart.objects.using(database.alias()).filter(queue=queue)


def _queues() -> Any:
    return Queue.objects.using(database.alias())
