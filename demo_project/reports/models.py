"""The reports: a row a day."""

from django.db import models
from django.utils import timezone


class DailyReport(models.Model):
    """What the shop did on one day, as counted when the report was written last."""

    day = models.DateField(unique=True)
    orders = models.PositiveIntegerField()
    dispatched = models.PositiveIntegerField()
    cancelled = models.PositiveIntegerField()
    items = models.PositiveIntegerField()
    revenue = models.DecimalField(max_digits=12, decimal_places=2)
    best_seller = models.CharField(max_length=80, blank=True)
    written_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-day"]

    def __str__(self) -> str:
        return str(self.day)
