"""Durable workflows for Django: plain functions that survive crashes, with their state in the database.

The names are loaded on first use (PEP 562): this package may be imported before Django's apps are ready,
from a ``models.py`` too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durable_app.contexts import SetWorkflowAttributes, SetWorkflowID, SetWorkflowTimeout
    from durable_app.decorators import (
        ConfiguredInstance,
        StepOptions,
        step,
        transaction,
        workflow,
    )
    from durable_app.engine.context import StepStatus
    from durable_app.errors import (
        AwaitedWorkflowCancelledError,
        AwaitedWorkflowMaxRecoveryAttemptsExceeded,
        ConflictingRegistrationError,
        ConflictingWorkflowError,
        ControlFlow,
        DatabaseNotReadyError,
        DurableError,
        InvalidOptionError,
        InvalidTransitionError,
        InvalidWorkflowIDError,
        MaxStepRetriesExceeded,
        NonExistentWorkflowError,
        NotAllowedInStepError,
        NotAuthorizedError,
        NotInWorkflowError,
        OpenTransactionError,
        OwnershipLost,
        PayloadTooLargeError,
        ResultTimeoutError,
        SerializationError,
        StepNondeterminismError,
        StepTimeoutError,
        Suspended,
        SynchronousCallError,
        UnexpectedStepError,
        WorkflowCancelled,
        WorkflowError,
        WorkflowFunctionNotFoundError,
        WorkflowIDInUseError,
    )
    from durable_app.handles import StepInfo, WorkflowHandle, WorkflowStatus
    from durable_app.managing import (
        acancel_workflow,
        acancel_workflows,
        adelete_workflow,
        adelete_workflows,
        afork_workflow,
        aget_workflow_status,
        alist_workflow_steps,
        alist_workflows,
        aresume_workflow,
        aresume_workflows,
        arewind_workflow,
        cancel_workflow,
        cancel_workflows,
        delete_workflow,
        delete_workflows,
        fork_workflow,
        get_workflow_status,
        list_workflow_steps,
        list_workflows,
        resume_workflow,
        resume_workflows,
        rewind_workflow,
    )
    from durable_app.models.workflow import Status
    from durable_app.operations import (
        agather,
        aget_all_events,
        aget_event,
        aget_result,
        arecv,
        aretrieve_workflow,
        arun_step,
        asend,
        aset_event,
        asleep,
        astart_workflow,
        await_first,
        gather,
        get_all_events,
        get_event,
        get_result,
        recv,
        retrieve_workflow,
        run_step,
        send,
        set_event,
        sleep,
        start_workflow,
        step_id,
        step_status,
        wait_first,
        workflow_id,
    )
    from durable_app.serialization import serializable

_HOMES = {
    "contexts": "SetWorkflowAttributes SetWorkflowID SetWorkflowTimeout",
    "decorators": "ConfiguredInstance StepOptions step transaction workflow",
    "engine.context": "StepStatus",
    "errors": """AwaitedWorkflowCancelledError AwaitedWorkflowMaxRecoveryAttemptsExceeded
        ConflictingRegistrationError ConflictingWorkflowError ControlFlow DatabaseNotReadyError DurableError
        InvalidOptionError InvalidTransitionError InvalidWorkflowIDError MaxStepRetriesExceeded
        NonExistentWorkflowError NotAllowedInStepError NotAuthorizedError NotInWorkflowError
        OpenTransactionError OwnershipLost PayloadTooLargeError ResultTimeoutError SerializationError
        StepNondeterminismError StepTimeoutError Suspended SynchronousCallError UnexpectedStepError
        WorkflowCancelled WorkflowError WorkflowFunctionNotFoundError WorkflowIDInUseError""",
    "handles": "StepInfo WorkflowHandle WorkflowStatus",
    "managing": """acancel_workflow acancel_workflows adelete_workflow adelete_workflows afork_workflow
        aget_workflow_status alist_workflow_steps alist_workflows aresume_workflow aresume_workflows
        arewind_workflow cancel_workflow cancel_workflows delete_workflow delete_workflows fork_workflow
        get_workflow_status list_workflow_steps list_workflows resume_workflow resume_workflows
        rewind_workflow""",
    "models.workflow": "Status",
    "operations": """agather aget_all_events aget_event aget_result arecv aretrieve_workflow arun_step asend
        aset_event asleep astart_workflow await_first gather get_all_events get_event get_result recv
        retrieve_workflow run_step send set_event sleep start_workflow step_id step_status wait_first
        workflow_id""",
    "serialization": "serializable",
}

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  (the table above is the one place)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
