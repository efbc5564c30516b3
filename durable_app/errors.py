"""Every error of this package.

DurableError                                      (Exception) anything a caller may handle
├── InvalidWorkflowIDError                        (ValueError) an empty or over-long id
├── InvalidOptionError                            (ValueError) an option outside its range
├── SerializationError                            (TypeError) a value that cannot be stored
│   └── PayloadTooLargeError                      a value above the size limit
├── InvalidArgumentsError                         (ValueError) arguments that a run's workflow refuses
├── ConflictingRegistrationError                  two functions under one name
├── WorkflowFunctionNotFoundError                 no such decorated function
├── NotInWorkflowError                            a verb of workflows used elsewhere
├── NotAllowedInStepError                         a verb of workflows used inside a step
├── SynchronousCallError                          (RuntimeError) a blocking call on an event loop
├── OpenTransactionError                          waiting inside an open transaction
├── TransactionLeftOpenError                      a function did not end its transaction
├── DatabaseNotReadyError                         tables missing, or a database without support
├── NonExistentWorkflowError                      no run has this id
├── ConflictingWorkflowError                      the id belongs to another function
├── WorkflowIDInUseError                          the id exists and reuse was refused
├── QueueDeduplicatedError                        another active run has the deduplication id
├── NonExistentQueueError                         no queue has this name
├── InvalidTransitionError                        the run's state does not allow the verb
├── NotAuthorizedError                            the user's roles do not allow the run
├── MaxStepRetriesExceeded                        a step failed on its last try
├── StepTimeoutError                              a step took longer than its timeout
├── ResultTimeoutError                            (TimeoutError) a result did not come in time
├── QueryTimeoutError                             (TimeoutError) a listing or statistic took too long
├── UnexpectedStepError                           the code differs from the recorded steps
├── StepNondeterminismError                       one position was recorded twice
├── PatchNondeterminismError                      operations began beside an unanswered patch
├── NonExistentVersionError                       no worker has registered this version
├── AwaitedWorkflowCancelledError                 the awaited run was cancelled
├── AwaitedWorkflowMaxRecoveryAttemptsExceeded    the awaited run was dead-lettered
├── WorkflowError                                 a recorded error of an unknown class
└── PortableWorkflowError                         an error of a portable run

ControlFlow                                       (BaseException) ends a run from outside;
├── WorkflowCancelled                             ``except Exception`` does not catch it
├── OwnershipLost
└── Suspended
"""

from collections.abc import Sequence


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


class InvalidWorkflowIDError(DurableError, ValueError):
    """A workflow id is empty, blank or too long."""


class InvalidOptionError(DurableError, ValueError):
    """An option is outside its range, or does not go with another."""


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


class NonExistentWorkflowError(DurableError):
    """No run has this workflow id."""

    def __init__(self, workflow_id: str, purpose: str = "") -> None:
        self.workflow_id = workflow_id
        where = f" {purpose}" if purpose else ""
        super().__init__(f"Non-existent{where} workflow ID {workflow_id!r}")


class ConflictingWorkflowError(DurableError):
    """The workflow id is taken by a run of another function, class or instance."""

    def __init__(self, workflow_id: str, what: str, recorded: str | None, given: str | None) -> None:
        self.workflow_id = workflow_id
        super().__init__(
            f"Workflow already exists with a different {what}: {workflow_id!r} is a run of "
            f"{recorded!r}, not of {given!r}."
        )


class WorkflowIDInUseError(DurableError):
    """The workflow id exists already and its reuse was refused."""

    def __init__(self, workflow_id: str, workflow_status: str, workflow_name: str) -> None:
        self.workflow_id = workflow_id
        self.workflow_status = workflow_status
        self.workflow_name = workflow_name
        super().__init__(
            f"Workflow ID {workflow_id!r} is in use by a run of {workflow_name!r} ({workflow_status})."
        )


class QueueDeduplicatedError(DurableError):
    """Another active run of the queue has the deduplication id."""

    def __init__(self, workflow_id: str, queue_name: str, deduplication_id: str) -> None:
        self.workflow_id = workflow_id
        self.queue_name = queue_name
        self.deduplication_id = deduplication_id
        super().__init__(
            f"The run {workflow_id!r} holds the deduplication id {deduplication_id!r} "
            f"of the queue {queue_name!r}."
        )


class NonExistentQueueError(DurableError):
    """There is no queue of this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"There is no queue {name!r}.")


class InvalidTransitionError(DurableError):
    """The run's state does not allow what was asked of it."""

    def __init__(self, workflow_id: str, status: str, verb: str) -> None:
        self.workflow_id = workflow_id
        self.status = status
        super().__init__(f"Workflow {workflow_id!r} is {status}: it cannot {verb}.")


class NotAuthorizedError(DurableError):
    """The current user has none of the roles that the workflow requires."""

    msg = DurableError.message


class MaxStepRetriesExceeded(DurableError):
    """A step failed on its last allowed try; ``errors`` holds one message a try."""

    def __init__(self, step_name: str, errors: Sequence[BaseException]) -> None:
        self.step_name = step_name
        self.max_retries = len(errors)
        self.errors = list(errors)
        super().__init__(
            f"Step {step_name!r} has exceeded its maximum of {len(errors)} attempts; "
            f"the last error was {type(errors[-1]).__name__}: {errors[-1]}"
        )


class StepTimeoutError(DurableError):
    """A step took longer than its ``timeout_seconds``."""

    def __init__(self, step_name: str, timeout_seconds: float) -> None:
        self.step_name = step_name
        self.timeout_seconds = timeout_seconds
        super().__init__(f"Step {step_name!r} exceeded its timeout of {timeout_seconds} seconds")


class ResultTimeoutError(DurableError, TimeoutError):
    """A result was not there within the time the caller was ready to wait."""

    def __init__(self, workflow_id: str, timeout_seconds: float) -> None:
        self.workflow_id = workflow_id
        self.timeout_seconds = timeout_seconds
        super().__init__(f"Workflow {workflow_id!r} has no result after {timeout_seconds} seconds")


class QueryTimeoutError(DurableError, TimeoutError):
    """A listing or a statistic took longer than ``DURABLE["QUERY_TIMEOUT"]``."""

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        super().__init__(
            f"The query was ended after {timeout_seconds} seconds: narrow its filters, or set "
            f"DURABLE['QUERY_TIMEOUT']."
        )


class UnexpectedStepError(DurableError):
    """The workflow's code does not match the steps it recorded earlier."""

    def __init__(
        self, workflow_id: str, step_id: object, *, expected: str, recorded: str, line: str = ""
    ) -> None:
        self.workflow_id = workflow_id
        self.step_id = step_id
        self.expected = expected
        self.recorded = recorded
        self.inputs = (workflow_id, step_id, expected, recorded)
        where = f" at {line}" if line else ""
        super().__init__(
            f"Workflow {workflow_id!r}: step {step_id} was recorded as {recorded!r}, but the code now "
            f"runs {expected!r}{where}. The workflow's code has changed or is not deterministic."
        )


class StepNondeterminismError(DurableError):
    """One execution recorded two different outcomes at one position."""

    def __init__(self, workflow_id: str, step_id: object, what: str) -> None:
        self.workflow_id = workflow_id
        self.step_id = step_id
        self.inputs = (workflow_id, step_id)
        super().__init__(f"Workflow {workflow_id!r}: {what} at step {step_id}.")


class PatchNondeterminismError(DurableError):
    """Other operations were started before a patch had its answer."""

    def __init__(self, workflow_id: str, patch_name: str) -> None:
        self.workflow_id = workflow_id
        self.patch_name = patch_name
        self.inputs = (workflow_id, patch_name)
        super().__init__(
            f"Workflow {workflow_id!r} started another operation before the patch {patch_name!r} was "
            f"answered: await `apatch({patch_name!r})` by itself."
        )


class NonExistentVersionError(DurableError):
    """No worker has registered this version of the application."""

    def __init__(self, version_name: str | None = None) -> None:
        self.version_name = version_name
        super().__init__(
            "No application version is registered: workers register DURABLE['APP_VERSION']."
            if version_name is None
            else f"There is no application version {version_name!r}."
        )


class AwaitedWorkflowCancelledError(DurableError):
    """The run whose result was awaited has been cancelled."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(f"Awaited workflow {workflow_id!r} was cancelled")


class AwaitedWorkflowMaxRecoveryAttemptsExceeded(DurableError):
    """The run whose result was awaited has been dead-lettered."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(f"Awaited workflow {workflow_id!r} exceeded its maximum recovery attempts")


class WorkflowError(DurableError):
    """A recorded error whose class is unknown here, or could not be rebuilt.

    ``type_name`` is the dotted name of the original class, ``traceback_text`` its traceback.
    """

    message = ""

    def __init__(self, type_name: str, message: str, traceback_text: str = "") -> None:
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text
        super().__init__(f"{type_name}: {message}")


class PortableWorkflowError(DurableError):
    """An error of a portable run: the ``name`` of its class, a ``code`` and ``data`` if it has any."""

    def __init__(self, message: str, name: str, code: int | str | None = None, data: object = None) -> None:
        self.name = name
        self.code = code
        self.data = data
        super().__init__(message)


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


class Suspended(ControlFlow):
    """The run waits for something; its thread is released and the run replayed later."""

    _fact = "is suspended until what it waits for has come"
