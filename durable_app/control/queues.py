"""Verbs on queues."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from durable_app.control.operator import Operator, Result
from durable_app.errors import InvalidOptionError
from durable_app.limits import Limits, RateLimit, checked_queue_name
from durable_app.store import queues

KIND = "queue"


def pause(operator: Operator, name: str, until: datetime | None = None) -> Result:
    """Let workers take nothing from a queue, until a time or until it is resumed.

    Raises PermissionDeniedError, InvalidOptionError for what can be no queue's name.
    """
    operator.require("pause_queue", "pause", KIND, checked_queue_name(name))

    def act() -> str:
        queues.pause(name, until, operator.reason or f"by {operator.actor.label}")
        return ""

    details = {"until": until.isoformat()} if until else {}
    return operator.perform("pause", name, act, details, KIND)


def resume(operator: Operator, name: str) -> Result:
    """Let workers take runs from a queue again; raises PermissionDeniedError."""
    operator.require("pause_queue", "resume", KIND, checked_queue_name(name))

    def act() -> str:
        queues.resume(name)
        return ""

    return operator.perform("resume", name, act, {}, KIND)


def configure(operator: Operator, name: str, changes: dict[str, Any]) -> Result:
    """Change some limits of a queue; the audit has the old and the new ones.

    ``changes`` has names of ``Limits``; a limiter is given as ``{"limit": 50, "period": 60}``. Limits that do
    not fit together fail. Raises PermissionDeniedError.
    """
    operator.require("tune_queue", "configure", KIND, checked_queue_name(name))
    details: dict[str, Any] = {}

    def adjust(before: Limits) -> Limits:
        after = changed(before, changes)
        details.update(before=_shown(before), after=_shown(after))
        return after

    def act() -> str:
        queues.change(name, adjust)
        return ""

    return operator.perform("configure", name, act, details, KIND)


def changed(limits: Limits, changes: dict[str, Any]) -> Limits:
    """Return other limits; raises InvalidOptionError."""
    unknown = changes.keys() - Limits.__dataclass_fields__.keys()
    if unknown:
        raise InvalidOptionError(f"unknown limit {min(unknown)!r} of a queue")
    values = dict(changes)
    for name in ("limiter", "partition_limiter"):
        if name in values:
            values[name] = RateLimit.of(values[name])
    return replace(limits, **values)


def _shown(limits: Limits) -> dict[str, Any]:
    """Return limits as plain JSON, without those that are not set."""
    values = asdict(limits)
    for name in ("limiter", "partition_limiter"):
        rate = getattr(limits, name)
        values[name] = rate.as_dict() if rate is not None else None
    return {name: value for name, value in values.items() if value not in (None, False)}
