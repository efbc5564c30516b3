"""Ask the store for as many runs as there is room for, and hand them to the pools."""

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from durable_app.engine.context import Execution, Identity
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
from durable_app.store import claims, limited, queues, steps
from durable_app.store.queues import QueueState
from durable_app.store.records import Claimed, History
from durable_app.worker.declarations import Declarations
from durable_app.worker.pool import EventLoop, Threads
from durable_app.worker.service import Service
from durable_app.worker.versions import CodeVersion


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
        self.threads: Threads | None = None
        self.loop: EventLoop | None = None
        self.accepting = True
        self._dispatching = threading.Lock()
        self._may_be_more = True

    def slot_freed(self) -> None:
        """Claim again if the last claim left something; else a wake-up will tell."""
        if self._may_be_more:
            self.wake()

    def use(self, threads: Threads, loop: EventLoop) -> None:
        """Say where the runs are to execute."""
        self.threads, self.loop = threads, loop

    def tick(self) -> float | None:
        """Fill the free slots; ask again at once while there is both room and work."""
        if not self.accepting or self.threads is None or self.loop is None:
            return None
        with self._dispatching:
            return self._fill(self.threads, self.loop)

    @property
    def busy(self) -> int:
        """How many runs execute now."""
        return sum(pool.slots.busy for pool in (self.threads, self.loop) if pool is not None)

    def is_idle(self) -> bool:
        """Return whether nothing executes, and nothing is ready that this process has the code of."""
        with self._dispatching:  # between its claim and its dispatch a run is neither
            names = registry.names(is_async=False) + registry.names(is_async=True)
            lines = [line.name for line in self._served() if not line.is_paused]
            return not self.busy and not claims.any_ready(self._claimer(self._lease()), names, lines)

    def _fill(self, threads: Threads, loop: EventLoop) -> float | None:
        lease = self._lease()
        if not lease.allows_start:
            return None
        self.declarations.tell()
        served = self._served()
        lines = [line for line in served if line.has_ready and not line.is_paused]
        again = [line.look_again for line in served if line.look_again is not None]
        self._may_be_more = any(not line.limits.is_unlimited for line in lines)
        for pool, is_async, park_after in (
            (threads, False, self._patience.threads),
            (loop, True, self._patience.coroutines),
        ):
            room = pool.slots.free
            names = registry.names(is_async=is_async)
            found, waits = self._claim(lease, names, room, lines) if names and lines else ([], [])
            for flow in self._flows(lease, found, park_after):
                pool.run(flow)
            again += waits
            if len(found) == room:
                self._may_be_more = True
                if found and pool.slots.free:
                    again.append(0.0)
        return min([self.interval, *again])

    def _served(self) -> list[QueueState]:
        return [line for line in queues.all_queues() if self.serving.includes(line.name)]

    def _claimer(self, lease: Lease) -> claims.Claimer:
        return claims.Claimer(
            worker_id=lease.id,
            app_version=self._version.name,
            takes_unversioned=self._version.takes_unversioned,
        )

    def _claim(
        self, lease: Lease, names: list[str], room: int, lines: list[QueueState]
    ) -> tuple[list[Claimed], list[float]]:
        """Claim from the queues in random order; those without limits count as one."""
        claimer = self._claimer(lease)
        counted = [line.name for line in lines if not line.limits.is_unlimited]
        free = [line.name for line in lines if line.limits.is_unlimited]
        found: list[Claimed] = []
        again: list[float] = []
        turns = [free, *([name] for name in counted)]
        random.shuffle(turns)
        for turn in turns:
            left = room - len(found)
            if turn is free:
                found += claims.claim(claimer, names, left, free)
                continue
            taken = limited.claim(claimer, turn[0], names, left, self._last_keys.get(turn[0], ""))
            self._last_keys[turn[0]] = taken.last_key
            found += taken.runs
            if taken.again is not None:
                again.append(taken.again)
        return found, again

    def _flows(self, lease: Lease, claimed: list[Claimed], park_after: timedelta) -> Iterable[Flow[None]]:
        replaying = [one.run for one in claimed if one.has_history]
        histories = steps.histories(replaying) if replaying else {}
        for one in claimed:
            execution = _execution(one, lease, park_after, histories.get(one.run))
            lease.holds(execution)
            yield _flow(execution, one)


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
        identity=Identity(
            user=claimed.user,
            roles=None if claimed.roles is None else tuple(claimed.roles),
            assumed_role=claimed.assumed_role,
        ),
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
