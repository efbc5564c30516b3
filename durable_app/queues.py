"""Queues: declared in code or registered at run time, changed while workers follow, paused and resumed.

Each verb has an ``a``-prefixed twin; inside a workflow the verbs on queues themselves are recorded steps.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, ParamSpec, TypedDict, Unpack, get_args

from asgiref.sync import markcoroutinefunction

from durable_app import serialization
from durable_app.contexts import moment
from durable_app.engine import versions as code
from durable_app.engine.flow import Flow, adrive
from durable_app.enqueueing import aenqueue, aenqueue_many, enqueue, enqueue_many
from durable_app.errors import InvalidOptionError, NonExistentQueueError
from durable_app.handles import WorkflowHandle
from durable_app.limits import Limits, RateLimit, checked_interval, checked_queue_name
from durable_app.registry import DeclaredQueue, registry
from durable_app.store import queues, versions
from durable_app.verbs import perform, verb_flow

P = ParamSpec("P")

serialization.serializable(RateLimit)
serialization.serializable(Limits)
serialization.serializable(queues.Pause)


NO_LIMITS = Limits()


class LimitOptions(TypedDict, total=False):
    """What a queue may limit; see ``Queue``."""

    concurrency: int | None
    worker_concurrency: int | None
    limiter: Any
    partition_queue: bool
    partition_concurrency: int | None
    partition_worker_concurrency: int | None
    partition_limiter: Any


def _limits(given: LimitOptions, based_on: Limits = NO_LIMITS) -> Limits:
    """Return limits as a value, or raise InvalidOptionError."""
    unknown = given.keys() - LimitOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(sorted(LimitOptions.__annotations__))
        raise InvalidOptionError(f"unknown limit {min(unknown)!r} of a queue; known are: {known}")
    values: dict[str, Any] = dict(given)
    for name in ("limiter", "partition_limiter"):
        if name in values:
            values[name] = RateLimit.of(values[name])
    return replace(based_on, **values)


class Queue:
    """A named line of runs, declared in code: workers create it, and follow a declaration that changes.

    ``concurrency`` runs at once over all workers, ``worker_concurrency`` in each worker process;
    ``limiter={"limit": 50, "period": 60}``: at most 50 starts in any 60 seconds. The same with
    ``partition_`` in front holds for each partition key by itself; with ``partition_queue`` (or any of
    these) runs need a key, and the keys take turns. ``priority_enabled=False`` refuses priorities.
    Workers look at the queue at least every ``polling_interval``, in seconds or a timedelta. A run that
    waits (parked) is not running: it takes no place. Raises InvalidOptionError,
    ConflictingRegistrationError for a second declaration with other limits.
    """

    def __init__(
        self,
        name: str,
        *,
        priority_enabled: bool = True,
        polling_interval: float | timedelta | None = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        self.name = checked_queue_name(name)
        if not isinstance(priority_enabled, bool):
            raise InvalidOptionError(f"priority_enabled is True or False, not {priority_enabled!r}")
        frame = sys._getframe(1)  # noqa: SLF001  (where the declaration stands)
        declared = DeclaredQueue(
            limits=_limits(limits),
            polling_interval=checked_interval(polling_interval),
            priority_enabled=priority_enabled,
            location=f"{frame.f_code.co_filename}:{frame.f_lineno}",
        )
        registry.add_queue(name, declared)

    @classmethod
    def named(cls, name: str) -> "Queue":
        """Return the queue of a name without declaring anything."""
        found = cls.__new__(cls)
        found.name = checked_queue_name(name)
        return found

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    # its runs

    def enqueue(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[Any]:
        """Enqueue a run; see ``enqueue``."""
        return enqueue(self.name, func, *args, **kwargs)

    @markcoroutinefunction
    def aenqueue(
        self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[WorkflowHandle[Any]]:
        """Async twin of ``enqueue``."""
        return aenqueue(self.name, func, *args, **kwargs)

    def enqueue_many(self, func: Callable[..., Any], calls: Iterable[Any]) -> list[WorkflowHandle[Any]]:
        """Enqueue many runs at once; see ``enqueue_many``."""
        return enqueue_many(self.name, func, calls)

    @markcoroutinefunction
    def aenqueue_many(
        self, func: Callable[..., Any], calls: Iterable[Any]
    ) -> Awaitable[list[WorkflowHandle[Any]]]:
        """Async twin of ``enqueue_many``."""
        return aenqueue_many(self.name, func, calls)

    # its limits

    @property
    def limits(self) -> Limits:
        """The limits as the database has them now; raises NonExistentQueueError."""
        return perform("getQueue", "alimits", partial(_limits_of, self.name))

    @markcoroutinefunction
    def alimits(self) -> Awaitable[Limits]:
        """Return what ``limits`` is."""
        return adrive(verb_flow("getQueue", partial(_limits_of, self.name)))

    def configure(
        self, *, polling_interval: float | timedelta | None = None, **limits: Unpack[LimitOptions]
    ) -> Limits:
        """Change some limits (None removes one), or the polling interval; workers follow at once.

        Returns all limits. Raises InvalidOptionError if they do not fit together, NonExistentQueueError.
        """
        verb = _configuration(self.name, limits, polling_interval)
        return perform("configureQueue", "aconfigure", verb)

    @markcoroutinefunction
    def aconfigure(
        self, *, polling_interval: float | timedelta | None = None, **limits: Unpack[LimitOptions]
    ) -> Awaitable[Limits]:
        """Async twin of ``configure``."""
        return adrive(verb_flow("configureQueue", _configuration(self.name, limits, polling_interval)))

    # pausing

    @property
    def is_paused(self) -> bool:
        """Whether nothing is taken from it now; raises NonExistentQueueError."""
        return perform("isQueuePaused", "ais_paused", partial(_is_paused, self.name))

    @markcoroutinefunction
    def ais_paused(self) -> Awaitable[bool]:
        """Return what ``is_paused`` is."""
        return adrive(verb_flow("isQueuePaused", partial(_is_paused, self.name)))

    @property
    def paused(self) -> queues.Pause | None:
        """Since when it is paused, until when and why; None if it is not. Raises NonExistentQueueError."""
        return perform("getQueuePause", "apaused", partial(_pause_of, self.name))

    @markcoroutinefunction
    def apaused(self) -> Awaitable[queues.Pause | None]:
        """Return what ``paused`` is."""
        return adrive(verb_flow("getQueuePause", partial(_pause_of, self.name)))

    def pause(self, *, until: datetime | float | timedelta | None = None, reason: str = "") -> None:
        """Let workers take nothing from the queue, until a time (or for a span), else until ``resume``.

        What runs goes on. Also from inside a step: an outage of what the queue's runs call should not burn
        their retries. Raises InvalidOptionError for a time without a zone, NonExistentQueueError.
        """
        perform(
            "pauseQueue",
            "apause",
            partial(queues.pause, self.name, None if until is None else moment(until), reason),
        )

    @markcoroutinefunction
    def apause(
        self, *, until: datetime | float | timedelta | None = None, reason: str = ""
    ) -> Awaitable[None]:
        """Async twin of ``pause``."""
        return adrive(
            verb_flow(
                "pauseQueue",
                partial(queues.pause, self.name, None if until is None else moment(until), reason),
            )
        )

    def resume(self) -> None:
        """Let workers take runs from the queue again; raises NonExistentQueueError."""
        perform("resumeQueue", "aresume", partial(queues.resume, self.name))

    @markcoroutinefunction
    def aresume(self) -> Awaitable[None]:
        """Async twin of ``resume``."""
        return adrive(verb_flow("resumeQueue", partial(queues.resume, self.name)))


def _limits_of(name: str) -> Limits:
    return _existing(name).limits


def _is_paused(name: str) -> bool:
    return _existing(name).is_paused


def _pause_of(name: str) -> queues.Pause | None:
    return _existing(name).pause


def _existing(name: str) -> queues.QueueState:
    found = queues.get(name)
    if found is None:
        raise NonExistentQueueError(name)
    return found


def _configuration(
    name: str, given: LimitOptions, interval: float | timedelta | None
) -> Callable[[], Limits]:
    def adjust(before: Limits) -> Limits:
        return _limits(given, based_on=before)

    return partial(queues.change, name, adjust, checked_interval(interval))


# Queues as such


OnConflict = Literal["update_if_latest_version", "always_update", "never_update"]


def register_queue(
    name: str,
    *,
    on_conflict: OnConflict = "update_if_latest_version",
    polling_interval: float | timedelta | None = None,
    **limits: Unpack[LimitOptions],
) -> Queue:
    """Create a queue in the database, or change the one of that name; return it.

    ``on_conflict`` says what becomes of an existing one: without ``DURABLE["APP_VERSION"]`` every process
    has the latest version. Raises InvalidOptionError.
    """
    verb = _registration(name, on_conflict, polling_interval, limits)
    perform("registerQueue", "aregister_queue", verb)
    return Queue.named(name)


@markcoroutinefunction
def aregister_queue(
    name: str,
    *,
    on_conflict: OnConflict = "update_if_latest_version",
    polling_interval: float | timedelta | None = None,
    **limits: Unpack[LimitOptions],
) -> Awaitable[Queue]:
    """Async twin of ``register_queue``."""
    verb = _registration(name, on_conflict, polling_interval, limits)
    return _anamed(name, verb_flow("registerQueue", verb))


async def _anamed(name: str, flow: Flow[Any]) -> Queue:
    await adrive(flow)
    return Queue.named(name)


def _registration(
    name: str, on_conflict: str, interval: float | timedelta | None, limits: LimitOptions
) -> Callable[[], None]:
    if on_conflict not in get_args(OnConflict):
        known = ", ".join(map(repr, get_args(OnConflict)))
        raise InvalidOptionError(f"on_conflict is one of {known}, not {on_conflict!r}")
    checked_queue_name(name)
    wanted, every = _limits(limits), checked_interval(interval)

    def verb() -> None:
        update = on_conflict == "always_update" or (
            on_conflict == "update_if_latest_version" and _has_latest_code()
        )
        queues.register(name, wanted, update=update, polling_interval=every)

    return verb


def _has_latest_code() -> bool:
    return not code.current() or versions.may_be_latest(code.current())


def retrieve_queue(name: str) -> Queue | None:
    """Return a queue of the database or the code, None if there is none of that name."""
    return _found(name, perform("retrieveQueue", "aretrieve_queue", partial(_exists, name)))


@markcoroutinefunction
def aretrieve_queue(name: str) -> Awaitable[Queue | None]:
    """Async twin of ``retrieve_queue``."""
    return _aretrieved(name, verb_flow("retrieveQueue", partial(_exists, name)))


async def _aretrieved(name: str, flow: Flow[bool]) -> Queue | None:
    return _found(name, await adrive(flow))


def _found(name: str, exists: bool) -> Queue | None:
    return Queue.named(name) if exists else None


def _exists(name: str) -> bool:
    return queues.get(checked_queue_name(name)) is not None


def list_queues() -> list[Queue]:
    """Return all queues by name; the default one, which always exists, is among them."""
    return [Queue.named(name) for name in perform("listQueues", "alist_queues", _names)]


@markcoroutinefunction
def alist_queues() -> Awaitable[list[Queue]]:
    """Async twin of ``list_queues``."""
    return _alisted(verb_flow("listQueues", _names))


async def _alisted(flow: Flow[list[str]]) -> list[Queue]:
    return [Queue.named(name) for name in await adrive(flow)]


def _names() -> list[str]:
    return sorted({state.name for state in queues.all_queues()} | registry.queues.keys())


def delete_queue(name: str) -> None:
    """Delete a queue with its limits; its runs stay, and wait for a queue of that name.

    One that code declares comes back with the next worker, or with the next change of it.
    """
    perform("deleteQueue", "adelete_queue", partial(queues.delete, checked_queue_name(name)))


@markcoroutinefunction
def adelete_queue(name: str) -> Awaitable[None]:
    """Async twin of ``delete_queue``."""
    return adrive(verb_flow("deleteQueue", partial(queues.delete, checked_queue_name(name))))
