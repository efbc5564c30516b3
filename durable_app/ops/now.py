"""The metrics that say how things stand at the time of the scrape."""

import time

from durable_app.ops.openmetrics import Family, gauge
from durable_app.store import gauges, queues
from durable_app.store.gauges import Crew, Line, Running
from durable_app.store.occupancy import COUNTED

UP_TO = f"counted up to {COUNTED}"


def families() -> list[Family]:
    """Return all of them; raises QueryTimeoutError."""
    began = time.monotonic()
    found = [
        *_ready(gauges.lines()),
        *_running(gauges.running()),
        *_counts(),
        *_workers(gauges.crews()),
        _paused(),
    ]
    took = time.monotonic() - began
    return [*found, gauge("scrape_duration_seconds", "What it took to look.", [({}, took)])]


def _ready(lines: list[Line]) -> list[Family]:
    labels = [{"workflow_name": one.name, "queue_name": one.queue_name} for one in lines]
    return [
        gauge(
            "workflow_enqueued_count",
            f"Runs that are ready to be taken, each queue {UP_TO}.",
            zip(labels, (one.runs for one in lines), strict=True),
        ),
        gauge(
            "workflow_oldest_enqueued_timestamp_seconds",
            "Since when the run has been ready that has waited longest among those.",
            zip(labels, (one.oldest_at.timestamp() for one in lines), strict=True),
        ),
    ]


def _running(found: list[Running]) -> list[Family]:
    labels = [{"workflow_name": one.name} for one in found]
    return [
        gauge(
            "workflow_pending_count",
            "Runs that are executed.",
            zip(labels, (one.runs for one in found), strict=True),
        ),
        gauge(
            "workflow_oldest_pending_timestamp_seconds",
            "When the oldest of the runs that are executed was created.",
            zip(labels, (one.oldest_at.timestamp() for one in found), strict=True),
        ),
    ]


def _counts() -> list[Family]:
    found = gauges.standing()
    counts = {
        "workflow_delayed_count": (f"Runs that wait for their time to be enqueued, {UP_TO}.", found.delayed),
        "workflow_waiting_count": (f"Runs that are parked, {UP_TO}.", found.waiting),
        "approval_open_count": (f"Questions that wait for an answer, {UP_TO}.", found.approvals),
        "schedule_overdue_count": ("Schedules whose tick nobody has fired.", found.overdue_schedules),
    }
    return [gauge(name, said, [({}, count)]) for name, (said, count) in counts.items()]


def _workers(crews: list[Crew]) -> list[Family]:
    labels = [
        {"status": "HEALTHY" if one.is_live else "DEAD", "application_version": one.app_version}
        for one in crews
    ]
    return [
        gauge(
            "executor_count",
            "Workers that have not ended; DEAD are the silent ones, whose lease is over.",
            zip(labels, (one.workers for one in crews), strict=True),
        ),
        gauge(
            "executor_slots_count",
            "How many runs these workers execute at once.",
            zip(labels, (one.slots for one in crews), strict=True),
        ),
    ]


def _paused() -> Family:
    states = [({"queue_name": state.name}, int(state.is_paused)) for state in queues.all_queues()]
    return gauge("queue_paused", "1 for a queue that is paused, else 0.", states)
