"""Who did what to which run, queue or schedule: append-only, written together with the deed."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from durable_app.models.workflow import ID_LENGTH


class AuditOutcome(models.TextChoices):
    """What became of an operator's attempt."""

    DONE = "done", _("done")
    DENIED = "denied", _("denied")  # without the permission
    REFUSED = "refused", _("refused")  # the target's state does not allow it
    FAILED = "failed", _("failed")


class AuditEvent(models.Model):
    """An operator's attempt at a verb."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    verb = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=AuditOutcome.choices)
    actor_kind = models.CharField(max_length=16)
    """"user", "token", "cli" or "system"."""
    actor_id = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    actor_label = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    target_kind = models.CharField(max_length=32)
    """"workflow", "queue", "schedule", "worker", "approval" or "bulk operation"."""
    target_id = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    reason = models.TextField(default="", blank=True)
    details = models.JSONField(default=dict, blank=True)
    ip = models.CharField(max_length=64, default="", blank=True)
    request_id = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    bulk_operation = models.CharField(max_length=ID_LENGTH, default="", blank=True)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit")
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["target_id", "id"], name="durable_audit_target"),
            models.Index(  # the page of a bulk operation
                fields=["bulk_operation", "id"],
                condition=models.Q(bulk_operation__gt=""),
                name="durable_audit_bulk",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.target_id}"
