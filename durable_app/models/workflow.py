"""One row a workflow run: its call, its place in the state machine, its outcome."""

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

ID_LENGTH = 255
"""Characters of every identifier: ids, names, keys, topics."""


class Status(models.TextChoices):
    """Where a run is in its life. The values are the seed system's; WAITING is ours."""

    ENQUEUED = "ENQUEUED", _("enqueued")  # ready: the next worker with room takes it
    DELAYED = "DELAYED", _("delayed")  # becomes ENQUEUED at ``run_after``
    PENDING = "PENDING", _("running")  # claimed: one worker executes it under one attempt
    WAITING = "WAITING", _("waiting")  # parked: costs a row until what it waits for comes
    SUCCESS = "SUCCESS", _("success")  # returned a value
    ERROR = "ERROR", _("error")  # raised an exception
    CANCELLED = "CANCELLED", _("cancelled")  # ended from outside, or by its deadline
    MAX_RECOVERY_ATTEMPTS_EXCEEDED = (
        "MAX_RECOVERY_ATTEMPTS_EXCEEDED",
        _("too many recoveries"),
    )  # dead letter: its workers died too often


_S = Status

TRANSITIONS: dict[Status, frozenset[Status]] = {
    _S.ENQUEUED: frozenset({_S.PENDING, _S.CANCELLED}),
    _S.DELAYED: frozenset({_S.ENQUEUED, _S.CANCELLED}),
    _S.PENDING: frozenset(
        {
            _S.SUCCESS,
            _S.ERROR,
            _S.CANCELLED,
            _S.WAITING,
            _S.ENQUEUED,
            _S.DELAYED,
            _S.MAX_RECOVERY_ATTEMPTS_EXCEEDED,
        }
    ),
    _S.WAITING: frozenset({_S.ENQUEUED, _S.CANCELLED}),
    _S.SUCCESS: frozenset({_S.ENQUEUED}),
    _S.ERROR: frozenset({_S.ENQUEUED}),
    _S.CANCELLED: frozenset({_S.ENQUEUED}),
    _S.MAX_RECOVERY_ATTEMPTS_EXCEEDED: frozenset({_S.ENQUEUED}),
}
"""Allowed moves. The last four are ``resume`` and ``rewind``; a new row starts in ENQUEUED,
DELAYED or (a direct call) PENDING."""

TERMINAL = frozenset({_S.SUCCESS, _S.ERROR, _S.CANCELLED, _S.MAX_RECOVERY_ATTEMPTS_EXCEEDED})
ACTIVE = frozenset(_S) - TERMINAL


class WorkflowQuerySet(models.QuerySet):  # type: ignore[type-arg]
    """Adjectives of runs; the verbs are in ``store``."""

    def active(self) -> "WorkflowQuerySet":
        """Runs that have not ended."""
        return self.filter(status__in=ACTIVE)

    def finished(self) -> "WorkflowQuerySet":
        """Runs in a terminal state."""
        return self.filter(status__in=TERMINAL)

    def with_attributes(self, attributes: dict[str, Any]) -> "WorkflowQuerySet":
        """Runs whose attributes contain all these pairs; same on both databases."""
        return self.filter(attributes__has_pairs=attributes)

    def without_payloads(self) -> "WorkflowQuerySet":
        """The same runs, with inputs and outcome left in the database."""
        return self.defer("inputs", "output", "error")


def _identifier(*, null: bool = True, **options: Any) -> "models.CharField[Any, Any]":
    return models.CharField(max_length=ID_LENGTH, null=null, **options)


class Workflow(models.Model):
    """A workflow run."""

    id = models.BigAutoField(primary_key=True)

    # identity
    workflow_id = _identifier(null=False)
    name = _identifier(null=False)
    class_name = _identifier()
    config_name = _identifier()
    parent_workflow_id = _identifier()
    forked_from = _identifier()
    was_forked_from = models.BooleanField(default=False, db_default=False)
    schedule_name = _identifier()
    app_version = _identifier()
    attributes = models.JSONField(null=True)
    user = _identifier()
    roles = models.JSONField(null=True)
    assumed_role = _identifier()

    # state
    status = models.CharField(max_length=32, choices=Status.choices)
    worker = models.ForeignKey(
        "durable_app.Worker",
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="runs",
    )
    attempt = models.PositiveIntegerField(default=0, db_default=0)
    """The fencing token: one more at every claim, sweep and release."""
    recovery_attempts = models.PositiveIntegerField(default=0, db_default=0)
    max_recovery_attempts = models.PositiveIntegerField(null=True)
    waiting_for = models.TextField(default="", db_default="", blank=True)
    """What a parked or blocked run waits for, in words; the keys are rows of ``Wait``."""
    awaited = models.BooleanField(default=False, db_default=False)
    """Whether a parked run waits for this one's outcome: finishing must then look for it."""

    # queueing
    queue_name = _identifier()
    priority = models.PositiveIntegerField(default=0, db_default=0)
    partition_key = _identifier()
    deduplication_id = _identifier()
    debounced_until = models.DateTimeField(null=True)
    """The latest time that later calls may put a debounced run off to; null: not debounced."""

    # the call and its outcome
    inputs = models.TextField()
    output = models.TextField(null=True)
    error = models.TextField(null=True)
    serialization = models.CharField(max_length=32, default="json", db_default="json")

    # times
    timeout = models.DurationField(null=True)
    deadline_at = models.DateTimeField(null=True)
    run_after = models.DateTimeField(null=True)
    wake_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    enqueued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    objects = WorkflowQuerySet.as_manager()

    class Meta:
        verbose_name = _("workflow run")
        verbose_name_plural = _("workflow runs")
        default_permissions = ("view", "delete")
        permissions = [
            ("view_payload", _("Can see what runs were given, returned, sent and published")),
            ("start_workflow", _("Can start workflows")),
            ("cancel_workflow", _("Can cancel runs")),
            ("resume_workflow", _("Can resume runs, and let them run now")),
            ("fork_workflow", _("Can run histories again (fork, retry, rewind)")),
            ("send_message", _("Can send messages to runs")),
            ("export_workflow", _("Can export runs")),
        ]
        constraints = [
            # Constraints, not unique=True: that would add a second (LIKE) index on PostgreSQL.
            models.UniqueConstraint(fields=["workflow_id"], name="durable_workflow_id"),
            models.UniqueConstraint(
                fields=["queue_name", "deduplication_id"],
                condition=Q(deduplication_id__isnull=False),
                name="durable_workflow_dedup",
            ),
        ]
        # Every index is paid on every insert: each names the query it serves.
        indexes = [
            models.Index(  # claims.claim, limited.claim
                fields=["queue_name", "priority", "id"],
                condition=Q(status="ENQUEUED"),
                name="durable_workflow_claim",
            ),
            models.Index(  # limited.claim: what goes on, behind any backlog of what has not begun
                fields=["queue_name", "priority", "id"],
                condition=Q(status="ENQUEUED", started_at__isnull=False),
                name="durable_workflow_again",
            ),
            models.Index(  # partitions.keys_after, limited.claim
                fields=["queue_name", "partition_key", "priority", "id"],
                condition=Q(status="ENQUEUED", partition_key__isnull=False),
                name="durable_workflow_partition",
            ),
            models.Index(  # limited.claim, workers.recover, workers.stray_runs
                fields=["queue_name", "worker"],
                condition=Q(status="PENDING"),
                name="durable_workflow_running",
            ),
            models.Index(  # waits.wake_due
                fields=["wake_at"],
                condition=Q(status="WAITING", wake_at__isnull=False),
                name="durable_workflow_wake",
            ),
            models.Index(  # delays.release_delayed
                fields=["run_after"], condition=Q(status="DELAYED"), name="durable_workflow_delay"
            ),
            models.Index(  # recovery.cancel_overdue
                fields=["deadline_at"],
                condition=Q(deadline_at__isnull=False, finished_at__isnull=True),
                name="durable_workflow_deadline",
            ),
            models.Index(  # retention; activity.ended, which reads nothing but this
                fields=["finished_at", "status", "queue_name"],
                condition=Q(finished_at__isnull=False),
                name="durable_workflow_finished",
            ),
            models.Index(  # cancel_children, delete_children, family
                fields=["parent_workflow_id"],
                condition=Q(parent_workflow_id__isnull=False),
                name="durable_workflow_parent",
            ),
            models.Index(  # the list of a schedule's runs
                fields=["schedule_name", "id"],
                condition=Q(schedule_name__isnull=False),
                name="durable_workflow_schedule",
            ),
            models.Index(  # ticks.fire: which of them are active, among all that ever were
                fields=["schedule_name"],
                condition=Q(schedule_name__isnull=False, finished_at__isnull=True),
                name="durable_workflow_overlap",
            ),
            models.Index(  # send_to_forks, family
                fields=["forked_from"],
                condition=Q(forked_from__isnull=False),
                name="durable_workflow_fork",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.workflow_id}"


class Wait(models.Model):
    """A parked run waits for a key, such as ``result:<id>`` or ``event:<id>:<key>``."""

    pk = models.CompositePrimaryKey("key", "workflow_id")
    key = models.TextField()
    workflow = models.ForeignKey(Workflow, models.DO_NOTHING, db_constraint=False, related_name="waits")

    def __str__(self) -> str:
        return self.key
