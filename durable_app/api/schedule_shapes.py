"""A schedule as requests and answers have it, and the definition that a body means."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from rest_framework import serializers

from durable_app import clock
from durable_app.api.bodies import Anything, Flag, Moment, PageQuery, ReasonBody, Text, Values, Whole
from durable_app.api.etags import etag
from durable_app.api.options import is_startable
from durable_app.api.problems import Problem, invalid
from durable_app.control.schedules import is_fixed
from durable_app.errors import InvalidOptionError
from durable_app.insight import fires, payloads
from durable_app.limits import HIGHEST_COUNT
from durable_app.models import Schedule
from durable_app.models.schedule import CatchUp, Overlap, ScheduleStatus
from durable_app.recurrence import LONGEST
from durable_app.registry import ScheduleDefinition
from durable_app.scheduling import NAME_LENGTH, ScheduleInput, definition_of
from durable_app.store.schedules import recurrence_of

NEXT = 3
"""Ticks to come that are shown."""


class ScheduleSerializer(serializers.Serializer[Any]):
    """A schedule."""

    name = serializers.CharField()
    workflow = serializers.CharField()
    class_name = serializers.CharField(allow_null=True)
    cron = serializers.CharField(help_text="5 fields, or 6 with the seconds first.")
    timezone = serializers.CharField(allow_null=True, help_text="Null: UTC.")
    queue = serializers.CharField(allow_null=True)
    context = serializers.JSONField(  # type: ignore[assignment]
        help_text="What every run is given; needs `view_payload`."
    )
    status = serializers.ChoiceField(choices=ScheduleStatus.values)
    catch_up = serializers.ChoiceField(choices=CatchUp.values)
    catch_up_limit = serializers.IntegerField(allow_null=True)
    overlap = serializers.ChoiceField(choices=Overlap.values)
    is_declared = serializers.BooleanField(help_text="Whether code declares it: then only code changes it.")
    next_at = serializers.ListField(child=Moment(), help_text="When it fires next; empty while it does not.")
    last_fired_at = Moment(allow_null=True)
    created_at = Moment()
    updated_at = Moment()


class TickSerializer(serializers.Serializer[Any]):
    """A tick of the past."""

    at = Moment()
    has_run = serializers.BooleanField(help_text="Then a backfill passes it over.")


class BackfillSerializer(serializers.Serializer[Any]):
    """What a backfill has done, or would do."""

    count = serializers.IntegerField(help_text="Ticks in the span; once it is done each has a run.")
    ticks = TickSerializer(many=True, help_text="Of a dry run.")
    is_capped = serializers.BooleanField(help_text="Whether there are more ticks than are shown.")


class TriggeredSerializer(serializers.Serializer[Any]):
    """The run that was started."""

    workflow_id = serializers.CharField()


class ScheduleQuery(PageQuery):
    """Which schedules."""

    status = serializers.ChoiceField(required=False, choices=ScheduleStatus.values)
    workflow = Text(required=False)
    name_prefix = Text(required=False)


class ChangeBody(ReasonBody):
    """What is to be changed."""

    workflow = Text(required=False)
    cron = Text(required=False, max_length=LONGEST)
    timezone = Text(required=False, allow_null=True, max_length=LONGEST)
    queue = Text(required=False, allow_null=True)
    context = Anything(required=False, allow_null=True)  # type: ignore[assignment]
    catch_up = serializers.ChoiceField(required=False, choices=CatchUp.values)
    catch_up_limit = Whole(required=False, allow_null=True, min_value=1, max_value=HIGHEST_COUNT)
    overlap = serializers.ChoiceField(required=False, choices=Overlap.values)
    enabled = Flag(required=False, help_text="False pauses it, true resumes it; needs `pause_schedule`, too.")


class ScheduleBody(ChangeBody):
    """A new schedule."""

    name = Text(
        max_length=NAME_LENGTH, help_text="Part of its URL: without a slash, and neither `.` nor `..`."
    )
    workflow = Text()
    cron = Text(max_length=LONGEST)


class BackfillBody(ReasonBody):
    """Which ticks, both ends exclusive."""

    start = Moment()
    end = Moment(help_text="Now at the latest, unless it is a dry run.")
    dry_run = Flag(required=False, default=False)


def definition(name: str, given: Values, *, goes_unchecked: bool = False) -> ScheduleDefinition:
    """Return the definition that a body means, also for a schedule that is going to be refused anyway.

    Raises Problem, InvalidOptionError, SerializationError.
    """
    workflow, limit = given["workflow"], given.get("catch_up_limit")
    if not goes_unchecked and not is_startable(workflow):
        raise Problem("not-exposed", f"{workflow!r} cannot be started through the API.")
    if limit is not None and given.get("catch_up") != CatchUp.ALL:
        raise invalid("/catch_up_limit", 'A limit goes with "catch_up": "all".')
    return definition_of(
        ScheduleInput(
            schedule_name=name,
            workflow_fn=workflow,
            schedule=given["cron"],
            cron_timezone=given.get("timezone"),
            queue_name=given.get("queue"),
            context=given.get("context"),
            catch_up=given.get("catch_up", CatchUp.NONE.value) if limit is None else limit,
            overlap=given.get("overlap", Overlap.ALLOW.value),
        )
    )


def changed(row: Schedule, given: Values) -> ScheduleDefinition:
    """Return a schedule's definition with what a body changes; raises what ``definition`` raises."""
    kept: Values = {
        "workflow": row.workflow_name,
        "cron": row.cron,
        "timezone": row.timezone,
        "queue": row.queue_name,
        "catch_up": row.catch_up,
        "catch_up_limit": row.catch_up_limit if given.get("catch_up", CatchUp.ALL) == CatchUp.ALL else None,
        "overlap": row.overlap,
    }
    found = definition(row.name, {**kept, **given}, goes_unchecked=is_fixed(row))
    if "context" not in given:
        found = replace(found, context=row.context)
    return found if "workflow" in given else replace(found, class_name=row.class_name)


def shown(row: Schedule, *, may_see: bool) -> dict[str, Any]:
    """Return a schedule as JSON; ``may_see`` its context."""
    context = payloads.payload(row.context, "json", may_see=may_see)
    values = {
        **{name: getattr(row, name) for name in _SAME},
        "workflow": row.workflow_name,
        "queue": row.queue_name,
        "context": None if context is None else context.value,
        "next_at": _next(row),
    }
    found: dict[str, Any] = ScheduleSerializer(values).data
    return found


_SAME = (
    "name", "class_name", "cron", "timezone", "status", "catch_up", "catch_up_limit", "overlap",
    "is_declared", "last_fired_at", "created_at", "updated_at",
)  # fmt: skip


def _next(row: Schedule) -> list[datetime]:
    if row.next_at is None:
        return []
    try:
        later = fires.upcoming(recurrence_of(row), max(row.next_at, clock.now()), NEXT - 1)
    except InvalidOptionError:  # this process cannot read it
        later = []
    return [row.next_at, *later]


def tag(row: Schedule) -> str:
    """Return the tag of what a change may change."""
    names = (
        "workflow_name",
        "cron",
        "timezone",
        "queue_name",
        "catch_up",
        "catch_up_limit",
        "overlap",
        "status",
    )
    return etag({**{name: getattr(row, name) for name in names}, "context": row.context})
