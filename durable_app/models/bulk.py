"""One row a verb on many runs at once; a workflow of ours carries it out."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from durable_app.models.workflow import ID_LENGTH


class BulkOperation(models.Model):
    """An operator's verb on all runs that a frozen filter matches."""

    id = models.BigAutoField(primary_key=True)
    workflow_id = models.CharField(max_length=ID_LENGTH)
    """The run that carries it out; cancelling that stops it."""
    verb = models.CharField(max_length=64)
    filter = models.JSONField(default=dict)
    """The conditions, by the names of ``list_workflows``."""
    options = models.JSONField(default=dict, blank=True)
    reason = models.TextField(default="", blank=True)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    actor_label = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    last_run = models.BigIntegerField(default=0)
    """The row of the last run that it looked at."""
    newest_run = models.BigIntegerField(default=0)
    """The newest run when it was begun: later ones are not touched."""
    matched = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    denied = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    file = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    """Where the storage has what it made, once that is whole."""
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("bulk operation")
        verbose_name_plural = _("bulk operations")
        default_permissions = ("view",)
        permissions = [("bulk_unlimited", _("Can act on more runs at once than the limit"))]

    def __str__(self) -> str:
        return f"{self.verb} {self.id}"


class IdempotencyKey(models.Model):
    """A request that was answered: the same key gets the same answer, and nothing is done again."""

    id = models.BigAutoField(primary_key=True)
    actor = models.CharField(max_length=ID_LENGTH)
    route = models.CharField(max_length=ID_LENGTH)
    key = models.CharField(max_length=ID_LENGTH)
    fingerprint = models.CharField(max_length=64)
    """SHA-256 of the canonical request body, in hexadecimal."""
    status_code = models.PositiveSmallIntegerField(null=True)
    """Null while the first request is being answered."""
    body = models.TextField(default="", blank=True)
    headers = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["actor", "route", "key"], name="durable_idempotency_key")
        ]
        indexes = [models.Index(fields=["created_at"], name="durable_idempotency_age")]

    def __str__(self) -> str:
        return self.key
