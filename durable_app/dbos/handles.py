"""Handles as the seed has them: the same methods, to be called or to be awaited."""

from typing import Any, Generic, TypeVar, cast

from durable_app.dbos.status import WorkflowStatus, seed_status
from durable_app.engine.flow import on_event_loop
from durable_app.errors import SynchronousCallError
from durable_app.handles import WorkflowHandle as Handle

R = TypeVar("R")


class _Handle(Generic[R]):
    """Refers to a run by its id."""

    shard_key: str | None = None

    def __init__(self, ours: Handle[Any]) -> None:
        self.ours = ours

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.workflow_id!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.workflow_id == self.workflow_id

    def __hash__(self) -> int:
        return hash(self.workflow_id)

    @property
    def workflow_id(self) -> str:
        """The run's id."""
        return self.ours.workflow_id

    def get_workflow_id(self) -> str:
        """Return the run's id."""
        return self.ours.workflow_id


class WorkflowHandle(_Handle[R]):
    """A run, for code that blocks."""

    def get_result(self, *, polling_interval_sec: float = 1.0) -> R:
        """Wait for the run's end and return its value, or raise what it raised."""
        _refuse_on_loop("get_result")
        return cast(R, self.ours.get_result(polling_interval_sec=polling_interval_sec))

    def get_status(self) -> WorkflowStatus:
        """Return the run's status; raises DBOSNonExistentWorkflowError if it is gone."""
        _refuse_on_loop("get_status")
        return seed_status(self.ours.get_status())


class WorkflowHandleAsync(_Handle[R]):
    """A run, for code that awaits."""

    async def get_result(self, *, polling_interval_sec: float = 1.0) -> R:
        """Wait for the run's end and return its value, or raise what it raised."""
        return cast(R, await self.ours.aget_result(polling_interval_sec=polling_interval_sec))

    async def get_status(self) -> WorkflowStatus:
        """Return the run's status; raises DBOSNonExistentWorkflowError if it is gone."""
        return seed_status(await self.ours.aget_status())


def _refuse_on_loop(verb: str) -> None:
    if on_event_loop():
        raise SynchronousCallError(f"WorkflowHandle.{verb}()", f"WorkflowHandleAsync.{verb}()")
