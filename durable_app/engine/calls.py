"""Calling and starting workflows: in the caller's thread, in the background, as a child."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from durable_app import clock, serialization
from durable_app.engine import results
from durable_app.engine.checkpoints import checkpoint, decoded, outcome, record, replayed
from durable_app.engine.context import Execution, Identity, Scope
from durable_app.engine.execution import Finished, execute
from durable_app.engine.flow import Call, Create, Flow
from durable_app.engine.launch import Parent, Target, new_run, rejects_reuse, running_here
from durable_app.engine.lease import Lease
from durable_app.errors import ControlFlow, DurableError, OwnershipLost, WorkflowCancelled
from durable_app.store import runs
from durable_app.store.records import NewRun, Position

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """A workflow to be run in its caller's thread under the process's lease."""

    target: Target
    func: Callable[..., Any]
    lease: Lease


def start(target: Target, given: Arguments) -> Flow[str]:
    """Enqueue a run, in the caller's transaction if there is one; return its id."""
    new = new_run(target, *given)
    created = yield Create(new)
    if created.run is None:
        yield Call(runs.check_same, new, reject=rejects_reuse(new.workflow_id))
    return new.workflow_id


def start_child(scope: Scope, position: Position, target: Target, given: Arguments) -> Flow[str]:
    """Enqueue a child run and record it as the parent's step; return its id."""
    name = target.definition.name
    found = replayed(scope.cursor, position, name)
    if found is not None:
        yield from outcome(found)  # the start may have been refused
        return found.child_workflow_id or ""
    new = new_run(target, *given, child_of=Parent(scope=scope, step_id=position.step_id))
    yield from _launched(scope, position, new)
    return new.workflow_id


def call(invocation: Invocation, given: Arguments) -> Flow[Any]:
    """Run a workflow in the caller's thread, or wait for the run that has its id already."""
    new = running_here(new_run(invocation.target, *given), invocation.lease.id)
    created = yield Create(new)
    if created.run is None:
        yield Call(runs.check_same, new, reject=rejects_reuse(new.workflow_id))
        return (yield from results.await_outside(new.workflow_id, None, 1.0))
    try:
        finished = yield from _executed(invocation, new, created.run, given)
    except (OwnershipLost, WorkflowCancelled) as lost:
        if lost.workflow_id != new.workflow_id:
            raise
        return (yield from results.await_outside(new.workflow_id, None, 1.0))
    return (yield from _value(finished))


def call_child(
    scope: Scope, places: tuple[Position, Position], invocation: Invocation, given: Arguments
) -> Flow[Any]:
    """Run a child in its parent's thread: one step for its start, one for its result."""
    at, result_at = places
    name = invocation.target.definition.name
    found = replayed(scope.cursor, at, name)
    began_at = None
    if found is not None:
        yield from outcome(found)
        child_id = found.child_workflow_id or ""
    else:
        parent = Parent(scope=scope, step_id=at.step_id)
        new = running_here(new_run(invocation.target, *given, child_of=parent), invocation.lease.id)
        child_id = new.workflow_id
        run = yield from _launched(scope, at, new)
        began_at = clock.now()
        if run is not None:
            try:
                yield from _executed(invocation, new, run, given, parent=scope)
            except ControlFlow as ended:  # the child's; its parent waits for it, or parks
                if ended.workflow_id != child_id:
                    raise
    return (yield from results.await_inside(scope, result_at, child_id, began_at))


def _launched(scope: Scope, position: Position, new: NewRun) -> Flow[int | None]:
    """Insert the child and the parent's step together; record the engine's refusal as the step."""
    scope.cursor.check_may_start()
    step = checkpoint(scope.execution, position, new.name, output="null", child_workflow_id=new.workflow_id)
    try:
        run: int | None = yield Call(
            runs.launch_child,
            new,
            step,
            scope.execution.workflow_id,
            reject=rejects_reuse(new.workflow_id),
        )
    except ControlFlow as lost:
        scope.execution.end(lost)
        raise
    except DurableError as error:
        failure = checkpoint(scope.execution, position, new.name, error=serialization.encode_error(error))
        yield from record(scope.cursor, failure)
        raise
    return run


def _executed(
    invocation: Invocation,
    new: NewRun,
    run: int,
    given: Arguments,
    parent: Scope | None = None,
) -> Flow[Finished]:
    execution = Execution(
        run=run,
        workflow_id=new.workflow_id,
        name=new.name,
        attempt=new.attempt,
        lease=invocation.lease,
        deadline_at=new.deadline_at,
        park_after=parent.execution.park_after if parent else None,
        identity=parent.execution.identity if parent else Identity(user=new.user),
    )
    return (yield from execute(execution, invocation.func, *given))


def _value(finished: Finished) -> Flow[Any]:
    if finished.error is not None:
        raise finished.error
    return (yield from decoded(finished.output))
