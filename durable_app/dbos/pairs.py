"""Both colours of a verb from one description: how the seed's arguments become ours, and our value theirs."""

import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, cast

from asgiref.sync import markcoroutinefunction

from durable_app.dbos.handles import WorkflowHandle, WorkflowHandleAsync
from durable_app.engine.flow import on_event_loop
from durable_app.errors import SynchronousCallError
from durable_app.handles import WorkflowHandle as Handle

logger = logging.getLogger("durable_app")

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
A = TypeVar("A")


class Given(NamedTuple):
    """The arguments of our function."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    then: Callable[[Any], Any] | None = None
    """What is to be done with the value that is shown."""


def given(*args: Any, **kwargs: Any) -> Given:
    """Return arguments for our function."""
    return Given(args, kwargs)


class Pair(Generic[P, S, A]):
    """A verb: ``now`` blocks, ``later`` is its ``_async`` twin."""

    def __init__(
        self,
        translate: Callable[P, Given],
        ours: Callable[..., Any],
        twin: Callable[..., Awaitable[Any]],
        shown: tuple[Callable[[Any], S], Callable[[Any], A]],
    ) -> None:
        functools.update_wrapper(cast(Any, self), translate)
        self._translate = translate
        self._ours, self._twin = ours, twin
        self._shown, self._shown_later = shown

    def now(self, *args: P.args, **kwargs: P.kwargs) -> S:
        """Perform the verb; raises SynchronousCallError on a running event loop."""
        if on_event_loop():
            name = self._translate.__name__
            raise SynchronousCallError(f"DBOS.{name}()", f"DBOS.{name}_async()")
        found = self._translate(*args, **kwargs)
        value = self._shown(self._ours(*found.args, **found.kwargs))
        return value if found.then is None else cast(S, found.then(value))

    @markcoroutinefunction
    def later(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, A]:
        """Return the coroutine that performs the verb; its position is taken now."""
        found = self._translate(*args, **kwargs)
        return self._awaited(self._twin(*found.args, **found.kwargs), found.then)

    async def _awaited(self, awaitable: Awaitable[Any], then: Callable[[Any], Any] | None) -> A:
        value = self._shown_later(await awaitable)
        return value if then is None else cast(A, then(value))


def _same(value: T) -> T:
    return value


def plain(
    ours: Callable[..., T], twin: Callable[..., Awaitable[T]]
) -> Callable[[Callable[P, Given]], Pair[P, T, T]]:
    """Decorator: a verb whose value is the same in both worlds."""
    return lambda translate: Pair(translate, ours, twin, (_same, _same))


def shown(
    ours: Callable[..., T], twin: Callable[..., Awaitable[T]], show: Callable[[T], S]
) -> Callable[[Callable[P, Given]], Pair[P, S, S]]:
    """Decorator: a verb whose value has another shape there."""
    return lambda translate: Pair(translate, ours, twin, (show, show))


def handling(
    ours: Callable[..., Handle[Any]], twin: Callable[..., Awaitable[Handle[Any]]]
) -> Callable[[Callable[P, Given]], Pair[P, WorkflowHandle[Any], WorkflowHandleAsync[Any]]]:
    """Decorator: a verb that returns a handle."""
    return lambda translate: Pair(translate, ours, twin, (WorkflowHandle, WorkflowHandleAsync))


def handling_all(
    ours: Callable[..., list[Handle[Any]]], twin: Callable[..., Awaitable[list[Handle[Any]]]]
) -> Callable[[Callable[P, Given]], Pair[P, list[WorkflowHandle[Any]], list[WorkflowHandleAsync[Any]]]]:
    """Decorator: a verb that returns handles."""
    return lambda translate: Pair(
        translate,
        ours,
        twin,
        (lambda found: list(map(WorkflowHandle, found)), lambda found: list(map(WorkflowHandleAsync, found))),
    )


def unused(**options: Any) -> None:
    """Warn of options that mean nothing in a Django project, such as shards."""
    for name, value in options.items():
        if value is not None and value is not False:
            logger.warning("Option ignored, it has no meaning here option=%s value=%r", name, value)
