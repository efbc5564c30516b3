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
    schedules,
    sql,
    streams,
    versions,
    workflows,
)
from durable_app.dbos.attributes import Shared, Verb
from durable_app.dbos.config import DBOSConfig
from durable_app.dbos.outside import outside
from durable_app.dbos.pairs import unused


class DBOS:
    """One a process: ``DBOS(config=...)`` configures, ``launch()`` starts a worker, ``destroy()`` ends it."""

    _instance: Union["DBOS", None] = None

    def __new__(cls, *, config: DBOSConfig, **options: Any) -> "DBOS":
        """Return the one instance, making it if there is none."""
        if cls._instance is not None and cls.config is not None:
            lifecycle.logger.warning("DBOS was created already, and its configuration stays")
            return cls._instance
        lifecycle.configure(config)
        unused(**options)
        cls._instance = super().__new__(cls)
        return cls._instance

    # Lifecycle

    launch = Verb(lifecycle.launch)
    destroy = Verb(lifecycle.destroy)
    reset_system_database = Verb(lifecycle.reset_system_database)
    migrate = Verb(administering.run_dbos_database_migrations)
    recover_pending_workflows = Verb(administering.recover_pending_workflows)

    # Functions

    workflow = Verb(functions.workflow)
    step = Verb(functions.step)
    transaction = Verb(functions.transaction)
    scheduled = Verb(schedules.scheduled)
    dbos_class = Verb(functions.dbos_class)
    required_roles = Verb(ours.required_roles)
    default_required_roles = Verb(ours.default_required_roles)
    kafka_consumer = Verb(administering.kafka_consumer)
    alert_handler = Verb(administering.alert_handler)

    # Starting and waiting

    start_workflow = Verb(workflows.start_workflow)
    start_workflow_async = Verb(workflows.start_workflow_async)
    enqueue_workflow = Verb(workflows.enqueue_workflow)
    enqueue_workflow_async = Verb(workflows.enqueue_workflow_async)
    enqueue_workflow_with_options = Verb(named.enqueue_workflow_with_options)
    enqueue_workflow_with_options_async = Verb(named.enqueue_workflow_with_options_async)
    retrieve_workflow = Verb(workflows.retrieve_workflow.now)
    retrieve_workflow_async = Verb(workflows.retrieve_workflow.later)
    get_result = Verb(workflows.get_result.now)
    get_result_async = Verb(workflows.get_result.later)
    wait_first = Verb(workflows.wait_first)
    wait_first_async = Verb(workflows.wait_first_async)
    asyncio_wait = Verb(workflows.asyncio_wait)
    sleep = Verb(workflows.sleep.now)
    sleep_async = Verb(workflows.sleep.later)
    run_step = Verb(workflows.run_step)
    run_step_async = Verb(workflows.run_step_async)
    reserve_step = Verb(workflows.reserve_step)

    # Messages, events

    send = Verb(messaging.send.now)
    send_async = Verb(messaging.send.later)
    send_bulk = Verb(messaging.send_bulk.now)
    send_bulk_async = Verb(messaging.send_bulk.later)
    recv = Verb(messaging.recv.now)
    recv_async = Verb(messaging.recv.later)
    set_event = Verb(messaging.set_event.now)
    set_event_async = Verb(messaging.set_event.later)
    get_event = Verb(messaging.get_event.now)
    get_event_async = Verb(messaging.get_event.later)
    get_all_events = Verb(messaging.get_all_events.now)
    get_all_events_async = Verb(messaging.get_all_events.later)

    # Streams

    write_stream = Verb(streams.write_stream.now)
    write_stream_async = Verb(streams.write_stream.later)
    close_stream = Verb(streams.close_stream.now)
    close_stream_async = Verb(streams.close_stream.later)
    read_stream = Verb(streams.read_stream)
    read_stream_async = Verb(streams.read_stream_async)
    read_stream_offset = Verb(streams.read_stream_offset.now)
    read_stream_offset_async = Verb(streams.read_stream_offset.later)

    # Managing runs

    cancel_workflow = Verb(managing.cancel_workflow.now)
    cancel_workflow_async = Verb(managing.cancel_workflow.later)
    cancel_workflows = Verb(managing.cancel_workflows.now)
    cancel_workflows_async = Verb(managing.cancel_workflows.later)
    resume_workflow = Verb(managing.resume_workflow.now)
    resume_workflow_async = Verb(managing.resume_workflow.later)
    resume_workflows = Verb(managing.resume_workflows.now)
    resume_workflows_async = Verb(managing.resume_workflows.later)
    fork_workflow = Verb(managing.fork_workflow.now)
    fork_workflow_async = Verb(managing.fork_workflow.later)
    restart_workflow = Verb(managing.restart_workflow.now)
    restart_workflow_async = Verb(managing.restart_workflow.later)
    rewind_workflow = Verb(managing.rewind_workflow.now)
    rewind_workflow_async = Verb(managing.rewind_workflow.later)
    delete_workflow = Verb(managing.delete_workflow.now)
    delete_workflow_async = Verb(managing.delete_workflow.later)
    delete_workflows = Verb(managing.delete_workflows.now)
    delete_workflows_async = Verb(managing.delete_workflows.later)
    get_workflow_status = Verb(managing.get_workflow_status.now)
    get_workflow_status_async = Verb(managing.get_workflow_status.later)
    update_workflow_attributes = Verb(managing.update_workflow_attributes.now)
    update_workflow_attributes_async = Verb(managing.update_workflow_attributes.later)
    list_workflows = Verb(managing.list_workflows.now)
    list_workflows_async = Verb(managing.list_workflows.later)
    list_queued_workflows = Verb(managing.list_queued_workflows.now)
    list_queued_workflows_async = Verb(managing.list_queued_workflows.later)
    list_workflow_steps = Verb(managing.list_workflow_steps.now)
    list_workflow_steps_async = Verb(managing.list_workflow_steps.later)

    # Queues

    listen_queues = Verb(lifecycle.listen_queues)
    register_queue = Verb(outside(queue.register_queue.now))
    register_queue_async = Verb(outside(queue.register_queue.later))
    retrieve_queue = Verb(outside(queue.retrieve_queue.now))
    retrieve_queue_async = Verb(outside(queue.retrieve_queue.later))
    list_queues = Verb(outside(queue.list_queues.now))
    list_queues_async = Verb(outside(queue.list_queues.later))
    delete_queue = Verb(outside(queue.delete_queue.now))
    delete_queue_async = Verb(outside(queue.delete_queue.later))
    set_workflow_delay = Verb(queue.set_workflow_delay.now)
    set_workflow_delay_async = Verb(queue.set_workflow_delay.later)

    # Schedules

    create_schedule = Verb(schedules.create_schedule.now)
    create_schedule_async = Verb(schedules.create_schedule.later)
    apply_schedules = Verb(schedules.apply_schedules.now)
    apply_schedules_async = Verb(schedules.apply_schedules.later)
    get_schedule = Verb(schedules.get_schedule.now)
    get_schedule_async = Verb(schedules.get_schedule.later)
    list_schedules = Verb(schedules.list_schedules.now)
    list_schedules_async = Verb(schedules.list_schedules.later)
    delete_schedule = Verb(schedules.delete_schedule.now)
    delete_schedule_async = Verb(schedules.delete_schedule.later)
    pause_schedule = Verb(schedules.pause_schedule.now)
    pause_schedule_async = Verb(schedules.pause_schedule.later)
    resume_schedule = Verb(schedules.resume_schedule.now)
    resume_schedule_async = Verb(schedules.resume_schedule.later)
    trigger_schedule = Verb(schedules.trigger_schedule.now)
    trigger_schedule_async = Verb(schedules.trigger_schedule.later)
    backfill_schedule = Verb(schedules.backfill_schedule.now)
    backfill_schedule_async = Verb(schedules.backfill_schedule.later)

    # Changed code

    patch = Verb(versions.patch.now)
    patch_async = Verb(versions.patch.later)
    deprecate_patch = Verb(versions.deprecate_patch.now)
    deprecate_patch_async = Verb(versions.deprecate_patch.later)
    list_application_versions = Verb(outside(versions.list_application_versions.now))
    list_application_versions_async = Verb(outside(versions.list_application_versions.later))
    get_latest_application_version = Verb(outside(versions.get_latest_application_version.now))
    get_latest_application_version_async = Verb(outside(versions.get_latest_application_version.later))
    set_latest_application_version = Verb(outside(versions.set_latest_application_version.now))
    set_latest_application_version_async = Verb(outside(versions.set_latest_application_version.later))

    # The running code

    set_authentication = Verb(context.set_authentication)

    workflow_id = Shared(ours.workflow_id)
    step_id = Shared(ours.step_id)
    step_status = Shared(ours.step_status)
    authenticated_user = Shared(ours.authenticated_user)
    authenticated_roles = Shared(ours.authenticated_roles)
    assumed_role = Shared(ours.assumed_role)
    application_version = Shared(ours.application_version)
    executor_id = Shared(executors.executor_id)
    sql_session = Shared(sql.session)
    config = Shared(lifecycle.configuration_in_use)
    logger = lifecycle.logger
    span = None
    tracer = None
    shard_key = None
