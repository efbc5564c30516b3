"""Queues: declared by making one, as in the seed's 2.x, or registered at run time, as in its 3.x."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, ParamSpec, TypedDict, TypeVar, Unpack, overload

from durable_app import public as ours
from durable_app.dbos import times, workflows
from durable_app.dbos.declared import declared
from durable_app.dbos.error import DBOSException
from durable_app.dbos.handles import WorkflowHandle, WorkflowHandleAsync
from durable_app.dbos.pairs import Given, given, plain, shown, unused
from durable_app.dbos.process import process
from durable_app.dbos.threads import blocking
from durable_app.limits import DEFAULT_QUEUE, Limits, RateLimit
from durable_app.registry import registry
from durable_app.store import database, queues

POLLING_INTERVAL = 1.0
"""Seconds, where a queue says nothing."""

P = ParamSpec("P")
R = TypeVar("R")

OnConflict = Literal["update_if_latest_version", "always_update", "never_update"]


class QueueRateLimit(TypedDict):
    """At most ``limit`` starts in any ``period`` seconds."""

    limit: int
    period: float


class LimitOptions(TypedDict, total=False):
    """What a queue limits."""

    worker_concurrency: int | None
    global_concurrency: int | None
    partition_concurrency: int | None
    partition_worker_concurrency: int | None
    partition_limiter: QueueRateLimit | None
    polling_interval_sec: float
    application_name: str | None


class RegisterOptions(LimitOptions, total=False):
    """What a registered queue limits; ``concurrency`` is the older name of ``global_concurrency``."""

    concurrency: int | None
    limiter: QueueRateLimit | None


class QueueOptions(LimitOptions, total=False):
    """What a declared queue may say besides; with ``partition_queue`` its limits are those of each key."""

    priority_enabled: bool
    partition_queue: bool


def _translated(options: Any) -> dict[str, Any]:
    """Return our keywords."""
    found: dict[str, Any] = dict(options)
    found.pop("application_name", None)
    overall = found.pop("global_concurrency", None)
    if overall is not None:
        found["concurrency"] = overall
    interval = found.pop("polling_interval_sec", None)
    if interval is not None:
        found["polling_interval"] = interval
    if found.get("partition_queue"):
        for name in ("concurrency", "worker_concurrency", "limiter"):
            found.setdefault(f"partition_{name}", found.pop(name, None))
    return found


def _reads(name: str) -> Any:
    """Return a property: a limit as the database has it now."""

    def read(self: "Queue") -> Any:
        return _plainly(getattr(self.limits(), name))

    return property(read, doc=f"The queue's {name}, as the database has it now.")


def _areads(name: str) -> Any:
    async def read(self: "Queue") -> Any:
        return _plainly(getattr(await self.ours.alimits(), name))

    return read


def _plainly(limit: Any) -> Any:
    return limit.as_dict() if isinstance(limit, RateLimit) else limit


def _sets(name: str) -> Callable[["Queue", Any], None]:
    def change(self: "Queue", value: Any) -> None:
        """Set the limit; workers follow at once. Raises ValueError if it does not fit the others."""
        self.ours.configure(**{name: value})

    return change


def _asets(name: str) -> Callable[["Queue", Any], Awaitable[None]]:
    async def change(self: "Queue", value: Any) -> None:
        """Set the limit; workers follow at once. Raises ValueError if it does not fit the others."""
        await self.ours.aconfigure(**{name: value})

    return change


class Queue:
    """A named line of runs. Making one declares it, before or after ``DBOS.launch()``."""

    def __init__(
        self,
        name: str,
        concurrency: int | None = None,
        limiter: QueueRateLimit | None = None,
        **options: Unpack[QueueOptions],
    ) -> None:
        limits = {"concurrency": concurrency, "limiter": limiter, "priority_enabled": False}
        self.ours = ours.Queue(name, **_translated({**limits, **options}))
        declared.queues.add(name)
        if process.worker is not None:
            blocking(process.worker.declare)

    @classmethod
    def of(cls, found: ours.Queue) -> "Queue":
        """Return a queue that the database has."""
        queue = cls.__new__(cls)
        queue.ours = found
        return queue

    def __repr__(self) -> str:
        return repr(self.ours)

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.ours.name

    @overload
    def enqueue(
        self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandle[R]: ...
    @overload
    def enqueue(self, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]: ...
    def enqueue(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Enqueue a run of a workflow, or of a single step."""
        return workflows.enqueue_workflow(self.name, func, *args, **kwargs)

    def enqueue_async(
        self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, WorkflowHandleAsync[R]]:
        """Async twin of ``enqueue``."""
        return workflows.enqueue_workflow_async(self.name, func, *args, **kwargs)

    def limits(self) -> Limits:
        """Return the limits: the database's, or before the launch the declared ones."""
        found = registry.queues.get(self.name)
        if process.worker is None and found is not None:
            return found.limits
        return self.ours.limits

    @property
    def polling_interval_sec(self) -> float:
        """The longest pause between two looks at the queue, in seconds."""
        return _seconds(blocking(queues.get, self.name))

    async def get_polling_interval_sec_async(self) -> float:
        """Return what ``polling_interval_sec`` is."""
        return _seconds(await database.acall(queues.get, self.name))

    set_polling_interval_sec = _sets("polling_interval")
    set_polling_interval_sec_async = _asets("polling_interval")

    concurrency = _reads("concurrency")
    get_concurrency_async = _areads("concurrency")
    set_concurrency = _sets("concurrency")
    set_concurrency_async = _asets("concurrency")

    global_concurrency = _reads("concurrency")
    get_global_concurrency_async = _areads("concurrency")
    set_global_concurrency = _sets("concurrency")
    set_global_concurrency_async = _asets("concurrency")

    worker_concurrency = _reads("worker_concurrency")
    get_worker_concurrency_async = _areads("worker_concurrency")
    set_worker_concurrency = _sets("worker_concurrency")
    set_worker_concurrency_async = _asets("worker_concurrency")

    partition_concurrency = _reads("partition_concurrency")
    get_partition_concurrency_async = _areads("partition_concurrency")
    set_partition_concurrency = _sets("partition_concurrency")
    set_partition_concurrency_async = _asets("partition_concurrency")

    partition_worker_concurrency = _reads("partition_worker_concurrency")
    get_partition_worker_concurrency_async = _areads("partition_worker_concurrency")
    set_partition_worker_concurrency = _sets("partition_worker_concurrency")
    set_partition_worker_concurrency_async = _asets("partition_worker_concurrency")

    limiter = _reads("limiter")
    get_limiter_async = _areads("limiter")
    set_limiter = _sets("limiter")
    set_limiter_async = _asets("limiter")

    partition_limiter = _reads("partition_limiter")
    get_partition_limiter_async = _areads("partition_limiter")
    set_partition_limiter = _sets("partition_limiter")
    set_partition_limiter_async = _asets("partition_limiter")


def _seconds(found: queues.QueueState | None) -> float:
    interval = None if found is None else found.polling_interval
    return POLLING_INTERVAL if interval is None else interval.total_seconds()


class ClientQueue(Queue):
    """A queue as a client sees it: it enqueues with options, not with functions."""

    def enqueue(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Raise DBOSException."""
        raise DBOSException("a client enqueues with DBOSClient.enqueue(options, ...).")

    def enqueue_async(
        self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, WorkflowHandleAsync[R]]:
        """Raise DBOSException."""
        raise DBOSException("a client enqueues with DBOSClient.enqueue_async(options, ...).")


# Queues as such


@shown(ours.register_queue, ours.aregister_queue, Queue.of)
def register_queue(
    name: str, *, on_conflict: OnConflict = "update_if_latest_version", **options: Unpack[RegisterOptions]
) -> Given:
    """Create a queue in the database, or change the one of that name."""
    if on_conflict == "update_if_latest_version":
        if process.worker is None:
            raise DBOSException(f"the queue {name!r} can be registered after DBOS.launch() only.")
        latest = process.worker.version.takes_unversioned
        on_conflict = "always_update" if latest else "never_update"
    return given(name, on_conflict=on_conflict, **_translated(options))


@shown(ours.register_queue, ours.aregister_queue, ClientQueue.of)
def register_queue_from_outside(
    name: str, *, on_conflict: OnConflict = "always_update", **options: Unpack[RegisterOptions]
) -> Given:
    """Create a queue in the database, or change the one of that name."""
    if on_conflict == "update_if_latest_version":
        raise DBOSException("a client has no version: on_conflict is 'always_update' or 'never_update'.")
    return given(name, on_conflict=on_conflict, **_translated(options))


def _of_or_none(found: ours.Queue | None) -> Queue | None:
    return None if found is None else Queue.of(found)


@shown(ours.retrieve_queue, ours.aretrieve_queue, _of_or_none)
def retrieve_queue(name: str) -> Given:
    """Return a queue of the database, None if there is none of that name."""
    return given(name)


def _project_queues(found: list[ours.Queue]) -> list[Queue]:
    return [Queue.of(one) for one in found if one.name != DEFAULT_QUEUE]


@shown(ours.list_queues, ours.alist_queues, _project_queues)
def list_queues(*, application_name: str | list[str] | None = None) -> Given:
    """Return all queues of the database, by name."""
    return given()


@plain(ours.delete_queue, ours.adelete_queue)
def delete_queue(name: str) -> Given:
    """Delete a queue with its limits; its runs wait for a queue of that name."""
    return given(name)


@plain(ours.set_workflow_delay, ours.aset_workflow_delay)
def set_workflow_delay(
    workflow_id: str,
    *,
    delay_seconds: float | None = None,
    delay_until_epoch_ms: int | None = None,
    shard_key: str | None = None,
) -> Given:
    """Set anew when a delayed run may start: in so many seconds, or at a time."""
    unused(shard_key=shard_key)
    until = None if delay_until_epoch_ms is None else times.at_epoch_ms(delay_until_epoch_ms)
    return given(workflow_id, delay_seconds=delay_seconds, delay_until=until)
