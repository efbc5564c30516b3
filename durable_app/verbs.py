"""How a verb of operators is performed: as a recorded step in a workflow, plainly elsewhere."""

from collections.abc import Callable
from typing import Any, TypeVar

from durable_app.engine.context import Scope
from durable_app.engine.flow import Call, Flow, drive_blocking
from durable_app.engine.management import as_step
from durable_app.handles import place

T = TypeVar("T")


def verb_flow(name: str, verb: Callable[[], T]) -> Flow[T]:
    """Return the flow of a verb; its position is taken now. ``name`` is the step's, without prefix."""
    return verb_at(*place(), name, verb)


def verb_at(scope: Scope | None, position: Any, name: str, verb: Callable[[], T]) -> Flow[T]:
    """Return the flow of a verb at a position that has been taken; None for outside a workflow."""
    if scope is None or position is None:
        return _plainly(verb)
    return as_step(scope, position, f"durable.{name}", verb)


def _plainly(verb: Callable[[], T]) -> Flow[T]:
    found: T = yield Call(verb)
    return found


def perform(name: str, twin: str, verb: Callable[[], T]) -> T:
    """Perform a verb by blocking; ``twin`` is what to await instead on an event loop."""
    return drive_blocking(verb_flow(name, verb), twin)
