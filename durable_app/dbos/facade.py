"""The class ``DBOS``: a table of contents. Every verb stands in a module by its noun."""

from typing import Any, Union

from durable_app import public as ours
from durable_app.dbos import functions, lifecycle, managing, messaging, running, workflows
from durable_app.dbos.config import DBOSConfig
from durable_app.dbos.pairs import unused
from durable_app.dbos.running import Shared


class DBOS:
    """One a process: ``DBOS(config=...)`` configures it, ``launch()`` starts a worker, ``destroy()`` stops it."""

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
    listen_queues = staticmethod(lifecycle.listen_queues)

    # Functions

    workflow = staticmethod(functions.workflow)
    step = staticmethod(functions.step)
    transaction = staticmethod(functions.transaction)
    dbos_class = staticmethod(functions.dbos_class)

    # Starting and waiting

    start_workflow = staticmethod(workflows.start_workflow)
    start_workflow_async = staticmethod(workflows.start_workflow_async)
    enqueue_workflow = staticmethod(workflows.enqueue_workflow)
    enqueue_workflow_async = staticmethod(workflows.enqueue_workflow_async)
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

    # The running code

    workflow_id = Shared(ours.workflow_id)
    step_id = Shared(ours.step_id)
    step_status = Shared(ours.step_status)
    authenticated_user = Shared(running.authenticated_user)
    authenticated_roles = Shared(running.authenticated_roles)
    assumed_role = Shared(running.assumed_role)
    application_version = Shared(running.application_version)
    executor_id = Shared(running.executor_id)
    config = Shared(running.config)
    logger = running.logger
    span = Shared(running.nothing)
    tracer = Shared(running.nothing)
    shard_key = Shared(running.nothing)
