"""What can be started, and the flows that start it: once, or many times."""

from collections.abc import Iterable
from typing import Any

from durable_app import serialization
from durable_app.callables import BoundWorkflow, Workflow, decorated_in
from durable_app.decorators import Step, Transaction
from durable_app.engine import calls
from durable_app.engine.calls import Arguments
from durable_app.engine.checkpoints import checkpoint, outcome, replayed
from durable_app.engine.context import Scope, ambient, current
from durable_app.engine.flow import Call, Flow
from durable_app.engine.identity import settled
from durable_app.engine.launch import Parent, Target, another, checked_id, new_id, new_run, refuse_in_step
from durable_app.errors import ControlFlow, InvalidOptionError, WorkflowFunctionNotFoundError
from durable_app.registry import TEMPORARY, registry
from durable_app.store import bulk
from durable_app.store.records import NewRun, Position

ENQUEUE_MANY = "durable.enqueueMany"


def target_of(func: Any) -> Target:
    """Return what a run of a decorated function is; a step runs in a temporary workflow of its own.

    A Target is returned as it is. Raises WorkflowFunctionNotFoundError for a function that is not decorated.
    """
    if isinstance(func, Target):
        return func
    found = decorated_in(func)
    if isinstance(found, BoundWorkflow):
        return found.workflow.target(found.owner)[0]
    if isinstance(found, Workflow):
        return found.target(None)[0]
    if isinstance(found, Step | Transaction):
        return Target(definition=registry.workflow(TEMPORARY + found.name))
    name = getattr(func, "__qualname__", repr(func))
    raise WorkflowFunctionNotFoundError(
        f"{name} is not a workflow: decorate it with @workflow (or @step) to start it."
    )


def start_flow(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], queue: str | None = None
) -> Flow[str]:
    """Return the flow that starts a run, as a child inside a workflow; its value is the run's id."""
    target = target_of(func)
    refuse_in_step(f"start of {target.definition.name!r}")
    scope = current.get()
    if scope is None:
        return calls.start(target, (args, kwargs), queue)
    return calls.start_child(scope, scope.cursor.next(), target, (args, kwargs), queue)


def start_many_flow(func: Any, given: Iterable[Arguments], queue: str) -> Flow[list[str]]:
    """Return the flow that enqueues a run for each of these arguments; one step inside a workflow.

    Its value is the runs' ids. Raises InvalidOptionError for options that only one run can have.
    """
    target = target_of(func)
    refuse_in_step(f"start of {target.definition.name!r}")
    around = ambient.get()
    if around.chosen_id is not None or (around.enqueue and around.enqueue.deduplication_id):
        raise InvalidOptionError("one id cannot be given to many runs: enqueue them one by one")
    scope = current.get()
    if scope is None:
        return _created(target, list(given), queue)
    return _children(scope, scope.cursor.next(), target, list(given), queue)


def _created(target: Target, given: list[Arguments], queue: str) -> Flow[list[str]]:
    yield from settled()
    ids: list[str] = yield Call(bulk.create, _rows(target, given, queue))
    return ids


def _rows(target: Target, given: list[Arguments], queue: str, first: Parent | None = None) -> list[NewRun]:
    """Return a row for each of these arguments; a parent's children are numbered."""
    rows: list[NewRun] = []
    for arguments in given:
        if not rows:
            rows.append(new_run(target, *arguments, child_of=first, queue=queue))
            continue
        stem = rows[0].workflow_id.removesuffix("1")
        workflow_id = new_id() if first is None else checked_id(f"{stem}{len(rows) + 1}")
        rows.append(another(rows[0], *arguments, workflow_id))
    return rows


def _children(
    scope: Scope, position: Position, target: Target, given: list[Arguments], queue: str
) -> Flow[list[str]]:
    found = replayed(scope.cursor, position, ENQUEUE_MANY)
    if found is not None:
        ids: list[str] = yield from outcome(found)
        return ids
    scope.cursor.check_may_start()
    yield from settled()
    new = _rows(target, given, queue, Parent(scope=scope, step_id=f"{position.step_id}-1"))
    ids = [record.workflow_id for record in new]
    step = checkpoint(scope.execution, position, ENQUEUE_MANY, output=serialization.encode(ids))
    try:
        yield Call(bulk.launch_children, new, step, scope.execution.workflow_id)
    except ControlFlow as lost:
        scope.execution.end(lost)
        raise
    return ids
