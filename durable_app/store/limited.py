"""Claiming from queues with limits: counted under the lock of the queue's row.

So two workers never count at the same time, and neither the running runs nor the starts in any window are
ever more than the limit. A worker that finds the row locked passes the queue over for a moment: another
one is filling it. Queues without limits never come here.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q

from durable_app import clock
from durable_app.limits import RateLimit
from durable_app.models import Queue, QueueStart, Status, Workflow
from durable_app.store import claims, database, queues
from durable_app.store.claims import Claimer
from durable_app.store.partitions import Pick, first_of, interleaved, keys_after
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


class Wanted(NamedTuple):
    """Runs of these names, up to a number."""

    names: list[str]
    room: int


@database.retried
def claim(claimer: Claimer, queue: str, wanted: Iterable[Wanted], last_key: str = "") -> Taken:
    """Take ready runs of one queue, as many as are wanted and as its limits allow.

    ``last_key`` is the partition key whose turn was the last: those after it come first.
    """
    taken = Taken(last_key=last_key)
    wishes = [one for one in wanted if one.room > 0]
    names = [name for one in wishes for name in one.names]
    if not names or not _ready(claimer, queue, names).exists():
        return taken
    with database.transact():
        row = _queues().filter(pk=queue).select_for_update(skip_locked=True, no_key=True).first()
        if row is None:
            taken.look_again(CONTENDED * random.uniform(0.5, 1.5))  # noqa: S311
        elif not queues.state_of(row).is_paused:
            choice = _Choice(row, claimer, names, taken)
            choice.fill(sum(one.room for one in wishes))
            choice.cut(wishes)
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
        self._names = names
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

    def cut(self, wishes: list[Wanted]) -> None:
        """Leave out the kind of run that there is no room for; another look finds what stood behind."""
        kept: list[Pick] = []
        for one in wishes:
            kept += [pick for pick in self.picks if pick.name in one.names][: one.room]
        if len(kept) < len(self.picks):
            self._taken.look_again(CONTENDED)
        self.picks = kept

    def _line(self, ready: Any, budget: _Budget) -> list[Pick]:
        """Choose by priority and insertion: runs that have begun, then those that start."""
        picks = _going_on(ready, budget.room)
        fresh = min(budget.room - len(picks), budget.starts)
        if fresh > 0:
            starting = _locked(ready.filter(started_at__isnull=True)).order_by("priority", "pk")[:fresh]
            picks += [Pick(pk, key, name, starts=True) for pk, key, name in starting]
        return picks

    # by partition

    def _fill_by_partition(self, budget: _Budget) -> None:
        """Choose one run of each key in turn, until there is no more room, or nothing more to choose."""
        going_on = self._ready.filter(started_at__isnull=False).values_list("partition_key", flat=True)
        begun = set(going_on.distinct())
        if budget.starts < 1 and not begun:
            return
        lines: list[list[Pick]] = []
        for batch in self._open_keys(budget, begun):
            lines += self._lines(batch, begun)
            if len(lines) >= budget.room:
                break
        picks = interleaved(lines, room=budget.room, starts=budget.starts)
        held = _locked(self._ready.filter(pk__in=[pick.run for pick in picks]))
        names = {pk: name for pk, _, name in held}
        self.picks = [pick._replace(name=names[pick.run]) for pick in picks if pick.run in names]
        turns = [pick.key for pick in picks[: len(lines)] if pick.key is not None]
        self._taken.last_key = turns[-1] if turns else self._taken.last_key

    def _open_keys(self, budget: _Budget, begun: set[str]) -> Iterator[dict[str, _Budget]]:
        """Yield what the keys may that may take anything, in their turn, as many at once as may be needed."""
        budgets, unseen, batch = self._budgets_by_key(), self._unseen_key(), {}
        for key in keys_after(self._name, self._taken.last_key):
            mine = budget.within(budgets.get(key, unseen))
            if mine.room > 0 and (mine.starts > 0 or key in begun):
                batch[key] = mine
            if len(batch) == budget.room:
                yield batch
                batch = {}
        yield batch

    def _lines(self, batch: dict[str, _Budget], begun: set[str]) -> list[list[Pick]]:
        """Return for each key that has any the runs that it may take."""
        limit = max((min(mine.room, mine.starts) for mine in batch.values()), default=0)
        fresh = first_of(self._claimer, self._names, self._name, list(batch), limit) if limit else {}
        lines = []
        for key, mine in batch.items():
            line = _going_on(self._ready.filter(partition_key=key), mine.room) if key in begun else []
            left = max(0, min(mine.room - len(line), mine.starts))
            line += [Pick(run, key, starts=True) for run in fresh.get(key, [])[:left]]
            if line:
                lines.append(line)
        return lines

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


def _going_on(ready: Any, room: int) -> list[Pick]:
    """Return the first of the runs that have begun."""
    begun = _locked(ready.filter(started_at__isnull=False)).order_by("priority", "pk")[:room]
    return [Pick(pk, key, name) for pk, key, name in begun]


def _locked(ready: Any) -> Any:
    """Return row, key and name of these runs, locked; what somebody else has locked is passed over."""
    rows = ready.select_for_update(skip_locked=True, no_key=True)
    return rows.values_list("pk", "partition_key", "name")


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
