"""Calling and starting workflows: in the caller's thread, in the background, as a child."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from durable_app import clock, serialization
from durable_app.engine import results
from durable_app.engine.checkpoints import checkpoint, decoded, outcome, record, replayed
from durable_app.engine.context import Execution, Scope
from durable_app.engine.execution import Finished, execute
from durable_app.engine.flow import Call, Create, Flow
from durable_app.engine.identity import acting, authorized, settled
from durable_app.engine.launch import Parent, Target, identity_of, new_run, reuse, running_here
from durable_app.engine.lease import Lease
from durable_app.errors import (
    ControlFlow,
    DurableError,
    NotAuthorizedError,
    OwnershipLost,
    WorkflowCancelled,
)
from durable_app.registry import Definition
from durable_app.serialization import places
from durable_app.store import runs
from durable_app.store.records import NewRun, Position, Started

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """A workflow to be run in its caller's thread under the process's lease."""

    target: Target
    func: Callable[..., Any]
    lease: Lease


def start(target: Target, given: Arguments, queue: str | None = None) -> Flow[str]:
    """Enqueue a run, in the caller's transaction if there is one; return its id."""
    yield from settled()
    new = new_run(target, *given, queue=queue)
    while True:
        created = yield Create(new)
        if created.run is not None:
            return new.workflow_id
        found: str | None = yield Call(runs.existing, new, reuse(new))
        if found is not None:
            return found


def start_child(
    scope: Scope, position: Position, target: Target, given: Arguments, queue: str | None = None
) -> Flow[str]:
    """Enqueue a child run and record it as the parent's step; return its id."""
    name = target.definition.name
    found = replayed(scope.cursor, position, name)
    if found is not None:
        yield from outcome(found)  # the start may have been refused
        return found.child_workflow_id or ""
    yield from settled()
    parent = Parent(scope=scope, step_id=position.step_id)
    new = new_run(target, *given, child_of=parent, queue=queue)
    started = yield from launched(scope, position, new, partial(runs.start, reuse=reuse(new)))
    return started.workflow_id


def call(invocation: Invocation, given: Arguments) -> Flow[Any]:
    """Run a workflow in the caller's thread, or wait for the run that has its id already."""
    definition = invocation.target.definition
    yield from settled()
    authorized(definition.name, definition.required_roles, acting())
    new = running_here(new_run(invocation.target, *given), invocation.lease.id)
    created = yield Create(new)
    if created.run is None:
        yield Call(runs.check_same, new, reject=reuse(new).rejects_id)
        return (yield from results.await_outside(new.workflow_id, None, 1.0))
    try:
        finished = yield from _executed(invocation, new, created.run, given)
    except (OwnershipLost, WorkflowCancelled) as lost:
        if lost.workflow_id != new.workflow_id:
            raise
        return (yield from results.await_outside(new.workflow_id, None, 1.0))
    return (yield from _value(new, finished))


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
        yield from _permitted(scope, at, invocation.target.definition)
        parent = Parent(scope=scope, step_id=at.step_id)
        new = running_here(new_run(invocation.target, *given, child_of=parent), invocation.lease.id)
        child_id = new.workflow_id
        started = yield from launched(scope, at, new, partial(runs.start, reuse=reuse(new)))
        began_at = clock.now()
        if started.run is not None:
            try:
                yield from _executed(invocation, new, started.run, given, scope)
            except ControlFlow as ended:  # the child's; its parent waits for it, or parks
                if ended.workflow_id != child_id:
                    raise
    return (yield from results.await_inside(scope, result_at, child_id, began_at))


def _permitted(scope: Scope, position: Position, definition: Definition) -> Flow[None]:
    """Record as the parent's step that a child may not be called; raises NotAuthorizedError."""
    yield from settled()
    try:
        authorized(definition.name, definition.required_roles, acting(scope))
    except NotAuthorizedError as error:
        yield from _record_refusal(scope, position, definition.name, error)
        raise


def _record_refusal(scope: Scope, position: Position, name: str, error: DurableError) -> Flow[None]:
    failure = checkpoint(scope.execution, position, name, error=serialization.encode_error(error))
    yield from record(scope.cursor, failure)


def launched(
    scope: Scope, position: Position, new: NewRun, begin: Callable[[NewRun], Started], name: str = ""
) -> Flow[Started]:
    """Begin the child and record the parent's step together; record the engine's refusal as the step.

    ``name`` is the step's, if it is not the child's.
    """
    scope.cursor.check_may_start()
    name = name or new.name
    step = checkpoint(scope.execution, position, name, output="null", child_workflow_id=new.workflow_id)
    try:
        started: Started = yield Call(runs.launch_child, new, step, scope.execution.workflow_id, begin)
    except ControlFlow as lost:
        scope.execution.end(lost)
        raise
    except DurableError as error:
        yield from _record_refusal(scope, position, name, error)
        raise
    return started


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
        identity=identity_of(new),
        serialization=new.serialization,
        validate_args=invocation.target.definition.validate_args,
    )
    return (yield from execute(execution, invocation.func, *_as_stored(new, given)))


def _as_stored(new: NewRun, given: Arguments) -> Arguments:
    """Return the arguments as a replay will see them: in the portable format a time is text."""
    if new.serialization != serialization.PORTABLE:
        return given
    return serialization.named(new.serialization).read_inputs(new.inputs, ())


def _value(new: NewRun, finished: Finished) -> Flow[Any]:
    if finished.error is not None:
        raise finished.error
    return (yield from decoded(finished.output, new.serialization, places.output(new.workflow_id)))
