"""One row a question that a run asks people: a form, who may answer it, and the answer."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from durable_app.models.workflow import ID_LENGTH, Workflow


class Approval(models.Model):
    """A run waits for a person's answer."""

    id = models.BigAutoField(primary_key=True)
    workflow = models.ForeignKey(
        Workflow, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="approvals"
    )
    position = models.PositiveIntegerField()
    branch = models.TextField(default="", db_default="", blank=True)
    title = models.CharField(max_length=ID_LENGTH)
    description = models.TextField(default="", blank=True)
    """Text with a little Markdown; shown escaped."""
    form = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    """Name of a registered form; empty: approve or reject."""
    context = models.JSONField(default=dict, blank=True)
    group = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    """Name of the group whose members may answer; empty: any that have the permission."""
    permission = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    """Permission that the answer needs instead of the general one."""
    created_at = models.DateTimeField()
    deadline_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    """When it was answered, or when its run ended or its deadline passed without an answer."""
    approved = models.BooleanField(null=True)
    """The answer; null with ``closed_at``: nobody answered."""
    answered_by = models.CharField(max_length=ID_LENGTH, default="", blank=True)
    values = models.TextField(default="", blank=True)
    """What the form was filled in with, encoded."""
    comment = models.TextField(default="", blank=True)

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        default_permissions = ("view",)
        permissions = [("answer_approval", _("Can answer approvals"))]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "position", "branch"], name="durable_approval_once")
        ]
        indexes = [
            models.Index(  # the inbox
                fields=["id"], condition=models.Q(closed_at__isnull=True), name="durable_approval_open"
            )
        ]

    def __str__(self) -> str:
        return self.title
