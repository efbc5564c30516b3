"""The metrics that say what happened in the last whole minute."""

from collections.abc import Mapping
from datetime import timedelta

from durable_app.ops.openmetrics import Family, Samples, gauge
from durable_app.store import rates
from durable_app.store.rates import Ends, Key, Span

SUCCEEDED = ("SUCCESS",)
FAILED = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
CANCELLED = ("CANCELLED",)


def families(span: Span) -> list[Family]:
    """Return all of them; raises QueryTimeoutError."""
    ended = rates.ended(span)
    found: dict[str, tuple[str, Samples]] = {
        "workflow_started_rate": ("Runs created a second", _runs(rates.created(span))),
        "workflow_dequeued_rate": ("Runs taken from a queue a second, each once", _runs(rates.begun(span))),
        "workflow_success_rate": ("Runs that succeeded a second", _ends(ended, SUCCEEDED)),
        "workflow_failed_rate": ("Runs that failed a second", _ends(ended, FAILED)),
        "workflow_cancelled_rate": ("Runs that were cancelled a second", _ends(ended, CANCELLED)),
        "workflow_max_queue_wait_seconds": (
            "The longest time from ready to begun, of runs that succeeded",
            _longest(ended.longest_wait),
        ),
        "workflow_max_total_latency_seconds": (
            "The longest time from creation to end, of runs that succeeded",
            _longest(ended.longest_latency),
        ),
        **_steps(span),
    }
    return [
        gauge(name, f"{said}, in the last whole minute.", samples, span.until)
        for name, (said, samples) in found.items()
    ]


def _steps(span: Span) -> dict[str, tuple[str, Samples]]:
    found = rates.steps(span)
    longest = {one.name: one.longest for one in found if one.longest is not None}
    return {
        "step_success_rate": (
            "Steps that succeeded a second",
            ((_step(one.name), one.succeeded) for one in found if one.succeeded),
        ),
        "step_failed_rate": (
            "Steps that failed for good a second",
            ((_step(one.name), one.failed) for one in found if one.failed),
        ),
        "step_max_duration_seconds": (
            "The longest step that succeeded",
            ((_step(name), longest[name].total_seconds()) for name in longest),
        ),
    }


def _runs(found: Mapping[Key, float]) -> Samples:
    return ((_run(key), value) for key, value in found.items())


def _ends(ended: Ends, statuses: tuple[str, ...]) -> Samples:
    found: dict[Key, float] = {}
    for (key, status), value in ended.ends.items():
        if status in statuses:
            found[key] = found.get(key, 0.0) + value
    return _runs(found)


def _longest(found: Mapping[Key, timedelta]) -> Samples:
    return ((_run(key), span.total_seconds()) for key, span in found.items())


def _run(key: Key) -> dict[str, str]:
    return {"workflow_name": key.name, "queue_name": key.queue_name or ""}


def _step(name: str) -> dict[str, str]:
    return {"function_name": name}
