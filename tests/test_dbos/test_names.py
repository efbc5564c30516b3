"""Every name that a program written for the seed may import or call is there, with its async twin."""

import inspect
import subprocess
import sys

import pytest
from asgiref.sync import iscoroutinefunction

import durable_app.dbos
from durable_app.dbos import DBOS, DBOSClient, Queue, error

MODULE = """
    ClientScheduleInput DBOS DBOSClient DBOSConfig DBOSConfiguredInstance DBOSContextEnsure DBOSContextSetAuth
    DBOSPortableJSONSerializer Debouncer DebouncerClient DuplicationPolicy EnqueueOptions
    PortableWorkflowError PropagateOtelContext Queue ScheduleInput SendMessage Serializer SetEnqueueOptions
    SetShardKey SetWorkflowAttributes SetWorkflowID SetWorkflowTimeout StepInfo StepOptions StepReservation
    VersionInfo WorkflowHandle WorkflowHandleAsync WorkflowIDReusePolicy WorkflowSchedule
    WorkflowSerializationFormat WorkflowStatus WorkflowStatusString error make_pydantic_args_validator
    pydantic_args_validator run_dbos_database_migrations
"""

TWINS = """
    apply_schedules cancel_workflow cancel_workflows close_stream create_schedule delete_queue delete_schedule
    delete_workflow delete_workflows deprecate_patch enqueue_workflow enqueue_workflow_with_options
    fork_workflow get_all_events get_event get_latest_application_version get_result get_schedule
    get_workflow_status list_application_versions list_queued_workflows list_queues list_schedules
    list_workflow_steps list_workflows patch read_stream read_stream_offset recv register_queue
    resume_workflow resume_workflows retrieve_queue retrieve_workflow rewind_workflow run_step send send_bulk
    set_event set_latest_application_version set_workflow_delay sleep start_workflow
    update_workflow_attributes wait_first write_stream
"""

ONLY_SYNC = """
    alert_handler asyncio_wait backfill_schedule dbos_class default_required_roles destroy kafka_consumer
    launch listen_queues logger migrate pause_schedule required_roles reserve_step reset_system_database
    resume_schedule set_authentication step trigger_schedule workflow
    transaction scheduled restart_workflow recover_pending_workflows
"""

VALUES = """
    application_version assumed_role authenticated_roles authenticated_user executor_id shard_key span
    step_id step_status tracer workflow_id config
"""

CLIENT_TWINS = """
    apply_schedules cancel_workflow cancel_workflows check_connection create_schedule delete_queue
    delete_schedule delete_workflow delete_workflows enqueue fork_workflow get_event
    get_latest_application_version get_schedule list_application_versions list_queued_workflows list_queues
    list_schedules list_workflow_steps list_workflows read_stream read_stream_offset register_queue
    resume_workflow resume_workflows retrieve_queue retrieve_workflow rewind_workflow send send_bulk
    set_latest_application_version set_workflow_delay update_workflow_attributes wait_first
"""

CLIENT_ONLY_SYNC = """
    backfill_schedule destroy enqueue_in_transaction pause_schedule resume_schedule send_bulk_in_transaction
    send_in_transaction trigger_schedule
"""

LIMITS = """
    concurrency global_concurrency worker_concurrency limiter partition_concurrency
    partition_worker_concurrency partition_limiter polling_interval_sec
"""


def test_the_exported_names_are_sorted_and_complete():
    names = list(durable_app.dbos.__all__)
    assert names == sorted(set(names))
    assert set(MODULE.split()) <= set(names)
    for name in names:
        assert getattr(durable_app.dbos, name) is not None


@pytest.mark.parametrize(
    ("owner", "twins", "others"),
    [(DBOS, TWINS, ONLY_SYNC), (DBOSClient, CLIENT_TWINS, CLIENT_ONLY_SYNC)],
    ids=["DBOS", "DBOSClient"],
)
def test_every_verb_is_there_in_both_colours(owner, twins, others):
    """65. The twin has the same parameters."""
    for name in twins.split():
        verb, twin = getattr(owner, name), getattr(owner, f"{name}_async")
        assert list(inspect.signature(verb).parameters) == list(inspect.signature(twin).parameters), name
        assert iscoroutinefunction(twin) or name == "read_stream", name
        assert not iscoroutinefunction(verb), name
    for name in others.split():
        assert hasattr(owner, name), name


def test_values_are_attributes():
    """2. Outside a workflow most of them are None."""
    found = {name: getattr(DBOS, name) for name in VALUES.split()}
    assert {name for name, value in found.items() if value is not None} == {
        "application_version",
        "executor_id",
    }


def test_limits_have_getters_and_setters():
    for name in LIMITS.split():
        assert isinstance(inspect.getattr_static(Queue, name), property), name
        for verb in (f"get_{name}_async", f"set_{name}", f"set_{name}_async"):
            assert callable(getattr(Queue, verb)), verb


def test_the_module_of_errors():
    """B.8: numbers and names."""
    assert {code: cls for cls, code in error.CODES.items()} == {
        1: error.DBOSWorkflowConflictIDError,
        2: error.DBOSRecoveryError,
        3: error.DBOSInitializationError,
        4: error.DBOSWorkflowFunctionNotFoundError,
        5: error.DBOSNonExistentWorkflowError,
        6: error.MaxRecoveryAttemptsExceededError,
        7: error.DBOSMaxStepRetriesExceeded,
        8: error.DBOSNotAuthorizedError,
        9: error.DBOSConflictingWorkflowError,
        10: error.DBOSWorkflowCancelledError,
        11: error.DBOSUnexpectedStepError,
        12: error.DBOSQueueDeduplicatedError,
        13: error.DBOSAwaitedWorkflowCancelledError,
        14: error.DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded,
        15: error.DBOSPatchNondeterminismError,
        16: error.DBOSStreamTimeoutError,
        17: error.DBOSStreamNondeterminismError,
        18: error.DBOSStepTimeoutError,
        26: error.DBOSQueryTimeoutError,
        27: error.DBOSWorkflowIDInUseError,
        28: error.DBOSStepNondeterminismError,
    }
    from_outside = {1, 10}
    for cls, code in error.CODES.items():
        base = error.DBOSBaseException if code in from_outside else error.DBOSException
        assert issubclass(cls, base)
        assert cls.dbos_error_code == code


def test_the_package_cannot_be_imported_without_a_project():
    """A script that names no settings is told so by Django."""
    done = subprocess.run(
        [sys.executable, "-c", "import os; os.environ.pop('DJANGO_SETTINGS_MODULE', None)\n"
         "import durable_app.dbos"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "DJANGO_SETTINGS_MODULE" in done.stderr or "AppRegistryNotReady" in done.stderr
