"""One row a queue: its limits, and whether it is paused."""

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from durable_app.limits import Limits, RateLimit
from durable_app.models.workflow import ID_LENGTH


class Queue(models.Model):
    """A named line of enqueued runs. Only queues that have a row are served."""

    name = models.CharField(primary_key=True, max_length=ID_LENGTH)

    concurrency = models.PositiveIntegerField(null=True)
    worker_concurrency = models.PositiveIntegerField(null=True)
    limiter_limit = models.PositiveIntegerField(null=True)
    limiter_period = models.DurationField(null=True)
    partition_queue = models.BooleanField(default=False)
    """Whether runs need a partition key to be taken."""
    partition_concurrency = models.PositiveIntegerField(null=True)
    partition_worker_concurrency = models.PositiveIntegerField(null=True)
    partition_limiter_limit = models.PositiveIntegerField(null=True)
    partition_limiter_period = models.DurationField(null=True)
    polling_interval = models.DurationField(null=True)

    paused_at = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(null=True)
    """Null while ``paused_at`` is set: until somebody resumes it."""
    pause_reason = models.TextField(default="", blank=True)

    declaration = models.TextField(default="", blank=True)
    """The limits as code last declared them; they may have been changed since."""
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name = _("queue")
        verbose_name_plural = _("queues")
        default_permissions = ("view",)
        permissions = [
            ("pause_queue", _("Can pause and resume queues")),
            ("tune_queue", _("Can change the limits of queues")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def limits(self) -> Limits:
        """The queue's limits as a value."""
        return Limits(
            concurrency=self.concurrency,
            worker_concurrency=self.worker_concurrency,
            limiter=_rate(self.limiter_limit, self.limiter_period),
            partition_concurrency=self.partition_concurrency,
            partition_worker_concurrency=self.partition_worker_concurrency,
            partition_limiter=_rate(self.partition_limiter_limit, self.partition_limiter_period),
            partition_queue=self.partition_queue,
        )


def _rate(limit: int | None, period: timedelta | None) -> RateLimit | None:
    return None if limit is None or period is None else RateLimit(limit=limit, period=period)


class QueueStart(models.Model):
    """A start that counts against a rate limit: a log, for the run's own row may be deleted."""

    id = models.BigAutoField(primary_key=True)
    queue = models.CharField(max_length=ID_LENGTH)
    partition_key = models.CharField(max_length=ID_LENGTH, null=True)
    started_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["queue", "started_at"], name="durable_queue_start"),  # limited.claim
        ]

    def __str__(self) -> str:
        return f"{self.queue} {self.started_at}"
