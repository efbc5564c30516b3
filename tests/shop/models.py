"""What the workflows of the tests change, so that a test can count what really happened."""

from decimal import Decimal

from django.db import models
from django.utils import timezone


class Order(models.Model):
    """Something a workflow works on."""

    number = models.TextField(unique=True)
    status = models.TextField(default="new")
    total = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))

    def __str__(self) -> str:
        return self.number


class Effect(models.Model):
    """One side effect, as often as it happened: nothing is unique, so that repetitions show."""

    workflow_id = models.TextField()
    step = models.TextField()
    attempt = models.IntegerField(default=1)
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.workflow_id}: {self.step}, attempt {self.attempt}"
