"""Debouncing: of many calls in a short time only the last one runs."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from durable_app import public as ours
from durable_app.dbos.handles import WorkflowHandle, WorkflowHandleAsync
from durable_app.dbos.named import EnqueueOptions, surroundings, target_named, target_of
from durable_app.dbos.outside import outside
from durable_app.dbos.queue import Queue
from durable_app.dbos.threads import blocking
from durable_app.engine.launch import Target
from durable_app.limits import DEFAULT_QUEUE
from durable_app.starting import target_of as decorated_target

P = ParamSpec("P")
R = TypeVar("R")


class Debouncer(Generic[P, R]):
    """Runs a workflow once for many calls with one key, with the last call's arguments.

    The workflow is given by its name, or as a function to ``create``.
    """

    def __init__(
        self,
        workflow_name: str,
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> None:
        self._ours = _made(target_named(workflow_name), debounce_timeout_sec, queue)

    @classmethod
    def create(
        cls,
        workflow: Callable[P, R],
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> "Debouncer[P, R]":
        """Return a debouncer of a function; raises TypeError for a method."""
        target = decorated_target(workflow)
        if target.class_name is not None:
            raise TypeError(f"{target.definition.name!r} is a method: it cannot be debounced")
        found = cls.__new__(cls)
        found._ours = _made(target, debounce_timeout_sec, queue)  # noqa: SLF001  (made here)
        return found

    @classmethod
    async def create_async(
        cls,
        workflow: Callable[P, R],
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> "Debouncer[P, R]":
        """Async twin of ``create``."""
        return cls.create(workflow, debounce_timeout_sec=debounce_timeout_sec, queue=queue)

    def debounce(
        self, debounce_key: str, debounce_period_sec: float, *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandle[R]:
        """Put the run that waits under the key off, or start one; return its handle."""
        return WorkflowHandle(
            blocking(self._ours.debounce, debounce_key, debounce_period_sec, *args, **kwargs)
        )

    async def debounce_async(
        self, debounce_key: str, debounce_period_sec: float, *args: P.args, **kwargs: P.kwargs
    ) -> WorkflowHandleAsync[Any]:
        """Async twin of ``debounce``."""
        return WorkflowHandleAsync(
            await self._ours.adebounce(debounce_key, debounce_period_sec, *args, **kwargs)
        )


def _made(target: Target, timeout: float | None, queue: Queue | str | None) -> ours.Debouncer:
    name = queue.name if isinstance(queue, Queue) else queue
    return ours.Debouncer(target, debounce_timeout=timeout, queue=name or DEFAULT_QUEUE)  # type: ignore[arg-type]


class DebouncerClient:
    """A debouncer for programs that only enqueue: what it does is never a step of a workflow."""

    def __init__(
        self,
        client: Any,
        workflow_options: EnqueueOptions,
        *,
        debounce_timeout_sec: float | None = None,
        queue: Queue | str | None = None,
        application_name: str | None = None,
    ) -> None:
        self._options = workflow_options
        chosen = queue or workflow_options.get("queue_name")
        self._ours = _made(target_of(workflow_options), debounce_timeout_sec, chosen)

    @outside
    def debounce(
        self, debounce_key: str, debounce_period_sec: float, *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Put the run that waits under the key off, or start one; return its handle."""
        with surroundings(self._options):
            return WorkflowHandle(self._ours.debounce(debounce_key, debounce_period_sec, *args, **kwargs))

    @outside
    async def debounce_async(
        self, debounce_key: str, debounce_period_sec: float, *args: Any, **kwargs: Any
    ) -> WorkflowHandleAsync[Any]:
        """Async twin of ``debounce``."""
        with surroundings(self._options):
            return WorkflowHandleAsync(
                await self._ours.adebounce(debounce_key, debounce_period_sec, *args, **kwargs)
            )
