"""The code asks for what cannot be: a bad option, a value that cannot be stored, a misplaced call."""

import math
from datetime import timedelta
from typing import Any

from durable_app.errors.base import DurableError


class InvalidWorkflowIDError(DurableError, ValueError):
    """A workflow id is empty, blank or too long."""


class PermissionDeniedError(DurableError):
    """An operator may not use this verb."""

    def __init__(self, verb: str, permission: str) -> None:
        self.verb = verb
        self.permission = permission
        super().__init__(f"{verb!r} needs the permission {permission!r}.")


class InvalidAnswerError(DurableError, ValueError):
    """An answer to a run's question that its form does not accept; ``errors`` has them by field."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {' '.join(found)}" for name, found in errors.items()))


class InvalidOptionError(DurableError, ValueError):
    """An option is outside its range, or does not go with another.

    ``options`` has their names where they are told, the one at fault first.
    """

    options: tuple[str, ...] = ()

    def __init__(self, sentence: str = "", *options: str) -> None:
        self.options = options
        super().__init__(sentence)


class RetryAfter(DurableError):
    """Raised by a step that is to be tried again after a time, in the place of its policy's pause.

    ``seconds`` is a number or a timedelta. Whether it is tried again at all its policy says. Raises
    InvalidOptionError for no span.
    """

    def __init__(self, seconds: float | timedelta, reason: str = "") -> None:
        span: Any = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if isinstance(span, bool) or not isinstance(span, int | float) or not 0 <= span < math.inf:
            raise InvalidOptionError(
                f"RetryAfter: seconds must be a number from zero on, or a timedelta, not {seconds!r}"
            )
        self.seconds = float(span)
        self.reason = reason
        super().__init__(f"To be tried again after {span} seconds{reason and f': {reason}'}")


class SerializationError(DurableError, TypeError):
    """A value cannot be stored; the message names the path inside the value."""


class PayloadTooLargeError(SerializationError):
    """A value is larger than ``DURABLE["MAX_PAYLOAD"]`` bytes."""


class InvalidArgumentsError(DurableError, ValueError):
    """The arguments of a run do not fit its workflow: its body does not begin."""


class ConflictingRegistrationError(DurableError):
    """Two different functions were registered under the same name."""


class WorkflowFunctionNotFoundError(DurableError):
    """What was to be run is not a registered workflow or step."""

    workflow_id = ""
    """The run that it was needed for, if there is one already."""


class NotInWorkflowError(DurableError):
    """A verb that needs a running workflow was used outside of one."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        super().__init__(f"{verb}() must be called from within a workflow")


class NotAllowedInStepError(DurableError):
    """A verb that records a step of its own was used inside a step."""

    def __init__(self, verb: str, step_name: str) -> None:
        self.verb = verb
        self.step_name = step_name
        super().__init__(
            f"{verb} cannot be used inside the step {step_name!r}: "
            f"move it into the workflow, before or after the step."
        )


class NotAllowedInWorkflowError(DurableError):
    """A verb that cannot be recorded and replayed was used inside a workflow."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        super().__init__(f"{verb}() cannot be used inside a workflow: call it from a step, or from outside.")


class SynchronousCallError(DurableError, RuntimeError):
    """A blocking function was called on a running event loop."""

    def __init__(self, verb: str, twin: str) -> None:
        self.verb = verb
        self.twin = twin
        super().__init__(f"{verb} blocks, and an event loop is running here: use `await {twin}` instead.")


class OpenTransactionError(DurableError):
    """Waiting inside an open transaction would wait for rows nobody else can see."""

    def __init__(self, verb: str, using: str) -> None:
        self.verb = verb
        self.using = using
        super().__init__(
            f"{verb} was used inside an open transaction on the database {using!r}: what it waits for "
            f"cannot be seen by others before the commit. Call it after the atomic() block, or use "
            f"start_workflow(), which joins the transaction."
        )


class TransactionLeftOpenError(DurableError):
    """A step or workflow ended without ending a transaction that it began: its writes are rolled back."""

    def __init__(self, what: str, using: str) -> None:
        self.what = what
        self.using = using
        super().__init__(
            f"{what} left a transaction open on the database {using!r}; it has been rolled back. Use "
            f"`with transaction.atomic():`, or switch autocommit on again before the function ends."
        )


class DatabaseNotReadyError(DurableError):
    """The engine's tables are missing, or the database cannot carry the engine."""
