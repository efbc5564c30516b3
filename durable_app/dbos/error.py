"""The seed's names and numbers of our errors.

Each name is our class, or, where we have none, a class of its own: so ``except`` clauses written for the
seed catch what this engine raises, and those written for this engine too.
"""

from durable_app import errors

DBOSException = errors.DurableError
DBOSBaseException = errors.ControlFlow

DBOSAwaitedWorkflowCancelledError = errors.AwaitedWorkflowCancelledError
DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded = errors.AwaitedWorkflowMaxRecoveryAttemptsExceeded
DBOSConflictingRegistrationError = errors.ConflictingRegistrationError
DBOSConflictingWorkflowError = errors.ConflictingWorkflowError
DBOSMaxStepRetriesExceeded = errors.MaxStepRetriesExceeded
DBOSNonExistentWorkflowError = errors.NonExistentWorkflowError
DBOSNotAuthorizedError = errors.NotAuthorizedError
DBOSPatchNondeterminismError = errors.PatchNondeterminismError
DBOSQueryTimeoutError = errors.QueryTimeoutError
DBOSQueueDeduplicatedError = errors.QueueDeduplicatedError
DBOSStepNondeterminismError = errors.StepNondeterminismError
DBOSStepTimeoutError = errors.StepTimeoutError
DBOSStreamNondeterminismError = errors.StreamNondeterminismError
DBOSStreamTimeoutError = errors.StreamTimeoutError
DBOSUnexpectedStepError = errors.UnexpectedStepError
DBOSWorkflowCancelledError = errors.WorkflowCancelled
DBOSWorkflowConflictIDError = errors.OwnershipLost
DBOSWorkflowFunctionNotFoundError = errors.WorkflowFunctionNotFoundError
DBOSWorkflowIDInUseError = errors.WorkflowIDInUseError


class DBOSInitializationError(DBOSException):
    """The configuration cannot be used, or the database is not ready."""


class DBOSRecoveryError(DBOSException):
    """A run cannot be recovered. Never raised here: a run that nobody can execute waits, visibly."""

    def __init__(self, workflow_id: str, message: str | None = None) -> None:
        self.workflow_id = workflow_id
        super().__init__(f"The run {workflow_id!r} cannot be recovered: {message}")


class MaxRecoveryAttemptsExceededError(DBOSException):
    """A run was dead-lettered. Never raised here: who awaits such a run is told by the error for that."""

    def __init__(self, wf_id: str, max_retries: int | None = None) -> None:
        self.workflow_id = wf_id
        self.max_retries = max_retries
        super().__init__(f"The run {wf_id!r} has used up its {max_retries} recovery attempts.")


CODES: dict[type[DBOSException] | type[DBOSBaseException], int] = {
    DBOSWorkflowConflictIDError: 1,
    DBOSRecoveryError: 2,
    DBOSInitializationError: 3,
    DBOSWorkflowFunctionNotFoundError: 4,
    DBOSNonExistentWorkflowError: 5,
    MaxRecoveryAttemptsExceededError: 6,
    DBOSMaxStepRetriesExceeded: 7,
    DBOSNotAuthorizedError: 8,
    DBOSConflictingWorkflowError: 9,
    DBOSWorkflowCancelledError: 10,
    DBOSUnexpectedStepError: 11,
    DBOSQueueDeduplicatedError: 12,
    DBOSAwaitedWorkflowCancelledError: 13,
    DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded: 14,
    DBOSPatchNondeterminismError: 15,
    DBOSStreamTimeoutError: 16,
    DBOSStreamNondeterminismError: 17,
    DBOSStepTimeoutError: 18,
    DBOSQueryTimeoutError: 26,
    DBOSWorkflowIDInUseError: 27,
    DBOSStepNondeterminismError: 28,
}

for _error, _code in CODES.items():
    _error.dbos_error_code = _code
