"""One row a schedule: when it fires, what it starts, and how it deals with missed and overlapping ticks."""

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from durable_app.models.workflow import ID_LENGTH


class ScheduleStatus(models.TextChoices):
    """Whether a schedule fires. The values are the seed system's; RETIRED is ours."""

    ACTIVE = "ACTIVE", _("active")  # fires at its ticks
    PAUSED = "PAUSED", _("paused")  # by an operator, until one resumes it
    RETIRED = "RETIRED", _("retired")  # code declared it, and does so no more


class CatchUp(models.TextChoices):
    """What becomes of ticks that came while nobody could fire them."""

    NONE = "none", _("skip them")
    LAST = "last", _("start the last one")
    ALL = "all", _("start all, up to a limit")


class Overlap(models.TextChoices):
    """What a tick does while a run of an earlier one is active."""

    ALLOW = "allow", _("start beside it")
    SKIP = "skip", _("skip the tick")
    CANCEL_PREVIOUS = "cancel_previous", _("cancel it, then start")


class Schedule(models.Model):
    """A cron expression that starts a run of a workflow at every tick."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=ID_LENGTH, unique=True)
    workflow_name = models.CharField(max_length=ID_LENGTH)
    class_name = models.CharField(max_length=ID_LENGTH, null=True)
    cron = models.CharField(max_length=ID_LENGTH)
    timezone = models.CharField(max_length=ID_LENGTH, null=True)
    """Name of a time zone; null is UTC."""
    context = models.TextField(null=True)
    """What every run is given as its second argument, encoded."""
    queue_name = models.CharField(max_length=ID_LENGTH, null=True)
    status = models.CharField(max_length=16, choices=ScheduleStatus.choices, default=ScheduleStatus.ACTIVE)
    catch_up = models.CharField(max_length=16, choices=CatchUp.choices, default=CatchUp.NONE)
    catch_up_limit = models.PositiveIntegerField(null=True)
    """How many missed ticks are started at most; null: all of them."""
    overlap = models.CharField(max_length=16, choices=Overlap.choices, default=Overlap.ALLOW)
    is_declared = models.BooleanField(default=False)
    """Whether code declares the schedule."""

    next_at = models.DateTimeField(null=True)
    """The tick that fires next; null while the schedule is not active."""
    last_fired_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        permissions = [
            ("pause_schedule", _("Can pause and resume schedules")),
            ("trigger_schedule", _("Can trigger schedules")),
            ("backfill_schedule", _("Can start missed ticks of schedules")),
        ]
        indexes = [
            models.Index(  # schedules.due
                fields=["next_at"], condition=models.Q(next_at__isnull=False), name="durable_schedule_due"
            ),
        ]

    def __str__(self) -> str:
        return self.name
