"""What is shown of schedules, in the seed's fields."""

from typing import Any, TypedDict

from durable_app.store.schedules import ScheduleInfo


class WorkflowSchedule(TypedDict):
    """A schedule as it stands."""

    schedule_id: str
    schedule_name: str
    workflow_name: str
    workflow_class_name: str | None
    schedule: str
    status: str
    context: Any
    last_fired_at: str | None
    automatic_backfill: bool
    cron_timezone: str | None
    queue_name: str | None
    application_name: str | None
    shard_key: str | None


def seed_schedule(found: ScheduleInfo) -> WorkflowSchedule:
    """Return a schedule in the seed's fields."""
    return WorkflowSchedule(
        schedule_id=found.schedule_id,
        schedule_name=found.schedule_name,
        workflow_name=found.workflow_name,
        workflow_class_name=found.workflow_class_name,
        schedule=found.schedule,
        status=found.status,
        context=found.context,
        last_fired_at=None if found.last_fired_at is None else found.last_fired_at.isoformat(),
        automatic_backfill=found.catch_up == "all",
        cron_timezone=found.cron_timezone,
        queue_name=found.queue_name,
        application_name=None,
        shard_key=None,
    )


def seed_schedule_or_none(found: ScheduleInfo | None) -> WorkflowSchedule | None:
    """Return a schedule in the seed's fields, or None."""
    return None if found is None else seed_schedule(found)


def seed_schedules(found: list[ScheduleInfo]) -> list[WorkflowSchedule]:
    """Return schedules in the seed's fields."""
    return [seed_schedule(one) for one in found]
