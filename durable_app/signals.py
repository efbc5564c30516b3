"""What the engine tells the world; ``logs`` turns these into log lines.

Every signal is sent with ``sender=None`` and keyword arguments; receivers must not raise.
"""

from django.dispatch import Signal

workflow_started = Signal()
"""``workflow_id``, ``name``, ``attempt``: an execution of a run begins (or replays)."""

workflow_finished = Signal()
"""``workflow_id``, ``name``, ``status``, ``error``: a run has reached a terminal state."""

workflow_parked = Signal()
"""``workflow_id``, ``name``, ``waiting_for``: a run released its thread."""

workflow_continued = Signal()
"""``workflow_id``, ``name``, ``rounds``: a run has begun anew, for the so-manieth time."""

workflow_blocked = Signal()
"""``workflow_id``, ``name``, ``reason``: the code does not match the recorded steps."""

workflow_lost = Signal()
"""``workflow_id``, ``name``: an execution found that it is no longer the owner."""

workflow_recovered = Signal()
"""``workflow_id``, ``worker``, ``status``: a run was taken back from a dead worker."""

step_retried = Signal()
"""``workflow_id``, ``step_name``, ``attempt``, ``error``, ``pause``: a try failed."""

tick_started = Signal()
"""``schedule_name``, ``workflow_id``, ``scheduled_at``: a schedule has started a run."""

tick_skipped = Signal()
"""``schedule_name``, ``workflow_id``, ``scheduled_at``: an earlier run was still active."""

workflows_pruned = Signal()
"""``count``: that many finished runs were deleted, for they have been kept long enough."""

worker_started = Signal()
"""``worker``, ``name``: a worker registered."""

worker_stopped = Signal()
"""``worker``, ``released``: a worker ended, and handed back that many runs."""

worker_lost = Signal()
"""``worker``: this process found its own lease gone."""

service_failed = Signal()
"""``service``, ``error``: a maintenance service raised; it goes on after a pause."""
