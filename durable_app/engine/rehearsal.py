"""Calling a run's function with the run's history, and doing nothing that is not in it.

Recorded operations give what was recorded. The first one that is not ends the rehearsal before anything of it
is done: no step is executed, and no row is written, neither by the engine nor by the function itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction

from durable_app import clock
from durable_app.engine.checkpoints import BeyondHistory
from durable_app.engine.context import Execution, Identity
from durable_app.engine.execution import Finished, called, decoded_inputs
from durable_app.engine.flow import Flow, adrive, drive
from durable_app.engine.lease import Lease
from durable_app.errors import ControlFlow, UnexpectedStepError
from durable_app.registry import Validator
from durable_app.store.reading_only import reading_only
from durable_app.store.records import History

NO_ROW = 0
NO_ATTEMPT = -1
"""A run and an attempt that there is not: what a mistake of ours would write belongs to nobody."""


class WritesOutsideOfSteps(ControlFlow):
    """The function itself writes to a database: it would do so again at every replay."""

    def __init__(self, workflow_id: str, sql: str) -> None:
        super().__init__(workflow_id, "writes to a database outside of its steps")
        self.sql = sql


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsed:
    """Where a rehearsal has ended."""

    replayed: int
    """How many of the recorded steps the function came by."""
    finished: Finished | None = None
    """What the function returned or raised, if it came to its end."""
    ended_by: BeyondHistory | WritesOutsideOfSteps | UnexpectedStepError | ControlFlow | None = None
    """What ended it before."""


def rehearse(
    run: Any, history: History, func: Callable[..., Any], validate_args: Validator | None = None
) -> Rehearsed:
    """Call the function of a run; ``run`` has the columns of its row.

    Raises what its arguments raise if they cannot be read here.
    """
    execution = Execution(
        run=NO_ROW,
        workflow_id=run.workflow_id,
        name=run.name,
        attempt=NO_ATTEMPT,
        lease=Lease(None),
        history=history,
        identity=Identity(
            user=run.user,
            roles=None if run.roles is None else tuple(run.roles),
            assumed_role=run.assumed_role,
        ),
        serialization=run.serialization,
        validate_args=validate_args,
        is_rehearsal=True,
    )

    def refuse(sql: str) -> BaseException:
        error = WritesOutsideOfSteps(execution.workflow_id, sql)
        execution.end(error)
        return error

    clock.now()  # it may have to ask the database first
    with reading_only(refuse):
        try:
            finished = _perform(_flow(execution, func, run.inputs), func)
        except (ControlFlow, UnexpectedStepError) as ended_by:
            return Rehearsed(replayed=len(execution.visited), ended_by=ended_by)
    return Rehearsed(replayed=len(execution.visited), finished=finished)


def _flow(execution: Execution, func: Callable[..., Any], inputs: str) -> Flow[Finished]:
    args, kwargs = yield from decoded_inputs(execution, inputs)
    return (yield from called(execution, func, args, kwargs))


def _perform(flow: Flow[Finished], func: Callable[..., Any]) -> Finished:
    return async_to_sync(adrive)(flow) if iscoroutinefunction(func) else drive(flow)
