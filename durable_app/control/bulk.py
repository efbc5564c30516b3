"""One verb on all runs that a filter matches: a workflow of ours does it, run by run, and can be cancelled.

A run's verb and the note that it is done commit together, and by themselves: an interrupted operation goes
on where it was, does nothing twice, and holds no lock for longer than one run takes.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model

from durable_app import conf
from durable_app.control import runs as verbs_on_runs
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Refused, Result
from durable_app.control.verbs import BULK_OPERATION, VERBS
from durable_app.engine.launch import Target, new_id, new_run
from durable_app.errors import InvalidOptionError
from durable_app.registry import registry
from durable_app.store import bulk_operations, database, runs
from durable_app.store.bulk_operations import AlreadyDone, Plan
from durable_app.store.giving_way import giving_way
from durable_app.store.listing import FILTERS
from durable_app.store.observing import limited

WORKFLOW = BULK_OPERATION

KIND = "bulk operation"
"""What the audit calls one."""

BATCH = 200
"""Runs that one step of the operation looks at."""

SECONDS = 1.0
"""How long such a step goes on: it hears of a cancellation at its end."""


def begin(
    operator: Operator, verb: str, conditions: dict[str, Any], options: dict[str, Any] | None = None
) -> int:
    """Start an operation on all runs that match now; return its number.

    ``conditions`` have the names of ``list_workflows``'s filters. Raises InvalidOptionError for an unknown
    verb or filter, PermissionDeniedError.
    """
    found = VERBS.get(verb)
    if found is None or not found.is_bulk:
        known = ", ".join(sorted(name for name, one in VERBS.items() if one.is_bulk))
        raise InvalidOptionError(f"{verb!r} cannot be done to many runs; these can: {known}")
    _check_filter(conditions)
    operator.require(found.permission, f"bulk {verb}", KIND)
    return launch(operator, Order(name=verb, conditions=conditions, options=options or {}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What an operation is to do, to which runs, and the workflow that does it."""

    name: str
    conditions: dict[str, Any]
    options: dict[str, Any]
    workflow: str = WORKFLOW


def launch(operator: Operator, order: Order) -> int:
    """Write an operation and start its workflow; return its number. The caller has checked the permission.

    Raises InvalidOptionError for an unknown filter.
    """
    _check_filter(order.conditions)
    workflow_id = new_id()
    plan = Plan(
        workflow_id=workflow_id,
        verb=order.name,
        filter=order.conditions,
        options=order.options,
        reason=operator.reason,
        actor_kind=operator.actor.kind,
        actor_id=operator.actor.id,
        actor_label=operator.actor.label,
    )
    number = 0

    def act() -> str:
        nonlocal number
        number = bulk_operations.create(plan, operator.actor.sees)
        target = Target(definition=registry.workflow(order.workflow))
        runs.start(new_run(target, (number,), {})._replace(workflow_id=workflow_id))
        return workflow_id

    operator.perform(f"bulk {order.name}", workflow_id, act, {"filter": order.conditions}, KIND)
    return number


def is_too_many(actor: Actor, conditions: dict[str, Any]) -> bool:
    """Return whether more runs match than an actor may do anything to at once: ``DURABLE["BULK_LIMIT"]``."""
    if actor.may("bulk_unlimited"):
        return False
    most = conf.options().BULK_LIMIT
    with limited():
        return bulk_operations.matching(conditions, actor.sees, most) > most


def _check_filter(conditions: dict[str, Any]) -> None:
    unknown = conditions.keys() - FILTERS
    if unknown:
        raise InvalidOptionError(f"unknown filter {min(unknown)!r}")


def cancel(operator: Operator, number: int) -> Result:
    """Let an operation stop where it is; what it has done stays done.

    Whoever may use its verb may stop it, and whoever may cancel runs. Raises PermissionDeniedError.
    """
    operation = bulk_operations.find(number, operator.actor.sees_operations)
    if operation is None:
        return Result(target=str(number), outcome="failed", detail=_MISSING, is_missing=True)
    if not may_cancel(operator.actor, operation.verb):
        operator.require("cancel_workflow", "cancel", KIND, operation.workflow_id)

    def act() -> str:
        if operation.workflow_id not in verbs_on_runs.cancel([operation.workflow_id]):
            raise Refused(_ENDED)
        return ""

    return operator.perform("cancel", operation.workflow_id, act, {"operation": number}, KIND)


def may_cancel(actor: Actor, verb: str) -> bool:
    """Return whether somebody may stop operations that do a verb."""
    found = VERBS.get(verb)
    return actor.may("cancel_workflow") or (found is not None and actor.may(found.permission))


def carry_out(number: int, limit: int = BATCH, seconds: float = math.inf) -> bool:
    """Do the next runs of an operation, for so many seconds; return whether there may be more."""
    end = time.monotonic() + seconds
    operation = bulk_operations.get(number)
    actor = actor_of(operation)
    operator = Operator(actor=actor, reason=operation.reason, bulk_operation=str(number))
    found = bulk_operations.next_runs(operation, actor.sees, limit)
    for row, workflow_id in found:
        with giving_way():
            _do_one(operator, operation, row, workflow_id)
        if time.monotonic() > end:
            return True
    if len(found) < limit:
        bulk_operations.finish(number)
        return False
    return True


def _do_one(operator: Operator, operation: Any, row: int, workflow_id: str) -> None:
    try:
        with database.transact():
            [result] = getattr(operator, operation.verb)([workflow_id], **operation.options)
            bulk_operations.advance(operation.pk, row, result.outcome)
    except AlreadyDone:
        return


_MISSING = "There is no such bulk operation."
_ENDED = "The bulk operation has ended."


def actor_of(operation: Any) -> Actor:
    """Return who began an operation, with the permissions of now."""
    return Actor(
        kind=operation.actor_kind,
        id=operation.actor_id,
        label=operation.actor_label,
        user=_user(operation.actor_kind, operation.actor_id),
    )


def _user(kind: str, user_id: str) -> Any:
    """Return the actor's user as it is now: permissions taken away meanwhile do not hold."""
    if kind not in ("user", "token"):
        return None
    return get_user_model()._default_manager.filter(pk=user_id).first()
