"""Starting runs for operators: registered workflows only, with arguments as plain JSON."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from durable_app import clock, serialization
from durable_app.control.inputs import PERMISSION, Inputs, check
from durable_app.control.operator import Operator, Refused, Result
from durable_app.control.placing import checked_place
from durable_app.engine.launch import Target, checked_id, encoded_attributes, new_run
from durable_app.errors import WorkflowFunctionNotFoundError
from durable_app.limits import DEFAULT_QUEUE
from durable_app.registry import registry
from durable_app.store import listing, runs
from durable_app.store.records import NewRun, Reuse


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A run that an operator wants."""

    workflow: str
    """Name of a registered workflow that is a function (methods have objects that nobody can name here)."""
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    workflow_id: str = ""
    queue_name: str = DEFAULT_QUEUE
    priority: int = 0
    delay: timedelta | None = None
    timeout: timedelta | None = None
    deduplication_id: str | None = None
    partition_key: str | None = None
    attributes: dict[str, Any] | None = None


def start(operator: Operator, order: Order) -> Result:
    """Start a run; an id that exists already is refused.

    Raises PermissionDeniedError, WorkflowFunctionNotFoundError, InvalidArgumentsError, InvalidOptionError,
    SerializationError, QueueDeduplicatedError.
    """
    operator.require(PERMISSION, "start", "workflow", order.workflow_id)
    new = record(order)

    def act() -> str:
        started = runs.start(new, Reuse(rejects_id=True))
        return started.workflow_id

    return operator.perform("start", order.workflow_id or new.workflow_id, act, {"workflow": order.workflow})


def record(order: Order) -> NewRun:
    """Return the row of an order; raises what ``start`` raises for what cannot be started."""
    definition = registry.workflow(order.workflow)
    if definition.binding in ("class", "instance"):
        raise WorkflowFunctionNotFoundError(f"{order.workflow!r} is a method: it is started from code.")
    check(definition, Inputs(args=order.args, kwargs=order.kwargs))
    place = checked_place(order.queue_name, order.partition_key)
    new = new_run(Target(definition=definition), tuple(order.args), order.kwargs, queue=place.queue_name)
    changes: dict[str, Any] = {
        "priority": order.priority,
        "deduplication_id": order.deduplication_id,
        "partition_key": order.partition_key,
        "timeout": order.timeout,
    }
    if order.workflow_id:
        changes["workflow_id"] = checked_id(order.workflow_id)
    if order.delay is not None:
        changes |= {"status": "DELAYED", "run_after": clock.now() + order.delay}
    if order.attributes is not None:
        changes["attributes"] = encoded_attributes(order.attributes)
    return new._replace(**changes)


def order_like(workflow_id: str, sees: listing.Sight = lambda runs: runs) -> Order:
    """Return an order for a run like another one, to be changed and started.

    ``sees`` leaves those of a queryset of runs that the actor may know of. Raises Refused for another one,
    and for one whose arguments cannot be read here.
    """
    row = listing.one(workflow_id, sees)
    if row is None:
        raise Refused("There is no such run.")
    inputs = serialization.shown_inputs(row.inputs, row.serialization)
    if not isinstance(inputs, dict):
        raise Refused("The run's arguments cannot be read here.")
    return Order(
        workflow=row.name,
        args=inputs["args"],
        kwargs=inputs["kwargs"],
        queue_name=row.queue_name or DEFAULT_QUEUE,
        priority=row.priority,
        partition_key=row.partition_key,
        timeout=row.timeout,
        attributes=row.attributes,
    )
