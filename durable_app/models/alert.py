"""One row an alert that was sent: the same one is sent again only after a while."""

from django.db import models

from durable_app.models.workflow import ID_LENGTH


class SentAlert(models.Model):
    """When an alert about a subject was sent last."""

    key = models.CharField(primary_key=True, max_length=2 * ID_LENGTH)
    sent_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.key
