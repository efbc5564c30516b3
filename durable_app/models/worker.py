"""One row a process that holds runs, with the lease that its heartbeat renews."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from durable_app.models.workflow import ID_LENGTH


class Worker(models.Model):
    """An incarnation: a fresh id each time a process starts, or has lost its lease.

    Host, pid and the rest are shown to people, and let a neighbour on the same host see early that the
    process is gone; nothing is identified by them.
    """

    id = models.CharField(primary_key=True, max_length=36)
    name = models.CharField(max_length=ID_LENGTH)
    kind = models.CharField(max_length=16, default="worker")
    """"worker", or "caller" for a process that runs workflows by calling them."""
    hostname = models.CharField(max_length=ID_LENGTH)
    process_space = models.CharField(max_length=ID_LENGTH)
    """Boot id and pid namespace: where ``pid`` means something."""
    pid = models.PositiveIntegerField()
    pid_started = models.CharField(max_length=32)
    """The process's start time as the kernel tells it: tells a reused pid."""
    app_version = models.CharField(max_length=ID_LENGTH, default="")
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)
    asked_to = models.CharField(max_length=16, default="", blank=True)
    """What an operator asked of it: "quiet" (take nothing more) or "stop" (and end after that)."""
    queues = models.JSONField(default=list, blank=True)
    """Names of the queues it serves; empty: all."""
    excluded = models.JSONField(default=list, blank=True)
    """Names of the queues that it does not serve, of all."""
    slots = models.PositiveIntegerField(default=0)
    """How many runs it executes at once."""

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        default_permissions = ("view",)
        permissions = [("control_worker", _("Can quiet and stop workers, and take their runs back"))]

    def __str__(self) -> str:
        return self.name
