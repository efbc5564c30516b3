"""The class ``DBOS``: a table of contents. Every verb stands in a module by its noun."""

from typing import Any, Union

from durable_app import public as ours
from durable_app.dbos import (
    administering,
    context,
    executors,
    functions,
    lifecycle,
    managing,
    messaging,
    named,
    queue,
    running,
    schedules,
    sql,
    versions,
    workflows,
)
from durable_app.dbos.config import DBOSConfig
from durable_app.dbos.pairs import unused
from durable_app.dbos.running import Shared


class DBOS:
    """One a process: ``DBOS(config=...)`` configures, ``launch()`` starts a worker, ``destroy()`` ends it."""

    _instance: Union["DBOS", None] = None

    def __new__(cls, *, config: DBOSConfig, **options: Any) -> "DBOS":
        """Return the one instance, making it if there is none."""
        if lifecycle.is_configured() and cls._instance is not None:
            running.logger.warning("DBOS was created already, and its configuration stays")
            return cls._instance
        lifecycle.configure(config)
        unused(**options)
        cls._instance = super().__new__(cls)
        return cls._instance

    # Lifecycle

    launch = staticmethod(lifecycle.launch)
    destroy = staticmethod(lifecycle.destroy)
    reset_system_database = staticmethod(lifecycle.reset_system_database)
    migrate = staticmethod(administering.run_dbos_database_migrations)
    recover_pending_workflows = staticmethod(administering.recover_pending_workflows)

    # Functions

    workflow = staticmethod(functions.workflow)
    step = staticmethod(functions.step)
    transaction = staticmethod(functions.transaction)
    scheduled = staticmethod(schedules.scheduled)
    dbos_class = staticmethod(functions.dbos_class)
    required_roles = staticmethod(ours.required_roles)
    default_required_roles = staticmethod(ours.default_required_roles)
    kafka_consumer = staticmethod(administering.kafka_consumer)
    alert_handler = staticmethod(administering.alert_handler)

    # Starting and waiting

    start_workflow = staticmethod(workflows.start_workflow)
    start_workflow_async = staticmethod(workflows.start_workflow_async)
    enqueue_workflow = staticmethod(workflows.enqueue_workflow)
    enqueue_workflow_async = staticmethod(workflows.enqueue_workflow_async)
    enqueue_workflow_with_options = staticmethod(named.enqueue_workflow_with_options)
    enqueue_workflow_with_options_async = staticmethod(named.enqueue_workflow_with_options_async)
    retrieve_workflow = staticmethod(workflows.retrieve_workflow.now)
    retrieve_workflow_async = staticmethod(workflows.retrieve_workflow.later)
    get_result = staticmethod(workflows.get_result.now)
    get_result_async = staticmethod(workflows.get_result.later)
    wait_first = staticmethod(workflows.wait_first)
    wait_first_async = staticmethod(workflows.wait_first_async)
    asyncio_wait = staticmethod(workflows.asyncio_wait)
    sleep = staticmethod(workflows.sleep.now)
    sleep_async = staticmethod(workflows.sleep.later)
    run_step = staticmethod(workflows.run_step)
    run_step_async = staticmethod(workflows.run_step_async)
    reserve_step = staticmethod(workflows.reserve_step)

    # Messages, events

    send = staticmethod(messaging.send.now)
    send_async = staticmethod(messaging.send.later)
    send_bulk = staticmethod(messaging.send_bulk.now)
    send_bulk_async = staticmethod(messaging.send_bulk.later)
    recv = staticmethod(messaging.recv.now)
    recv_async = staticmethod(messaging.recv.later)
    set_event = staticmethod(messaging.set_event.now)
    set_event_async = staticmethod(messaging.set_event.later)
    get_event = staticmethod(messaging.get_event.now)
    get_event_async = staticmethod(messaging.get_event.later)
    get_all_events = staticmethod(messaging.get_all_events.now)
    get_all_events_async = staticmethod(messaging.get_all_events.later)

    # Managing runs

    cancel_workflow = staticmethod(managing.cancel_workflow.now)
    cancel_workflow_async = staticmethod(managing.cancel_workflow.later)
    cancel_workflows = staticmethod(managing.cancel_workflows.now)
    cancel_workflows_async = staticmethod(managing.cancel_workflows.later)
    resume_workflow = staticmethod(managing.resume_workflow.now)
    resume_workflow_async = staticmethod(managing.resume_workflow.later)
    resume_workflows = staticmethod(managing.resume_workflows.now)
    resume_workflows_async = staticmethod(managing.resume_workflows.later)
    fork_workflow = staticmethod(managing.fork_workflow.now)
    fork_workflow_async = staticmethod(managing.fork_workflow.later)
    restart_workflow = staticmethod(managing.restart_workflow.now)
    restart_workflow_async = staticmethod(managing.restart_workflow.later)
    rewind_workflow = staticmethod(managing.rewind_workflow.now)
    rewind_workflow_async = staticmethod(managing.rewind_workflow.later)
    delete_workflow = staticmethod(managing.delete_workflow.now)
    delete_workflow_async = staticmethod(managing.delete_workflow.later)
    delete_workflows = staticmethod(managing.delete_workflows.now)
    delete_workflows_async = staticmethod(managing.delete_workflows.later)
    get_workflow_status = staticmethod(managing.get_workflow_status.now)
    get_workflow_status_async = staticmethod(managing.get_workflow_status.later)
    list_workflows = staticmethod(managing.list_workflows.now)
    list_workflows_async = staticmethod(managing.list_workflows.later)
    list_queued_workflows = staticmethod(managing.list_queued_workflows.now)
    list_queued_workflows_async = staticmethod(managing.list_queued_workflows.later)
    list_workflow_steps = staticmethod(managing.list_workflow_steps.now)
    list_workflow_steps_async = staticmethod(managing.list_workflow_steps.later)

    # Queues

    listen_queues = staticmethod(lifecycle.listen_queues)
    register_queue = staticmethod(queue.register_queue.now)
    register_queue_async = staticmethod(queue.register_queue.later)
    retrieve_queue = staticmethod(queue.retrieve_queue.now)
    retrieve_queue_async = staticmethod(queue.retrieve_queue.later)
    list_queues = staticmethod(queue.list_queues.now)
    list_queues_async = staticmethod(queue.list_queues.later)
    delete_queue = staticmethod(queue.delete_queue.now)
    delete_queue_async = staticmethod(queue.delete_queue.later)
    set_workflow_delay = staticmethod(queue.set_workflow_delay.now)
    set_workflow_delay_async = staticmethod(queue.set_workflow_delay.later)

    # Schedules

    create_schedule = staticmethod(schedules.create_schedule.now)
    create_schedule_async = staticmethod(schedules.create_schedule.later)
    apply_schedules = staticmethod(schedules.apply_schedules.now)
    apply_schedules_async = staticmethod(schedules.apply_schedules.later)
    get_schedule = staticmethod(schedules.get_schedule.now)
    get_schedule_async = staticmethod(schedules.get_schedule.later)
    list_schedules = staticmethod(schedules.list_schedules.now)
    list_schedules_async = staticmethod(schedules.list_schedules.later)
    delete_schedule = staticmethod(schedules.delete_schedule.now)
    delete_schedule_async = staticmethod(schedules.delete_schedule.later)
    pause_schedule = staticmethod(schedules.pause_schedule.now)
    pause_schedule_async = staticmethod(schedules.pause_schedule.later)
    resume_schedule = staticmethod(schedules.resume_schedule.now)
    resume_schedule_async = staticmethod(schedules.resume_schedule.later)
    trigger_schedule = staticmethod(schedules.trigger_schedule.now)
    trigger_schedule_async = staticmethod(schedules.trigger_schedule.later)
    backfill_schedule = staticmethod(schedules.backfill_schedule.now)
    backfill_schedule_async = staticmethod(schedules.backfill_schedule.later)

    # Changed code

    patch = staticmethod(versions.patch.now)
    patch_async = staticmethod(versions.patch.later)
    deprecate_patch = staticmethod(versions.deprecate_patch.now)
    deprecate_patch_async = staticmethod(versions.deprecate_patch.later)
    list_application_versions = staticmethod(versions.list_application_versions.now)
    list_application_versions_async = staticmethod(versions.list_application_versions.later)
    get_latest_application_version = staticmethod(versions.get_latest_application_version.now)
    get_latest_application_version_async = staticmethod(versions.get_latest_application_version.later)
    set_latest_application_version = staticmethod(versions.set_latest_application_version.now)
    set_latest_application_version_async = staticmethod(versions.set_latest_application_version.later)

    # The running code

    set_authentication = staticmethod(context.set_authentication)

    workflow_id = Shared(ours.workflow_id)
    step_id = Shared(ours.step_id)
    step_status = Shared(ours.step_status)
    authenticated_user = Shared(ours.authenticated_user)
    authenticated_roles = Shared(ours.authenticated_roles)
    assumed_role = Shared(ours.assumed_role)
    application_version = Shared(ours.application_version)
    executor_id = Shared(executors.executor_id)
    sql_session = Shared(sql.session)
    config = Shared(running.config)
    logger = running.logger
    span = Shared(running.nothing)
    tracer = Shared(running.nothing)
    shard_key = Shared(running.nothing)
