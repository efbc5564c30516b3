"""A client: the verbs of ``DBOS`` for programs that execute nothing, and never a step of a workflow."""

from collections.abc import Sequence
from typing import Any

from durable_app import checks
from durable_app.dbos import (
    lifecycle,
    managing,
    messaging,
    named,
    queue,
    schedules,
    streams,
    versions,
    workflows,
)
from durable_app.dbos.attributes import Verb
from durable_app.dbos.error import DBOSException, DBOSInitializationError
from durable_app.dbos.handles import WorkflowHandle
from durable_app.dbos.named import EnqueueOptions
from durable_app.dbos.outside import outside, outside_each, outside_each_async
from durable_app.dbos.threads import blocking
from durable_app.store import database


class DBOSClient:
    """Works on Django's database, whatever its arguments name; it may be made anywhere, many times.

    Raises DBOSInitializationError if the tables are not there, unless it is ``lazy``.
    """

    def __init__(self, database_url: str | None = None, *, lazy: bool = False, **options: Any) -> None:
        if not lazy:
            self.check_connection()

    @staticmethod
    def check_connection() -> None:
        """Raise if the database cannot be reached, or has not the tables."""
        if not blocking(checks.is_migrated):
            raise DBOSInitializationError("the tables are missing: run `python manage.py migrate` first.")

    @staticmethod
    async def check_connection_async() -> None:
        """Async twin of ``check_connection``."""
        if not await database.acall(checks.is_migrated):
            raise DBOSInitializationError("the tables are missing: run `python manage.py migrate` first.")

    @staticmethod
    def destroy() -> None:
        """Close what this process holds open, unless DBOS is launched in it."""
        lifecycle.release()

    # Enqueueing

    enqueue = Verb(outside(named.enqueue_workflow_with_options))
    enqueue_async = Verb(outside(named.enqueue_workflow_with_options_async))

    def enqueue_in_transaction(
        self, connection: Any, options: EnqueueOptions, *args: Any, **kwargs: Any
    ) -> WorkflowHandle[Any]:
        """Enqueue a run that exists if and only if Django's open transaction commits.

        ``connection`` is not looked at. Raises DBOSException outside a transaction.
        """
        _require_transaction("enqueue_in_transaction")
        if options.get("duplication_policy") == "return-existing":
            raise DBOSException("duplication_policy 'return-existing' needs a transaction of its own.")
        return self.enqueue(options, *args, **kwargs)

    # Messages and events

    send = Verb(outside(messaging.send.now))
    send_async = Verb(outside(messaging.send.later))
    send_bulk = Verb(outside(messaging.send_bulk.now))
    send_bulk_async = Verb(outside(messaging.send_bulk.later))
    get_event = Verb(outside(messaging.get_event.now))
    get_event_async = Verb(outside(messaging.get_event.later))

    def send_in_transaction(self, connection: Any, *args: Any, **kwargs: Any) -> None:
        """Send a message if and only if Django's open transaction commits; see ``send``."""
        _require_transaction("send_in_transaction")
        self.send(*args, **kwargs)

    def send_bulk_in_transaction(
        self, connection: Any, messages: Sequence[messaging.SendMessage], **options: Any
    ) -> None:
        """Send messages if and only if Django's open transaction commits; see ``send_bulk``."""
        _require_transaction("send_bulk_in_transaction")
        self.send_bulk(messages, **options)

    read_stream = Verb(outside_each(streams.read_stream))
    read_stream_async = Verb(outside_each_async(streams.read_stream_async))
    read_stream_offset = Verb(outside(streams.read_stream_offset.now))
    read_stream_offset_async = Verb(outside(streams.read_stream_offset.later))

    # Runs

    retrieve_workflow = Verb(outside(workflows.retrieve_workflow.now))
    retrieve_workflow_async = Verb(outside(workflows.retrieve_workflow.later))
    wait_first = Verb(outside(workflows.wait_first))
    wait_first_async = Verb(outside(workflows.wait_first_async))
    cancel_workflow = Verb(outside(managing.cancel_workflow.now))
    cancel_workflow_async = Verb(outside(managing.cancel_workflow.later))
    cancel_workflows = Verb(outside(managing.cancel_workflows.now))
    cancel_workflows_async = Verb(outside(managing.cancel_workflows.later))
    resume_workflow = Verb(outside(managing.resume_workflow.now))
    resume_workflow_async = Verb(outside(managing.resume_workflow.later))
    resume_workflows = Verb(outside(managing.resume_workflows.now))
    resume_workflows_async = Verb(outside(managing.resume_workflows.later))
    fork_workflow = Verb(outside(managing.fork_workflow.now))
    fork_workflow_async = Verb(outside(managing.fork_workflow.later))
    rewind_workflow = Verb(outside(managing.rewind_workflow.now))
    rewind_workflow_async = Verb(outside(managing.rewind_workflow.later))
    delete_workflow = Verb(outside(managing.delete_workflow.now))
    delete_workflow_async = Verb(outside(managing.delete_workflow.later))
    delete_workflows = Verb(outside(managing.delete_workflows.now))
    delete_workflows_async = Verb(outside(managing.delete_workflows.later))
    set_workflow_delay = Verb(outside(queue.set_workflow_delay.now))
    set_workflow_delay_async = Verb(outside(queue.set_workflow_delay.later))
    update_workflow_attributes = Verb(outside(managing.update_workflow_attributes.now))
    update_workflow_attributes_async = Verb(outside(managing.update_workflow_attributes.later))
    list_workflows = Verb(outside(managing.list_workflows.now))
    list_workflows_async = Verb(outside(managing.list_workflows.later))
    list_queued_workflows = Verb(outside(managing.list_queued_workflows.now))
    list_queued_workflows_async = Verb(outside(managing.list_queued_workflows.later))
    list_workflow_steps = Verb(outside(managing.list_workflow_steps.now))
    list_workflow_steps_async = Verb(outside(managing.list_workflow_steps.later))

    # Queues

    register_queue = Verb(outside(queue.register_queue_from_outside.now))
    register_queue_async = Verb(outside(queue.register_queue_from_outside.later))
    retrieve_queue = Verb(outside(queue.retrieve_queue.now))
    retrieve_queue_async = Verb(outside(queue.retrieve_queue.later))
    list_queues = Verb(outside(queue.list_queues.now))
    list_queues_async = Verb(outside(queue.list_queues.later))
    delete_queue = Verb(outside(queue.delete_queue.now))
    delete_queue_async = Verb(outside(queue.delete_queue.later))

    # Schedules

    create_schedule = Verb(outside(schedules.create_named_schedule.now))
    create_schedule_async = Verb(outside(schedules.create_named_schedule.later))
    apply_schedules = Verb(outside(schedules.apply_named_schedules.now))
    apply_schedules_async = Verb(outside(schedules.apply_named_schedules.later))
    get_schedule = Verb(outside(schedules.get_schedule.now))
    get_schedule_async = Verb(outside(schedules.get_schedule.later))
    list_schedules = Verb(outside(schedules.list_schedules.now))
    list_schedules_async = Verb(outside(schedules.list_schedules.later))
    delete_schedule = Verb(outside(schedules.delete_schedule.now))
    delete_schedule_async = Verb(outside(schedules.delete_schedule.later))
    pause_schedule = Verb(outside(schedules.pause_schedule.now))
    resume_schedule = Verb(outside(schedules.resume_schedule.now))
    trigger_schedule = Verb(outside(schedules.trigger_schedule.now))
    backfill_schedule = Verb(outside(schedules.backfill_schedule.now))

    # Versions

    list_application_versions = Verb(outside(versions.list_application_versions.now))
    list_application_versions_async = Verb(outside(versions.list_application_versions.later))
    get_latest_application_version = Verb(outside(versions.get_latest_application_version.now))
    get_latest_application_version_async = Verb(outside(versions.get_latest_application_version.later))
    set_latest_application_version = Verb(outside(versions.set_latest_application_version.now))
    set_latest_application_version_async = Verb(outside(versions.set_latest_application_version.later))


def _require_transaction(verb: str) -> None:
    if not database.in_transaction():
        raise DBOSException(f"{verb}() needs an open transaction: use it in `with transaction.atomic():`.")
