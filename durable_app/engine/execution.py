"""One run, executed once: call the function in its scope, record what came of it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asgiref.sync import iscoroutinefunction

from durable_app import arguments, clock, serialization, signals
from durable_app.engine import continuing, progress, sagas
from durable_app.engine.checkpoints import check_all_replayed, raise_at_outage, refused
from durable_app.engine.context import Cursor, Execution, Scope, entered
from durable_app.engine.flow import Call, Commit, Flow, Pause, UserCode
from durable_app.errors import (
    ContinuedAsNew,
    ControlFlow,
    OwnershipLost,
    Suspended,
    UnexpectedStepError,
    WorkflowCancelled,
)
from durable_app.serialization import Inputs, places
from durable_app.store import leftovers, notify, runs, steps, waits
from durable_app.store.records import Outcome, Verdict
from durable_app.store.waits import News

logger = logging.getLogger("durable_app")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """What an execution recorded as its run's outcome."""

    output: str | None = None
    error: Exception | None = None


def execute(
    execution: Execution, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Flow[Finished]:
    """Run the workflow's function, as often as it goes on as new, and record its outcome.

    Raises WorkflowCancelled, OwnershipLost or Suspended when nothing may be recorded, and
    UnexpectedStepError when the code does not match the recorded steps.
    """
    signals.workflow_started.send(
        sender=None,
        workflow_id=execution.workflow_id,
        name=execution.name,
        attempt=execution.attempt,
    )
    try:
        while True:
            try:
                return (yield from _executed(execution, func, args, kwargs))
            except ContinuedAsNew as left:
                execution, (args, kwargs) = yield from _continued(execution, left)
    except WorkflowCancelled:
        yield from sagas.let_go(execution)
        raise


def _executed(
    execution: Execution, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Flow[Finished]:
    execution.lease.holds(execution)
    try:
        finished = yield from called(execution, func, args, kwargs)
        yield from _recorded(execution, finished)
    except ContinuedAsNew:
        yield from progress.flush(execution)
        raise
    finally:
        execution.lease.lets_go(execution)
        progress.forget(execution)
    yield from _tidied(execution)
    return finished


def _continued(execution: Execution, left: ContinuedAsNew) -> Flow[tuple[Execution, Inputs]]:
    """Hand over to the next execution of the same run, whose body begins anew with the arguments."""
    execution.lease.holds(execution)  # or a heartbeat meanwhile would take the run for a stray
    try:
        successor = yield from continuing.hand_over(execution, left)
        yield from _tidied(execution)
        return successor, (yield from decoded_inputs(successor, left.inputs))
    finally:
        execution.lease.lets_go(execution)


def called(
    execution: Execution, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Flow[Finished]:
    """Call the function, and undo what it did if it raises; nothing of the outcome is recorded here.

    Whatever the function swallowed, an execution that was ended stays ended.
    """
    try:
        args, kwargs = _accepted(execution, func, args, kwargs)
        value = yield UserCode(_in_scope(execution, func), *args, **kwargs)
        _raise_if_ended(execution)
        check_all_replayed(execution)
        return Finished(output=_encoded(execution, value))
    except Exception as error:  # noqa: BLE001  (the workflow's own, unless the execution was ended)
        _raise_if_ended(execution)
        yield from sagas.unwind(execution, error)
        return Finished(error=error)


def _accepted(
    execution: Execution, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Inputs:
    """Return the arguments as the function is to get them, or raise: its body does not begin then."""
    if execution.serialization == serialization.PORTABLE:
        args, kwargs = arguments.with_times(func, args, kwargs)
    if execution.validate_args is not None:
        args, kwargs = execution.validate_args(args, kwargs)
    return args, kwargs


def _encoded(execution: Execution, value: Any) -> str:
    """Return the text of the run's value, in the format that its row names."""
    form = serialization.named(execution.serialization)
    what = f"the result of workflow {execution.name!r}"
    return form.write(value, what, places.output(execution.workflow_id))


def _raise_if_ended(execution: Execution) -> None:
    if execution.ended_by is not None:
        raise execution.ended_by


def _in_scope(execution: Execution, func: Callable[..., Any]) -> Callable[..., Any]:
    scope = Scope(cursor=Cursor(execution))
    if iscoroutinefunction(func):

        async def abody(*args: Any, **kwargs: Any) -> Any:
            scope.cursor.settle_in()
            with entered(scope):
                try:
                    value = await func(*args, **kwargs)
                except BaseException:
                    await leftovers.aroll_back()
                    raise
                await leftovers.arefuse(f"the workflow {execution.name!r}")
                return value

        return abody

    def body(*args: Any, **kwargs: Any) -> Any:
        with entered(scope):
            try:
                value = func(*args, **kwargs)
            except BaseException:
                leftovers.roll_back()
                raise
            leftovers.refuse(f"the workflow {execution.name!r}")
            return value

    return body


def _recorded(execution: Execution, finished: Finished) -> Flow[None]:
    """Make the outcome durable, under the fence."""
    yield from progress.flush(execution)
    error = finished.error
    outcome = Outcome(
        run=execution.run,
        attempt=execution.attempt,
        status="SUCCESS" if error is None else "ERROR",
        output=finished.output,
        error=None if error is None else serialization.write_error(error, execution.serialization),
        at=clock.now(),
    )
    pause = 0.002
    while True:
        try:
            verdict = yield Commit(outcome)
            if verdict is Verdict.AWAITED:
                verdict = yield Call(runs.finish_awaited, outcome, execution.workflow_id)
        except ControlFlow as lost:
            execution.end(lost)
            raise
        except Exception as failure:
            raise_at_outage(execution, failure)
            raise
        if verdict is Verdict.WRITTEN:
            break
        if verdict is not Verdict.LOCKED:
            raise refused(execution, verdict)
        yield Pause(pause)
        pause = min(pause * 2, 0.25)
    _tell(execution, outcome.status, error)


def _tell(execution: Execution, status: str, error: Exception | None) -> None:
    notify.bulletin.announce([News("result", execution.workflow_id).key])
    signals.workflow_finished.send(
        sender=None,
        workflow_id=execution.workflow_id,
        name=execution.name,
        status=status,
        error=error,
    )


def _tidied(execution: Execution) -> Flow[None]:
    """Drop the receipts in other databases; best effort, for the outcome is recorded."""
    for using in execution.receipts:
        try:
            yield UserCode(steps.drop_receipts, using, execution.workflow_id)
        except Exception as error:  # noqa: BLE001  (rows left behind harm nothing)
            logger.debug("Receipts kept using=%s error=%s", using, error)


def execute_claimed(execution: Execution, func: Callable[..., Any], inputs: str) -> Flow[None]:
    """Execute a claimed run for a worker: nothing that it does may harm the worker."""
    try:
        try:
            args, kwargs = yield from decoded_inputs(execution, inputs)
        except Exception as error:  # noqa: BLE001  (unreadable inputs end the run, not the worker)
            yield from sagas.unwind(execution, error)
            yield from _recorded(execution, Finished(error=error))
            return
        yield from execute(execution, func, args, kwargs)
    except UnexpectedStepError as error:
        yield from _blocked(execution, error)
    except Suspended:
        pass
    except WorkflowCancelled:
        _tell(execution, "CANCELLED", None)
    except OwnershipLost:
        signals.workflow_lost.send(sender=None, workflow_id=execution.workflow_id, name=execution.name)
    finally:
        execution.lease.lets_go(execution)


def decoded_inputs(execution: Execution, text: str) -> Flow[Inputs]:
    form, place = serialization.named(execution.serialization), places.inputs(execution.workflow_id)
    if serialization.reads_database(text):
        found: Inputs = yield Call(form.read_inputs, text, place)
        return found
    return form.read_inputs(text, place)


def block_claimed(execution: Execution, error: Exception) -> Flow[None]:
    """Put aside a run whose class or instance this process lacks: the right code may come."""
    try:
        yield from _blocked(execution, error)
    finally:
        execution.lease.lets_go(execution)


def _blocked(execution: Execution, error: Exception) -> Flow[None]:
    """Put the run aside until new code starts: a bad deploy must not turn orders into errors."""
    try:
        yield Call(waits.block, execution.run, execution.attempt, execution.workflow_id, str(error))
    except ControlFlow:
        return
    signals.workflow_blocked.send(
        sender=None, workflow_id=execution.workflow_id, name=execution.name, reason=str(error)
    )


def fail_claimed(execution: Execution, error: Exception) -> Flow[None]:
    """Record an error for a run that cannot even be called."""
    try:
        yield from sagas.unwind(execution, error)
        yield from _recorded(execution, Finished(error=error))
    except ControlFlow:
        return
    finally:
        execution.lease.lets_go(execution)
