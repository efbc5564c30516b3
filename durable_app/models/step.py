"""One row a completed step, keyed by its position in its run."""

from django.db import models

from durable_app.models.workflow import ID_LENGTH, Workflow


class Step(models.Model):
    """A checkpoint. ``position`` counts the workflow's operations from 1.

    Inside a parallel branch ``position`` is that of the ``gather`` and ``branch`` the path below it:
    "2.3" is the third operation of its second branch.
    """

    pk = models.CompositePrimaryKey("workflow_id", "position", "branch")
    workflow = models.ForeignKey(
        Workflow, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="steps"
    )
    position = models.PositiveIntegerField()
    branch = models.TextField(default="", db_default="")
    name = models.CharField(max_length=ID_LENGTH)
    output = models.TextField(null=True)
    error = models.TextField(null=True)
    serialization = models.CharField(max_length=32, default="json", db_default="json")
    child_workflow_id = models.CharField(max_length=ID_LENGTH, null=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=1, db_default=1)
    """How often the step's body ran in the execution that recorded it."""
    attempt = models.PositiveIntegerField()
    """The run's attempt that recorded it: tells own records from another execution's."""

    def __str__(self) -> str:
        return f"{self.position} {self.name}"


class Receipt(models.Model):
    """A transaction's checkpoint beside its writes, where these live in another database.

    Begun in the user's transaction before its writes, and completed with them; the engine's own
    checkpoint follows. Exactly once rests on the primary key: a second execution of a step waits for the
    first, and cannot commit its writes.
    """

    pk = models.CompositePrimaryKey("workflow_id", "position", "branch")
    workflow_id = models.CharField(max_length=ID_LENGTH)
    position = models.PositiveIntegerField()
    branch = models.TextField(default="", db_default="")
    output = models.TextField(null=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.position}"
