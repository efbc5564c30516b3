"""Is all well? What keeps runs from going on, told as banners: for the admin, REST and ``durable_status``."""

import pkgutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from django.db.migrations.loader import MigrationLoader

from durable_app import clock, conf
from durable_app.insight.timeline import short
from durable_app.store import activity, queues, versions
from durable_app.store.activity import Group, Tick, WorkerState
from durable_app.store.queues import QueueState

DUE_WITHIN = timedelta(hours=1)
"""Schedules are told of that fire so soon."""

MOST_SCHEDULES = 1_000

MANY_RUNS = 5_000_000
"""So many finished runs, kept for ever, are worth a word."""

NAMED = 3
"""Queues, versions or schedules that a sentence names."""


class Onlooker(Protocol):
    """Who looks; an ``Actor`` is one."""

    def sees(self, runs: Any) -> Any:
        """Return those of a queryset of runs that he may know of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """Something that does not go on by itself."""

    code: str
    """"no_worker", "no_queue", "no_key", "no_version", "missed_schedules", "migrations" or "retention"."""
    is_error: bool
    """Whether runs stand still for it; else it is a warning."""
    sentence: str
    subjects: tuple[str, ...] = ()
    """The queues, versions, schedules or migrations meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What is looked at: read once, for the banners and for the overview."""

    at: datetime
    groups: tuple[Group, ...]
    """The active runs that the onlooker may know of."""
    queues: tuple[QueueState, ...]
    workers: tuple[WorkerState, ...]
    latest: str | None
    """The latest version of the code, if any has one."""
    ticks: tuple[Tick, ...]

    @property
    def missed(self) -> tuple[str, ...]:
        """The schedules that nobody has fired in time."""
        late = self.at - conf.options().SCHEDULE_GRACE
        return tuple(tick.name for tick in self.ticks if tick.next_at is not None and tick.next_at < late)

    def serves(self, queue: str) -> bool:
        """Return whether a live worker takes runs of a queue."""
        return any(worker.serves(queue) for worker in self.workers)


def look(actor: Onlooker | None = None) -> Look:
    """Read what there is now; with an actor, the runs that the policy shows to them."""
    at = clock.now()
    latest = versions.latest()
    return Look(
        at=at,
        groups=tuple(activity.active(sight_of(actor))),
        queues=tuple(queues.all_queues()),
        workers=tuple(activity.workers()),
        latest=None if latest is None else latest.version_name,
        ticks=tuple(activity.ticks(at + DUE_WITHIN, MOST_SCHEDULES)),
    )


def sight_of(actor: Onlooker | None) -> activity.Sight:
    """Return what leaves the runs that somebody may know of: without an actor all."""
    return (lambda runs: runs) if actor is None else actor.sees


def health(actor: Onlooker | None = None) -> tuple[Banner, ...]:
    """Return what is not well, what stops runs first; nothing, if all is."""
    return banners(look(actor))


def banners(seen: Look) -> tuple[Banner, ...]:
    """Return what is not well with what was seen."""
    found = [*_queues(seen), *_versions(seen), *_schedules(seen), *_migrations(), *_retention()]
    return tuple(sorted(found, key=lambda banner: not banner.is_error))


def _queues(seen: Look) -> Iterator[Banner]:
    ready: Counter[str] = Counter()
    for group in seen.groups:
        if group.status == "ENQUEUED" and group.queue_name is not None:
            ready[group.queue_name] += group.count
    yield from _without_key(seen)
    unknown = sorted(ready.keys() - {state.name for state in seen.queues})
    if unknown:
        yield Banner(
            code="no_queue",
            is_error=True,
            sentence=f"Runs wait in queues that do not exist: {_listed(_count(ready, unknown))}.",
            subjects=tuple(unknown),
        )
    paused = {state.name for state in seen.queues if state.is_paused}
    unserved = sorted(
        name for name in ready if name not in paused and name not in unknown and not seen.serves(name)
    )
    if unserved:
        yield Banner(
            code="no_worker",
            is_error=True,
            sentence=f"Runs wait in queues that no live worker serves: {_listed(_count(ready, unserved))}.",
            subjects=tuple(unserved),
        )


def _without_key(seen: Look) -> Iterator[Banner]:
    """Tell of runs that nobody will ever take: their queue goes by keys, and they have none."""
    partitioned = {state.name for state in seen.queues if state.limits.is_partitioned}
    keyless: Counter[str] = Counter()
    for group in seen.groups:
        if group.status == "ENQUEUED" and group.queue_name in partitioned and not group.has_key:
            keyless[group.queue_name or ""] += group.count
    if keyless:
        names = sorted(keyless)
        yield Banner(
            code="no_key",
            is_error=True,
            sentence="Runs without a partition key wait in partitioned queues, and will never be taken: "
            f"{_listed(_count(keyless, names))}.",
            subjects=tuple(names),
        )


def _versions(seen: Look) -> Iterator[Banner]:
    """Tell of versions that runs need in order to go on, and no live worker has."""
    live = {worker.app_version for worker in seen.workers if worker.is_live}
    if not live or "" in live:  # without a version a worker takes any
        return
    pinned: Counter[str] = Counter()
    for group in seen.groups:
        wanted = group.app_version if group.app_version is not None else seen.latest
        if group.status != "PENDING" and wanted is not None and wanted not in live:
            pinned[wanted] += group.count
    if pinned:
        names = sorted(pinned)
        yield Banner(
            code="no_version",
            is_error=True,
            sentence=f"Runs need versions that no live worker has: {_listed(_count(pinned, names))}. "
            f"The latest is {seen.latest}; workers have {_listed(sorted(live))}.",
            subjects=tuple(names),
        )


def _schedules(seen: Look) -> Iterator[Banner]:
    if seen.missed:
        first = min(tick.next_at for tick in seen.ticks if tick.next_at is not None)
        yield Banner(
            code="missed_schedules",
            is_error=True,
            sentence=f"Schedules are overdue, by up to {short(seen.at - first)}: {_listed(seen.missed)}. "
            f"A worker, or the cron job, fires them.",
            subjects=seen.missed,
        )


def _migrations() -> Iterator[Banner]:
    missing = sorted(_known_migrations() - activity.applied_migrations())
    if missing:
        yield Banner(
            code="migrations",
            is_error=True,
            sentence=f"The database lacks migrations: {_listed(missing)}. Run manage.py migrate.",
            subjects=tuple(missing),
        )


@cache
def _known_migrations() -> frozenset[str]:
    module, _is_explicit = MigrationLoader.migrations_module("durable_app")
    if module is None:
        return frozenset()
    found = pkgutil.iter_modules(import_module(module).__path__)
    return frozenset(one.name for one in found if not one.ispkg and one.name[0] not in "_~")


def _retention() -> Iterator[Banner]:
    if conf.options().RETENTION is not None:
        return
    count = activity.extent()
    if count >= MANY_RUNS:
        yield Banner(
            code="retention",
            is_error=False,
            sentence=f"About {count / 1_000_000:.0f} million runs are kept, for ever: "
            f"DURABLE['RETENTION'] is not set.",
        )


def _count(counts: Counter[str], names: Iterable[str]) -> list[str]:
    return [f"{name} ({counts[name]})" for name in names]


def _listed(names: Iterable[str]) -> str:
    """Return the first few names, and how many more there are."""
    found = list(names)
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return ", ".join(found[:NAMED]) + more
