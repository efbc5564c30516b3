"""What was read: a row a file, and a row a passage with its vector."""

from django.db import models
from django.utils import timezone


class Document(models.Model):
    """A file, as it was read last."""

    path = models.CharField(max_length=200, unique=True)
    title = models.CharField(max_length=120)
    readings = models.PositiveIntegerField(default=0)
    """How often it was stored. Nothing but the engine keeps one run from storing it twice."""
    read_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["path"]

    def __str__(self) -> str:
        return self.path


class Passage(models.Model):
    """A paragraph that can be found."""

    document = models.ForeignKey(Document, models.CASCADE, related_name="passages")
    number = models.PositiveIntegerField()
    text = models.TextField()
    vector = models.BinaryField()

    class Meta:
        ordering = ["document", "number"]
        constraints = [
            models.UniqueConstraint(fields=["document", "number"], name="ingestion_passage_number")
        ]

    def __str__(self) -> str:
        return f"{self.document_id} {self.number}"
