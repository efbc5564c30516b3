"""A list's conditions under a name: each user's own."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from durable_app.models.workflow import ID_LENGTH


class SavedView(models.Model):
    """A link to the list of runs that a user wants to find again."""

    id = models.BigAutoField(primary_key=True)
    owner = models.CharField(max_length=ID_LENGTH)
    """The user's id, as the audit has it: users may be in another database."""
    name = models.CharField(max_length=60)
    query = models.TextField()
    """The parameters of the link."""

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="durable_view_name"),
        ]

    def __str__(self) -> str:
        return self.name
