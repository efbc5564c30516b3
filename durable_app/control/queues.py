"""Verbs on queues."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from durable_app import clock
from durable_app.control.operator import Operator, Refused, Result
from durable_app.errors import InvalidOptionError
from durable_app.limits import Limits, RateLimit, checked_queue_name
from durable_app.store import queues

KIND = "queue"


def pause(operator: Operator, name: str, until: datetime | None = None) -> Result:
    """Let workers take nothing from a queue, until a time or until it is resumed.

    Raises PermissionDeniedError, InvalidOptionError for what can be no queue's name.
    """
    _require(operator, "pause_queue", "pause", name)

    def act() -> str:
        if until is not None and until <= clock.now():
            raise InvalidOptionError(
                f"the pause would end before it begins: {clock.shown(until)} is over", "until"
            )
        by = f"by {operator.actor.label}"
        queues.pause(name, until, f"{operator.reason} ({by})" if operator.reason else by)
        return ""

    details = {"until": until.isoformat()} if until else {}
    return operator.perform("pause", name, act, details, KIND)


def resume(operator: Operator, name: str) -> Result:
    """Let workers take runs from a queue again; raises PermissionDeniedError."""
    _require(operator, "pause_queue", "resume", name)

    def act() -> str:
        queues.resume(name)
        return ""

    return operator.perform("resume", name, act, {}, KIND)


def configure(
    operator: Operator,
    name: str,
    changes: dict[str, Any],
    expect: Callable[[Limits], object] = lambda before: None,
) -> Result:
    """Change some limits of a queue; the audit has the old and the new ones.

    ``changes`` has names of ``Limits``; a limiter is given as ``{"limit": 50, "period": 60}``. Limits that do
    not fit together fail. ``expect`` may raise if the limits, locked by now, are not those that the operator
    has seen. Raises PermissionDeniedError.
    """
    _require(operator, "tune_queue", "configure", name)
    details: dict[str, Any] = {}

    def adjust(before: Limits) -> Limits:
        expect(before)
        after = changed(before, changes)
        if after.is_partitioned and not before.is_partitioned:
            _refuse_keyless(name)
        details.update(before=_shown(before), after=_shown(after))
        return after

    def act() -> str:
        queues.change(name, adjust)
        return ""

    return operator.perform("configure", name, act, details, KIND)


def reset(operator: Operator, name: str) -> Result:
    """Give a queue the limits again that code declares; one that no code declares is refused.

    Raises PermissionDeniedError.
    """
    _require(operator, "tune_queue", "reset", name)
    details: dict[str, Any] = {}

    def act() -> str:
        found = queues.reset(name)
        if found is None:
            raise Refused("No code declares this queue: there is nothing to go back to.")
        before, after = found
        details.update(before=_shown(before), after=_shown(after))
        return ""

    return operator.perform("reset", name, act, details, KIND)


def create(operator: Operator, name: str) -> Result:
    """Create a queue without limits: from one that has no row nothing is ever taken.

    Raises PermissionDeniedError; one that exists is refused.
    """
    _require(operator, "tune_queue", "create", name)

    def act() -> str:
        if queues.get(name) is not None:
            raise Refused("There is such a queue already.")
        queues.register(name, Limits(), update=False)
        return ""

    return operator.perform("create", name, act, {}, KIND)


def _require(operator: Operator, permission: str, verb: str, name: str) -> None:
    """Raise PermissionDeniedError unless the project's policy allows a verb on this queue."""
    operator.require(permission, verb, KIND, checked_queue_name(name), queues.get(name))


def _refuse_keyless(name: str) -> None:
    """Raise Refused if there are runs in a queue that none of its partitions would ever give away."""
    if queues.has_keyless(name):
        raise Refused(
            f"There are runs without a partition key in {name!r}: in partitions they would never be taken. "
            "Let them finish, or cancel them, first."
        )


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
