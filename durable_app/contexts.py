"""Blocks that say how the workflows started in them are to run."""

from contextvars import Token
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal

from durable_app.engine.context import Ambient, ChosenID, ChosenTimeout, ambient
from durable_app.engine.launch import checked_id
from durable_app.engine.timers import FAR, seconds_of
from durable_app.errors import DurableError, InvalidOptionError, SerializationError


class _Block:
    """A context manager that changes what is around; its effect is local to the task."""

    def __init__(self) -> None:
        self._token: Token[Ambient] | None = None

    def _changes(self) -> dict[str, Any]:
        raise NotImplementedError

    def __enter__(self) -> "_Block":
        if self._token is not None:
            raise DurableError(f"This {type(self).__name__} block is open already.")
        self._token = ambient.set(replace(ambient.get(), **self._changes()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            ambient.reset(token)


class SetWorkflowID(_Block):
    """Give the first workflow started in the block this id; later ones get generated ids.

    An id that exists already means the run that has it; with ``workflow_id_reuse_policy="reject"`` it is a
    WorkflowIDInUseError. Raises InvalidWorkflowIDError for an id that is empty, blank or longer than 255
    characters, InvalidOptionError for an unknown policy.
    """

    def __init__(
        self,
        workflow_id: str,
        *,
        workflow_id_reuse_policy: Literal["return-existing", "reject"] = "return-existing",
    ) -> None:
        super().__init__()
        self.workflow_id = checked_id(workflow_id)
        if workflow_id_reuse_policy not in ("return-existing", "reject"):
            raise InvalidOptionError(
                f"workflow_id_reuse_policy is 'return-existing' or 'reject', not {workflow_id_reuse_policy!r}"
            )
        self.rejects_reuse = workflow_id_reuse_policy == "reject"

    def _changes(self) -> dict[str, Any]:
        return {"chosen_id": ChosenID(self.workflow_id, rejects_reuse=self.rejects_reuse)}


class SetWorkflowTimeout(_Block):
    """Cancel the workflows started in the block once they have run this long.

    The timeout, in seconds or a timedelta, counts from the start of execution; None detaches a child
    from its parent's deadline. Raises InvalidOptionError unless it is above zero.
    """

    def __init__(self, timeout: float | timedelta | None) -> None:
        super().__init__()
        self.span: timedelta | None = None
        if timeout is not None:
            seconds = seconds_of(timeout, "a workflow timeout")
            if seconds <= 0:
                raise InvalidOptionError(f"a workflow timeout must be above zero, not {timeout}")
            self.span = timedelta(seconds=min(seconds, FAR.total_seconds()))

    def _changes(self) -> dict[str, Any]:
        return {"timeout": ChosenTimeout(self.span)}


class SetWorkflowAttributes(_Block):
    """Attach these attributes, a JSON object, to the workflows started in the block."""

    def __init__(self, attributes: dict[str, Any] | None) -> None:
        super().__init__()
        if attributes is not None and not isinstance(attributes, dict):
            raise SerializationError(f"attributes must be a dict, not {type(attributes).__name__}")
        self.attributes = attributes

    def _changes(self) -> dict[str, Any]:
        return {"attributes": self.attributes}
