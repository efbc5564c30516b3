"""Ask the store for as many runs as there is room for, and hand them to the pools."""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import Error

from durable_app.engine.context import NOBODY, Execution, Identity
from durable_app.engine.execution import block_claimed, execute_claimed, fail_claimed
from durable_app.engine.flow import Flow
from durable_app.engine.identity import authorized
from durable_app.engine.lease import Lease
from durable_app.errors import (
    InvalidWorkflowIDError,
    NotAuthorizedError,
    WorkflowFunctionNotFoundError,
)
from durable_app.registry import registry
from durable_app.store import claims, limited, queues, steps, workers
from durable_app.store.limited import Wanted
from durable_app.store.queues import QueueState
from durable_app.store.records import Claimed, History
from durable_app.worker.backlog import TOO_LONG, Task
from durable_app.worker.declarations import Declarations
from durable_app.worker.pool import EventLoop, Pool, Threads
from durable_app.worker.service import Service
from durable_app.worker.versions import CodeVersion

logger = logging.getLogger("durable_app")


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """Which queues a worker takes runs from: all, or only these, but never those excluded."""

    only: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()

    def includes(self, queue: str) -> bool:
        """Return whether the worker serves a queue."""
        return queue not in self.excluded and (not self.only or queue in self.only)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a wait keeps what it occupies before the run parks."""

    threads: timedelta
    coroutines: timedelta


class Claimer(Service):
    """Claims and dispatches; woken by notifications and by every freed slot."""

    name = "claimer"

    def __init__(
        self,
        *,
        interval: float,
        lease: Callable[[], Lease],
        version: CodeVersion,
        patience: Patience,
        serving: Serving,
    ) -> None:
        super().__init__(interval)
        self.declarations = Declarations(version)
        self._last_keys: dict[str, str] = {}
        """The partition keys whose turn was the last, by queue."""
        self._lease = lease
        self._version = version
        self._patience = patience
        self.serving = serving
        self._places: list[_Place] = []
        self.accepting = True
        self._dispatching = threading.Lock()
        self._guard = threading.Lock()
        self._has_news = True
        self._has_ready = False
        self._has_room = False
        self._free: list[QueueState] = []
        """The queues without limits, as long as no run is ready in one that has some."""

    def use(self, threads: Threads, loop: EventLoop) -> None:
        """Say where the runs are to execute."""
        self._places = [
            _Place(threads, is_async=False, park_after=self._patience.threads),
            _Place(loop, is_async=True, park_after=self._patience.coroutines),
        ]

    def wake(self) -> None:
        """Claim at once: there may be something new."""
        with self._guard:
            self._has_news = True
        super().wake()

    def poll(self) -> None:
        """Look at the queues: there are ready runs, perhaps for this worker."""
        with self._guard:
            self._has_ready = True
        super().wake()

    def refill(self) -> None:
        """Claim at once, where the last claim left something: there is room for it now."""
        self._has_room = True  # without a lock: whoever ends a run tells anew
        super().wake()

    def tick(self) -> float | None:
        """Claim as much as there is room for; return the seconds until the next look."""
        with self._dispatching:
            self._hand_back(TOO_LONG)
            return self._fill() if self.accepting else None

    @property
    def busy(self) -> int:
        """How many runs execute now, or are about to."""
        return sum(place.pool.slots.busy for place in self._places)

    @property
    def executed(self) -> int:
        """How many runs have been executed, until they ended or parked."""
        return sum(place.pool.backlog.executed for place in self._places)

    def hand_back(self) -> None:
        """Hand back the runs that were claimed and have not begun; if that fails, the lease's end does it."""
        with self._dispatching:
            try:
                self._hand_back(0.0)
            except Error as error:
                logger.warning("Claimed runs not handed back error=%s", error)

    def _hand_back(self, longer_than: float) -> None:
        held = [one for place in self._places for one in place.pool.take_back(longer_than)]
        for execution in held:
            execution.lease.lets_go(execution)
        if held:
            workers.hand_back([(one.run, one.attempt) for one in held])

    def is_idle(self) -> bool:
        """Return whether nothing executes, and nothing is ready that this process has the code of."""
        with self._dispatching:  # between its claim and its dispatch a run is neither
            names = registry.names(is_async=False) + registry.names(is_async=True)
            lines = [line.name for line in self._served() if not line.is_paused]
            return not self.busy and not claims.any_ready(self._claimer(self._lease()), names, lines)

    def _fill(self) -> float | None:
        lease = self._lease()
        if not lease.allows_start:
            return None
        self.declarations.tell()
        is_look, has_changed = self._reasons()
        places = self._places if is_look else [place for place in self._places if place.pool.may_be_more]
        known = self._free if has_changed else []
        self._fill_places(places, lease, known)  # first: a run that is alone waits for this statement only
        again = self._look(places, lease, known) if is_look or not known else []
        if any(place.pool.backlog for place in self._places):
            again.append(TOO_LONG)
        return min([self.interval, *again])

    def _reasons(self) -> tuple[bool, bool]:
        """Return whether to look at all queues, for all pools; and whether there is news, or room.

        Without news, pools whose last claim found no more do not ask again: the runs that wait for others
        are passed one by one.
        """
        with self._guard:
            has_news, self._has_news = self._has_news, False
            has_ready, self._has_ready = self._has_ready, False
            has_room, self._has_room = self._has_room, False
        return has_news or has_ready or not has_room, has_news or has_room

    def _look(self, places: list["_Place"], lease: Lease, known: list[QueueState]) -> list[float]:
        """Read the queues, and claim from those that are not known yet.

        Returns in how many seconds to look again, for each reason to.
        """
        served = self._served()
        ready = [line for line in served if line.has_ready and not line.is_paused]
        is_limited = any(not line.limits.is_unlimited for line in ready)
        free = [line for line in served if line.limits.is_unlimited]
        self._free = [] if is_limited else free  # limited ones take turns with them
        again = [line.look_again for line in served if line.look_again is not None]
        names = {line.name for line in known}
        lines = [line for line in ready if line.name not in names]
        return again + self._fill_places(places, lease, lines)

    def _fill_places(self, places: list["_Place"], lease: Lease, lines: list[QueueState]) -> list[float]:
        """Claim and execute; return in how many seconds to look again, for each reason to."""
        if not lines:
            return []
        wishes = [_Wish(place) for place in places]
        again = self._claim(lease, wishes, lines)
        is_limited = any(not line.limits.is_unlimited for line in lines)
        for wish in wishes:
            wish.place.pool.run(self._tasks(lease, wish.found, wish.place.park_after))
            wish.place.pool.may_be_more = wish.left < 1 or is_limited
        return again

    def _served(self) -> list[QueueState]:
        return [line for line in queues.all_queues() if self.serving.includes(line.name)]

    def _claimer(self, lease: Lease) -> claims.Claimer:
        return claims.Claimer(
            worker_id=lease.id,
            app_version=self._version.name,
            takes_unversioned=self._version.takes_unversioned,
        )

    def _claim(self, lease: Lease, wishes: list["_Wish"], lines: list[QueueState]) -> list[float]:
        """Claim from the queues in random order; those without limits count as one."""
        claimer = self._claimer(lease)
        free = [line.name for line in lines if line.limits.is_unlimited]
        turns = [free, *([line.name] for line in lines if not line.limits.is_unlimited)]
        random.shuffle(turns)
        again: list[float] = []
        for turn in turns:
            if turn is free:
                _claim_free(claimer, wishes, free)
            else:
                again += self._claim_limited(claimer, turn[0], wishes)
        return again

    def _claim_limited(self, claimer: claims.Claimer, queue: str, wishes: list["_Wish"]) -> list[float]:
        """Claim for all places at once: a queue's order and its limits know nothing of threads and loops."""
        wanted = [Wanted(wish.names, wish.left) for wish in wishes]
        taken = limited.claim(claimer, queue, wanted, self._last_keys.get(queue, ""))
        self._last_keys[queue] = taken.last_key
        _share(taken.runs, wishes)
        return [] if taken.again is None else [taken.again]

    def _tasks(self, lease: Lease, claimed: list[Claimed], park_after: timedelta) -> list[Task]:
        replaying = [one.run for one in claimed if one.has_history]
        histories = steps.histories(replaying) if replaying else {}
        return [self._task(lease, one, park_after, histories.get(one.run)) for one in claimed]

    def _task(self, lease: Lease, claimed: Claimed, park_after: timedelta, history: History | None) -> Task:
        execution = _execution(claimed, lease, park_after, history)
        lease.holds(execution)
        return Task(execution, _flow(execution, claimed))


@dataclass(frozen=True, slots=True)
class _Place:
    """A pool, which functions execute there, and how long their waits keep their slot."""

    pool: Pool
    is_async: bool
    park_after: timedelta


class _Wish:
    """How many runs a place has room for, and which; and those that were found."""

    def __init__(self, place: _Place) -> None:
        self.place = place
        self.names = registry.names(is_async=place.is_async)
        self.found: list[Claimed] = []
        self._room = place.pool.room() if self.names else 0

    @property
    def left(self) -> int:
        """How many more there is room for."""
        return self._room - len(self.found)


def _claim_free(claimer: claims.Claimer, wishes: list[_Wish], lines: list[str]) -> None:
    """Claim from queues without limits: for all places in one statement, if there is no more than room."""
    if len(wishes) > 1 and all(wish.left > 0 for wish in wishes):
        limit = min(wish.left for wish in wishes)
        found = claims.claim(claimer, [name for wish in wishes for name in wish.names], limit, lines)
        _share(found, wishes)
        if len(found) < limit:
            return
    for wish in wishes:
        wish.found += claims.claim(claimer, wish.names, wish.left, lines)


def _share(found: list[Claimed], wishes: list[_Wish]) -> None:
    for run in found:
        next(wish for wish in wishes if run.name in wish.names).found.append(run)


def _execution(claimed: Claimed, lease: Lease, park_after: timedelta, history: History | None) -> Execution:
    return Execution(
        run=claimed.run,
        workflow_id=claimed.workflow_id,
        name=claimed.name,
        attempt=claimed.attempt,
        lease=lease,
        history=history or {},
        deadline_at=claimed.deadline_at,
        park_after=park_after,
        serialization=claimed.serialization,
        identity=_identity(claimed),
    )


def _identity(claimed: Claimed) -> Identity:
    if claimed.user is None and claimed.roles is None and claimed.assumed_role is None:
        return NOBODY
    return Identity(
        user=claimed.user,
        roles=None if claimed.roles is None else tuple(claimed.roles),
        assumed_role=claimed.assumed_role,
    )


def _flow(execution: Execution, claimed: Claimed) -> Flow[None]:
    if not claimed.workflow_id.strip():  # nothing could refer to it; written by hand
        return fail_claimed(execution, InvalidWorkflowIDError("The run's workflow ID is empty."))
    try:
        definition = registry.workflow(claimed.name)
        func = definition.bind(claimed.class_name, claimed.config_name)
        execution.identity = authorized(definition.name, definition.required_roles, execution.identity)
    except WorkflowFunctionNotFoundError as error:
        return block_claimed(execution, error)
    except NotAuthorizedError as error:
        return fail_claimed(execution, error)
    execution.validate_args = definition.validate_args
    return execute_claimed(execution, func, claimed.inputs)
