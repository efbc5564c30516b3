"""What runs tell each other and the world: messages, events, streams."""

from django.db import models
from django.db.models import Q

from durable_app.models.workflow import ID_LENGTH, Workflow


class Message(models.Model):
    """Sent to one run, consumed once, in order of ``id`` for each topic."""

    id = models.BigAutoField(primary_key=True)
    destination = models.ForeignKey(
        Workflow, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="messages"
    )
    topic = models.CharField(max_length=ID_LENGTH, default="")
    value = models.TextField()
    serialization = models.CharField(max_length=32, default="json", db_default="json")
    idempotency_key = models.CharField(max_length=ID_LENGTH, null=True)
    sent_at = models.DateTimeField()
    consumed_at = models.DateTimeField(null=True)
    consumed_by_position = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["destination", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="durable_message_once",
            )
        ]
        indexes = [models.Index(fields=["destination", "topic", "id"], name="durable_message_inbox")]

    def __str__(self) -> str:
        return f"{self.topic or 'message'} {self.id}"


class Event(models.Model):
    """The latest value a run published under a key."""

    pk = models.CompositePrimaryKey("workflow_id", "key")
    workflow = models.ForeignKey(
        Workflow, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="events"
    )
    key = models.CharField(max_length=ID_LENGTH)
    value = models.TextField()
    serialization = models.CharField(max_length=32, default="json", db_default="json")
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key


class EventHistory(models.Model):
    """Every value a workflow published, by the position of its ``set_event``."""

    pk = models.CompositePrimaryKey("workflow_id", "key", "position", "branch")
    workflow = models.ForeignKey(
        Workflow,
        models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="event_history",
    )
    key = models.CharField(max_length=ID_LENGTH)
    position = models.PositiveIntegerField()
    branch = models.TextField(default="", db_default="")
    value = models.TextField()
    serialization = models.CharField(max_length=32, default="json", db_default="json")
    set_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key} {self.position}"


class StreamEntry(models.Model):
    """One value of a run's stream; offsets of a key are consecutive from 0."""

    pk = models.CompositePrimaryKey("workflow_id", "key", "offset")
    workflow = models.ForeignKey(
        Workflow,
        models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="stream_entries",
    )
    key = models.CharField(max_length=ID_LENGTH)
    offset = models.PositiveIntegerField()
    value = models.TextField(null=True)
    """Null is the end of the stream."""
    serialization = models.CharField(max_length=32, default="json", db_default="json")
    position = models.PositiveIntegerField()
    written_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key} {self.offset}"
