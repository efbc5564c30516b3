"""The two roots: what a caller may handle, and what ends a run from outside."""


class DurableError(Exception):
    """Something the caller may handle went wrong in the durable engine."""

    dbos_error_code: int | None = None
    """The seed system's number of this kind of error, which ``durable_app.dbos`` knows."""

    @property
    def message(self) -> str:
        """The sentence."""
        return str(self)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(cls: type[BaseException], args: tuple[object, ...], state: dict[str, object]) -> BaseException:
    """Rebuild an error from its sentence and data, whatever its ``__init__`` takes."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ControlFlow(BaseException):
    """Ends an execution from outside; user code must let it pass."""

    dbos_error_code: int | None = None
    message = DurableError.message

    def __init__(self, workflow_id: str, why: str = "") -> None:
        self.workflow_id = workflow_id
        super().__init__(f"Workflow {workflow_id!r} {why or self._fact}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)

    _fact = "has stopped"


class WorkflowCancelled(ControlFlow):
    """The run was cancelled while it executed."""

    _fact = "has been cancelled"


class OwnershipLost(ControlFlow):
    """Another worker holds the run now: this execution may write nothing more."""

    _fact = "is no longer owned by this execution"


class ContinuedAsNew(ControlFlow):
    """The workflow has asked to go on as new: its function begins again, without its history.

    ``serialization`` is the format of the new ``inputs``, ``step_id`` where the old history ends.
    """

    def __init__(self, workflow_id: str, step_id: int, inputs: str, serialization: str) -> None:
        self.step_id = step_id
        self.inputs = inputs
        self.serialization = serialization
        super().__init__(workflow_id)

    _fact = "goes on as new"


class Suspended(ControlFlow):
    """The run waits for something; its thread is released and the run replayed later."""

    _fact = "is suspended until what it waits for has come"
