"""Claiming from queues with limits: counted under the lock of the queue's row.

So two workers never count at the same time, and neither the running runs nor the starts in any window are
ever more than the limit. A worker that finds the row locked passes the queue over for a moment: another
one is filling it. Queues without limits never come here.
"""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Count, Min, Q

from durable_app import clock
from durable_app.limits import RateLimit
from durable_app.models import Queue, QueueStart, Status, Workflow
from durable_app.store import claims, database, queues
from durable_app.store.claims import Claimer
from durable_app.store.partitions import Pick, interleaved, keys_after
from durable_app.store.records import Claimed

CONTENDED = 0.02
"""Seconds until a worker looks again at a queue that another one was filling."""

PLENTY = 1_000_000


@dataclass(kw_only=True, slots=True)
class Taken:
    """What a claim took; in how many seconds to look again; the partition key whose turn was the last."""

    runs: list[Claimed] = field(default_factory=list)
    again: float | None = None
    last_key: str = ""

    def look_again(self, seconds: float) -> None:
        """Note a time to look again, if it comes before the one noted."""
        self.again = max(0.0, seconds if self.again is None else min(self.again, seconds))


@database.retried
def claim(claimer: Claimer, queue: str, names: list[str], limit: int, last_key: str = "") -> Taken:
    """Take up to ``limit`` ready runs of one queue, as many as its limits allow.

    ``last_key`` is the partition key whose turn was the last: those after it come first.
    """
    taken = Taken(last_key=last_key)
    if limit < 1 or not names or not _ready(claimer, queue, names).exists():
        return taken
    with database.transact():
        row = _queues().filter(pk=queue).select_for_update(skip_locked=True, no_key=True).first()
        if row is None:
            taken.look_again(CONTENDED * random.uniform(0.5, 1.5))  # noqa: S311
        elif not queues.state_of(row).is_paused:
            choice = _Choice(row, claimer, names, taken)
            choice.fill(limit)
            taken.runs = claims.take(claimer, [pick.run for pick in choice.picks], choice.now)
            choice.log_starts()
    return taken


@dataclass(kw_only=True, slots=True)
class _Budget:
    """How many runs may run, and how many of them may be ones that start."""

    room: int
    starts: int = PLENTY

    def within(self, other: "_Budget") -> "_Budget":
        """Return what both allow."""
        return _Budget(room=min(self.room, other.room), starts=min(self.starts, other.starts))


class _Choice:
    """The runs of one queue that its limits let a worker take; its row is locked meanwhile."""

    def __init__(self, row: Queue, claimer: Claimer, names: list[str], taken: Taken) -> None:
        self.now = clock.now()  # one time to judge by and to log: windows are exact
        self.picks: list[Pick] = []
        self._name = row.name
        self._limits = row.limits
        self._claimer = claimer
        self._ready = _ready(claimer, row.name, names)
        self._taken = taken

    def fill(self, limit: int) -> None:
        """Choose up to ``limit`` runs."""
        budget = self._budget().within(_Budget(room=limit))
        if budget.room < 1:
            return
        if self._limits.is_partitioned:
            self._fill_by_partition(budget)
        else:
            self.picks = self._line(self._ready, budget)

    def _line(self, ready: Any, budget: _Budget, key: str | None = None) -> list[Pick]:
        """Choose by priority and insertion: runs that go on, then those that start."""
        locked = ready.select_for_update(skip_locked=True, no_key=True).order_by("priority", "pk")
        going_on = locked.filter(started_at__isnull=False).values_list("pk", flat=True)[: budget.room]
        picks = [Pick(run=pk, key=key, starts=False) for pk in going_on]
        fresh = min(budget.room - len(picks), budget.starts)
        if fresh > 0:
            starting = locked.filter(started_at__isnull=True).values_list("pk", flat=True)[:fresh]
            picks += [Pick(run=pk, key=key, starts=True) for pk in starting]
        return picks

    # by partition

    def _fill_by_partition(self, budget: _Budget) -> None:
        """Choose one run of each key in turn, until there is no more room, or nothing more to choose."""
        budgets = self._budgets_by_key()
        unseen = self._unseen_key()
        begun = self._ready.filter(started_at__isnull=False).values_list("partition_key", flat=True)
        going_on = set(begun.distinct())
        if budget.starts < 1 and not going_on:
            return
        lines = []
        for key in keys_after(self._name, self._taken.last_key):
            mine = budget.within(budgets.get(key, unseen))
            if mine.room < 1 or (mine.starts < 1 and key not in going_on):
                continue
            line = self._line(self._ready.filter(partition_key=key), mine, key)
            if line:
                lines.append(line)
            if len(lines) >= budget.room:
                break
        self.picks = interleaved(lines, room=budget.room, starts=budget.starts)
        turns = [pick.key for pick in self.picks[: len(lines)] if pick.key is not None]
        self._taken.last_key = turns[-1] if turns else self._taken.last_key

    def _unseen_key(self) -> _Budget:
        """Return what a key may that has no running run and no recent start."""
        limits, limiter = self._limits, self._limits.partition_limiter
        return _Budget(
            room=_left(limits.partition_concurrency, limits.partition_worker_concurrency, 0, 0),
            starts=PLENTY if limiter is None else limiter.limit,
        )

    def _budgets_by_key(self) -> dict[str, _Budget]:
        """Return what the keys may that have running runs or recent starts."""
        limits = self._limits
        found: dict[str, _Budget] = defaultdict(self._unseen_key)
        if limits.partition_concurrency or limits.partition_worker_concurrency:
            running = _running(self._name).values("partition_key")
            for row in running.annotate(**_running_counts(self._claimer)):
                found[row["partition_key"]].room = _left(
                    limits.partition_concurrency, limits.partition_worker_concurrency, row["all"], row["here"]
                )
        if limits.partition_limiter is not None:
            recent = self._recent(limits.partition_limiter).values("partition_key")
            for row in recent.annotate(**_STARTS):
                found[row["partition_key"]].starts = self._starts_left(limits.partition_limiter, row)
        return found

    # counting

    def _budget(self) -> _Budget:
        """Return what the queue as a whole may."""
        limits, budget = self._limits, _Budget(room=PLENTY)
        if limits.concurrency is not None or limits.worker_concurrency is not None:
            row = _running(self._name).aggregate(**_running_counts(self._claimer))
            budget.room = _left(limits.concurrency, limits.worker_concurrency, row["all"], row["here"])
        if limits.limiter is not None and budget.room > 0:
            recent = self._recent(limits.limiter).aggregate(**_STARTS)
            budget.starts = self._starts_left(limits.limiter, recent)
        return budget

    def _recent(self, limiter: RateLimit) -> Any:
        return _starts(self._name).filter(started_at__gt=self.now - limiter.period)

    def _starts_left(self, limiter: RateLimit, recent: dict[str, Any]) -> int:
        """Return how many more may start now; note when it will be more."""
        if recent["first"] is not None:
            self._look_after(recent["first"] + limiter.period - self.now)
        return max(0, limiter.limit - int(recent["count"]))

    def log_starts(self) -> None:
        """Log the starts that a rate limit counts, and forget those that have left every window."""
        limiters = [one for one in (self._limits.limiter, self._limits.partition_limiter) if one]
        keys = [pick.key for pick in self.picks if pick.starts]
        if not limiters or not keys:
            return
        periods = [limiter.period for limiter in limiters]
        self._look_after(min(periods))
        _starts(self._name).filter(started_at__lte=self.now - max(periods)).delete()
        log = [QueueStart(queue=self._name, partition_key=key, started_at=self.now) for key in keys]
        QueueStart.objects.using(database.alias()).bulk_create(log)

    def _look_after(self, span: timedelta) -> None:
        self._taken.look_again(span / timedelta(seconds=1))


_STARTS: dict[str, Any] = {"count": Count("pk"), "first": Min("started_at")}


def _running_counts(claimer: Claimer) -> dict[str, Any]:
    return {"all": Count("pk"), "here": Count("pk", filter=Q(worker_id=claimer.worker_id))}


def _left(everywhere: int | None, here: int | None, running: int, running_here: int) -> int:
    """Return how many more may run, by the limit over all workers and by that of one."""
    left = PLENTY if everywhere is None else everywhere - running
    return max(0, left if here is None else min(left, here - running_here))


def _ready(claimer: Claimer, queue: str, names: list[str]) -> Any:
    return claims.ready(claimer, names).filter(queue_name=queue)


def _running(queue: str) -> Any:
    rows = Workflow.objects.using(database.alias())
    return rows.filter(status=Status.PENDING, queue_name=queue)


def _starts(queue: str) -> Any:
    return QueueStart.objects.using(database.alias()).filter(queue=queue)


def _queues() -> Any:
    return Queue.objects.using(database.alias())
