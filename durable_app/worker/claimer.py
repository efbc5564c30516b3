"""Ask the store for as many runs as there is room for, and hand them to the pools."""

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta

from durable_app.engine.context import Execution, Identity
from durable_app.engine.execution import execute_claimed, fail_claimed
from durable_app.engine.flow import Flow
from durable_app.engine.lease import Lease
from durable_app.errors import InvalidWorkflowIDError, WorkflowFunctionNotFoundError
from durable_app.registry import registry
from durable_app.store import queues, steps
from durable_app.store.records import Claimed, History
from durable_app.worker.pool import EventLoop, Threads
from durable_app.worker.service import Service


class Claimer(Service):
    """Claims and dispatches; woken by notifications and by every freed slot."""

    name = "claimer"

    def __init__(
        self,
        *,
        interval: float,
        lease: Callable[[], Lease],
        app_version: str,
        park_after: timedelta,
        async_park_after: timedelta,
    ) -> None:
        super().__init__(interval)
        self._lease = lease
        self._app_version = app_version
        self._park_after = park_after
        self._async_park_after = async_park_after
        self.threads: Threads | None = None
        self.loop: EventLoop | None = None
        self.accepting = True
        self._dispatching = threading.Lock()
        self._may_be_more = True

    def slot_freed(self) -> None:
        """Claim again if the last claim took all there was room for; else a wake-up will tell."""
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
            return not self.busy and not queues.any_ready(self._claimer(self._lease()), names)

    def _fill(self, threads: Threads, loop: EventLoop) -> float | None:
        lease = self._lease()
        if not lease.allows_start:
            return None
        full = hungry = False
        for pool, is_async, park_after in (
            (threads, False, self._park_after),
            (loop, True, self._async_park_after),
        ):
            room = pool.slots.free
            names = registry.names(is_async=is_async)
            found = self._claim(lease, names, room) if names else []
            for flow in self._flows(lease, found, park_after):
                pool.run(flow)
            full = full or (bool(found) and len(found) == room)
            hungry = hungry or len(found) == room
        self._may_be_more = hungry
        return 0.0 if full and (threads.slots.free or loop.slots.free) else None

    def _claimer(self, lease: Lease) -> queues.Claimer:
        return queues.Claimer(worker_id=lease.id, app_version=self._app_version)

    def _claim(self, lease: Lease, names: list[str], room: int) -> list[Claimed]:
        return queues.claim(self._claimer(lease), names, room)

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
        identity=Identity(
            user=claimed.user,
            roles=tuple(claimed.roles) if claimed.roles else None,
            assumed_role=claimed.assumed_role,
        ),
    )


def _flow(execution: Execution, claimed: Claimed) -> Flow[None]:
    if not claimed.workflow_id.strip():  # nothing could refer to it; written by hand
        return fail_claimed(execution, InvalidWorkflowIDError("The run's workflow ID is empty."))
    try:
        definition = registry.workflow(claimed.name)
        func = definition.bind(claimed.class_name, claimed.config_name)
    except WorkflowFunctionNotFoundError as error:
        return fail_claimed(execution, error)
    return execute_claimed(execution, func, claimed.inputs)
