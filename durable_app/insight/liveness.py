"""How a worker is, told by its heartbeats; which queues it serves; which versions are still needed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from durable_app.store import activity, versions, workers

LATE = 1 / 3
"""Share of its lease without a heartbeat that makes a worker late: two of six have not come."""

Liveness = Literal["live", "late", "silent", "ended"]
"""What every surface calls a worker. Late: its lease still holds. Silent: its lease has run out without a
word, whether its process is dead, stopped or cut off. Ended: it has said so, or somebody has for it."""

STATES: tuple[Liveness, ...] = get_args(Liveness)

ASKED_FOR = ("live", "silent", "ended")
"""What lists can be filtered by; those that are late are live."""


def liveness(worker: Any, now: datetime) -> Liveness:
    """Return how a worker is, by its own lease."""
    if worker.stopped_at is not None:
        return "ended"
    if worker.expires_at <= now:
        return "silent"
    lease = worker.expires_at - worker.heartbeat_at
    return "late" if now - worker.heartbeat_at > lease * LATE else "live"


def holds_lease(worker: Any, now: datetime) -> bool:
    """Return whether a worker's runs are its own: it is live, if late."""
    return liveness(worker, now) in ("live", "late")


def in_state(rows: Any, state: str) -> Any:
    """Return those of a queryset of workers that are in one of the states ``ASKED_FOR``."""
    match state:
        case "live":
            return rows.filter(workers.is_live())
        case "silent":
            return rows.filter(workers.is_silent())
        case _:
            return rows.filter(stopped_at__isnull=False)


def serves(worker: Any, queue: str) -> bool:
    """Return whether a worker takes runs of a queue."""
    return not worker.asked_to and activity.takes(worker, queue)


def serves_in_words(worker: Any) -> str:
    """Return which queues a worker serves: "mail, reports", "all", "all but video"."""
    if worker.queues:
        return ", ".join(name for name in worker.queues if name not in worker.excluded)
    return f"all but {', '.join(worker.excluded)}" if worker.excluded else "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """A version of the code: who has it, and who needs it."""

    version: str
    """Empty: runs that are pinned to none, which the latest version takes."""
    workers: int
    """Live ones that run it."""
    unfinished: int
    """Runs pinned to it that have not ended."""
    is_latest: bool

    @property
    def is_removable(self) -> bool:
        """Whether no run needs it any more, nor will."""
        return bool(self.version) and not self.is_latest and not self.unfinished

    @property
    def is_stranded(self) -> bool:
        """Whether runs need it and no live worker has it."""
        return bool(self.version) and self.unfinished > 0 and not self.workers


def rollouts(crew: Iterable[Any], now: datetime) -> list[Rollout]:
    """Return the versions that live workers have or runs need, the latest first; all runs count."""
    latest = versions.latest()
    newest = "" if latest is None else latest.version_name
    having = Counter(one.app_version for one in crew if holds_lease(one, now))
    needing: Counter[str] = Counter()
    for group in activity.active(lambda runs: runs):
        needing[group.app_version or ""] += group.count
    names = {newest, *having, *needing} - ({""} if not needing[""] else set())
    return [
        Rollout(
            version=name,
            workers=having[name],
            unfinished=needing[name],
            is_latest=bool(name) and name == newest,
        )
        for name in sorted(names, key=lambda name: (name != newest, not name, name))
    ]
