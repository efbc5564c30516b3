"""One row a version of the project's code that a worker has run."""

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from durable_app.models.workflow import ID_LENGTH


class AppVersion(models.Model):
    """A version of the code; the one with the highest ``latest_at`` is the latest."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=ID_LENGTH, unique=True)
    latest_at = models.DateTimeField()
    """When it became the latest: at its first start, or when somebody said so."""
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("version")
        verbose_name_plural = _("versions")

    def __str__(self) -> str:
        return self.name
