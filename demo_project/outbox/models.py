"""The outbox: a row an event, written in the transaction that makes it true."""

from django.db import models
from django.utils import timezone


class Event(models.Model):
    """Something that has happened, and how far its delivery is."""

    class State(models.TextChoices):
        """Where the delivery stands."""

        PENDING = "pending", "on its way"
        DELIVERED = "delivered", "delivered"
        GIVEN_UP = "given_up", "given up"

    event_id = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=40)
    data = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    tries = models.PositiveIntegerField(default=0)
    last_answer = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.event_id
