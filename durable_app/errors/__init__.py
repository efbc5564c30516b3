"""Every error of this package.

DurableError                                      (Exception) anything a caller may handle
├── InvalidWorkflowIDError                        (ValueError) an empty or over-long id
├── InvalidOptionError                            (ValueError) an option outside its range
├── SerializationError                            (TypeError) a value that cannot be stored
│   └── PayloadTooLargeError                      a value above the size limit
├── InvalidArgumentsError                         (ValueError) arguments that a run's workflow refuses
├── ConflictingRegistrationError                  two functions under one name
├── WorkflowFunctionNotFoundError                 no such decorated function
├── PermissionDeniedError                         an operator may not use this verb
├── InvalidAnswerError                            (ValueError) a form does not accept an answer
├── NonExistentApprovalError                      no run asks this question
├── NotInWorkflowError                            a verb of workflows used elsewhere
├── NotAllowedInStepError                         a verb of workflows used inside a step
├── NotAllowedInWorkflowError                     a verb that no workflow can record
├── SynchronousCallError                          (RuntimeError) a blocking call on an event loop
├── OpenTransactionError                          waiting inside an open transaction
├── TransactionLeftOpenError                      a function did not end its transaction
├── DatabaseNotReadyError                         tables missing, or a database without support
├── NonExistentWorkflowError                      no run has this id
├── ConflictingWorkflowError                      the id belongs to another function
├── WorkflowIDInUseError                          the id exists and reuse was refused
├── QueueDeduplicatedError                        another active run has the deduplication id
├── NonExistentQueueError                         no queue has this name
├── NonExistentScheduleError                      no schedule has this name
├── ScheduleExistsError                           the schedule's name is taken
├── InvalidTransitionError                        the run's state does not allow the verb
├── NotAuthorizedError                            the user's roles do not allow the run
├── MaxStepRetriesExceeded                        a step failed on its last try
├── RetryAfter                                    raised by a step: try it again after so many seconds
├── StepTimeoutError                              a step took longer than its timeout
├── ResultTimeoutError                            (TimeoutError) a result did not come in time
├── CompensationError                             what a cancelled run did could not all be undone
├── StreamTimeoutError                            (TimeoutError) a stream's value did not come in time
├── QueryTimeoutError                             (TimeoutError) a listing or statistic took too long
├── UnexpectedStepError                           the code differs from the recorded steps
├── StepNondeterminismError                       one position was recorded twice
├── StreamNondeterminismError                     two recorded readings of streams at once
├── PatchNondeterminismError                      operations began beside an unanswered patch
├── NonExistentVersionError                       no worker has registered this version
├── AwaitedWorkflowCancelledError                 the awaited run was cancelled
├── AwaitedWorkflowMaxRecoveryAttemptsExceeded    the awaited run was dead-lettered
├── WorkflowError                                 a recorded error of an unknown class
└── PortableWorkflowError                         an error of a portable run

ControlFlow                                       (BaseException) ends a run from outside;
├── WorkflowCancelled                             ``except Exception`` does not catch it
├── OwnershipLost
├── ContinuedAsNew
└── Suspended
"""

from durable_app.errors.base import (
    ContinuedAsNew,
    ControlFlow,
    DurableError,
    OwnershipLost,
    Suspended,
    WorkflowCancelled,
)
from durable_app.errors.runs import (
    AwaitedWorkflowCancelledError,
    AwaitedWorkflowMaxRecoveryAttemptsExceeded,
    CompensationError,
    ConflictingWorkflowError,
    InvalidTransitionError,
    MaxStepRetriesExceeded,
    NonExistentApprovalError,
    NonExistentQueueError,
    NonExistentScheduleError,
    NonExistentVersionError,
    NonExistentWorkflowError,
    NotAuthorizedError,
    PatchNondeterminismError,
    PortableWorkflowError,
    QueryTimeoutError,
    QueueDeduplicatedError,
    ResultTimeoutError,
    ScheduleExistsError,
    StepNondeterminismError,
    StepTimeoutError,
    StreamNondeterminismError,
    StreamTimeoutError,
    UnexpectedStepError,
    WorkflowError,
    WorkflowIDInUseError,
)
from durable_app.errors.usage import (
    ConflictingRegistrationError,
    DatabaseNotReadyError,
    InvalidAnswerError,
    InvalidArgumentsError,
    InvalidOptionError,
    InvalidWorkflowIDError,
    NotAllowedInStepError,
    NotAllowedInWorkflowError,
    NotInWorkflowError,
    OpenTransactionError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RetryAfter,
    SerializationError,
    SynchronousCallError,
    TransactionLeftOpenError,
    WorkflowFunctionNotFoundError,
)

__all__ = [
    "AwaitedWorkflowCancelledError",
    "AwaitedWorkflowMaxRecoveryAttemptsExceeded",
    "CompensationError",
    "ConflictingRegistrationError",
    "ConflictingWorkflowError",
    "ContinuedAsNew",
    "ControlFlow",
    "DatabaseNotReadyError",
    "DurableError",
    "InvalidAnswerError",
    "InvalidArgumentsError",
    "InvalidOptionError",
    "InvalidTransitionError",
    "InvalidWorkflowIDError",
    "MaxStepRetriesExceeded",
    "NonExistentApprovalError",
    "NonExistentQueueError",
    "NonExistentScheduleError",
    "NonExistentVersionError",
    "NonExistentWorkflowError",
    "NotAllowedInStepError",
    "NotAllowedInWorkflowError",
    "NotAuthorizedError",
    "NotInWorkflowError",
    "OpenTransactionError",
    "OwnershipLost",
    "PatchNondeterminismError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PortableWorkflowError",
    "QueryTimeoutError",
    "QueueDeduplicatedError",
    "ResultTimeoutError",
    "RetryAfter",
    "ScheduleExistsError",
    "SerializationError",
    "StepNondeterminismError",
    "StepTimeoutError",
    "StreamNondeterminismError",
    "StreamTimeoutError",
    "Suspended",
    "SynchronousCallError",
    "TransactionLeftOpenError",
    "UnexpectedStepError",
    "WorkflowCancelled",
    "WorkflowError",
    "WorkflowFunctionNotFoundError",
    "WorkflowIDInUseError",
]
