"""What became of a run, a step, a queue, a schedule or a version that somebody asked for."""

from collections.abc import Sequence

from durable_app.errors.base import DurableError


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


class NonExistentScheduleError(DurableError):
    """There is no schedule of this name."""

    def __init__(self, schedule_name: str) -> None:
        self.schedule_name = schedule_name
        super().__init__(f"The schedule {schedule_name!r} does not exist.")


class ScheduleExistsError(DurableError):
    """The schedule's name is taken, or its definition is the code's to change."""

    def __init__(self, schedule_name: str, why: str = "exists already") -> None:
        self.schedule_name = schedule_name
        super().__init__(f"The schedule {schedule_name!r} {why}.")


class NonExistentApprovalError(DurableError):
    """No run asks a question of this number."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"There is no approval {number}.")


class InvalidTransitionError(DurableError):
    """The run's state does not allow what was asked of it."""

    def __init__(self, workflow_id: str, status: str, verb: str) -> None:
        self.workflow_id = workflow_id
        self.status = status
        super().__init__(f"Workflow {workflow_id!r} is {status}: it cannot {verb}.")


class NotAuthorizedError(DurableError):
    """The current user has none of the roles that the workflow requires."""

    msg = DurableError.message

    def __init__(self, name: str, required_roles: Sequence[str], user: str | None) -> None:
        self.name = name
        self.required_roles = list(required_roles)
        self.user = user
        who = "Nobody is authenticated" if user is None else f"The user {user!r} is not allowed"
        super().__init__(f"{who} to run {name!r}, which requires one of: {', '.join(required_roles)}.")


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


class CompensationError(DurableError):
    """Some of what a cancelled run had done could not be undone; ``failures`` says what and why."""

    def __init__(self, workflow_id: str, failures: Sequence[str]) -> None:
        self.workflow_id = workflow_id
        self.failures = list(failures)
        super().__init__(f"{len(self.failures)} compensations failed: {'; '.join(self.failures)}")


class StreamTimeoutError(DurableError, TimeoutError):
    """A value of a stream did not come in time, or the stream ended before it."""

    def __init__(self, workflow_id: str, key: str, timeout_seconds: float | None) -> None:
        self.workflow_id = workflow_id
        self.key = key
        self.timeout_seconds = timeout_seconds
        why = "it has ended" if timeout_seconds is None else f"none within {timeout_seconds} seconds"
        super().__init__(f"Stream {key!r} of workflow {workflow_id!r} has no such value: {why}")


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
        self.line = line
        where = f" at {line}" if line else ""
        super().__init__(
            f"Workflow {workflow_id!r}: step {step_id} was recorded as {recorded!r}, but the code now "
            f"runs {expected!r}{where}. The workflow's code has changed or is not deterministic."
        )

    @property
    def inputs(self) -> tuple[object, ...]:
        """What the error is about, as the seed system has it."""
        return (self.workflow_id, self.step_id, self.expected, self.recorded)


class StepNondeterminismError(DurableError):
    """One execution recorded two different outcomes at one position."""

    def __init__(self, workflow_id: str, step_id: object, what: str) -> None:
        self.workflow_id = workflow_id
        self.step_id = step_id
        super().__init__(f"Workflow {workflow_id!r}: {what} at step {step_id}.")

    @property
    def inputs(self) -> tuple[object, ...]:
        """What the error is about, as the seed system has it."""
        return (self.workflow_id, self.step_id)


class StreamNondeterminismError(DurableError):
    """A workflow reads two streams at once outside of ``gather``'s branches: a replay could mix them up."""

    def __init__(self, workflow_id: str, key: str) -> None:
        self.workflow_id = workflow_id
        self.key = key
        super().__init__(
            f"The stream {key!r} of workflow {workflow_id!r} is read while another reading goes on in the "
            f"same workflow: their order is not deterministic. Read in branches of gather() or agather()."
        )


class PatchNondeterminismError(DurableError):
    """Other operations were started before a patch had its answer."""

    def __init__(self, workflow_id: str, patch_name: str) -> None:
        self.workflow_id = workflow_id
        self.patch_name = patch_name
        super().__init__(
            f"Workflow {workflow_id!r} started another operation before the patch {patch_name!r} was "
            f"answered: await `apatch({patch_name!r})` by itself."
        )

    @property
    def inputs(self) -> tuple[object, ...]:
        """What the error is about, as the seed system has it."""
        return (self.workflow_id, self.patch_name)


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
