"""Steps without a decorator: any callable, run at the next position or at one reserved earlier."""

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from durable_app.callables import checked_name
from durable_app.decorators import StepOptions
from durable_app.engine.context import Scope, current, require_trunk
from durable_app.engine.flow import Flow, UserCode, adrive, drive, on_event_loop
from durable_app.engine.steps import run_step as step_flow
from durable_app.errors import InvalidOptionError, SynchronousCallError
from durable_app.store.records import Position

P = ParamSpec("P")
R = TypeVar("R")

Options = StepOptions | dict[str, Any] | None


def run_step(options: Options, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run any callable as a step of the workflow; outside of one, and in a step, call it plainly.

    ``options`` has the keywords of ``@step``; the name defaults to the function's. Raises
    SynchronousCallError on a running event loop.
    """
    if on_event_loop():
        raise SynchronousCallError("run_step()", "arun_step()")
    scope = current.get()
    if scope is None or scope.step is not None:
        return func(*args, **kwargs)
    return cast(R, drive(_flow(scope, scope.cursor.next(), options, func, args, kwargs)))


@markcoroutinefunction
def arun_step(options: Options, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Awaitable[Any]:
    """Async twin of ``run_step``, for functions of both colours.

    Raises RuntimeError where no event loop runs.
    """
    if not on_event_loop():
        raise RuntimeError("arun_step() needs a running event loop: use run_step() here.")
    scope = current.get()
    if scope is not None and scope.step is None:
        return adrive(_flow(scope, scope.cursor.next(), options, func, args, kwargs))
    return UserCode(func, *args, **kwargs).aperform()


class StepReservation:
    """A position taken now, for a step that is run later: once, by the same workflow, outside steps."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._position: Position = scope.cursor.next()
        self._used = False

    @property
    def step_id(self) -> int | str:
        """The reserved position; it stays a gap if it is never used."""
        return self._position.step_id

    def run(self, options: Options, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a callable as the reserved step; see ``run_step``.

        Raises InvalidOptionError if it was used already, or elsewhere than in its workflow.
        """
        if on_event_loop():
            raise SynchronousCallError("StepReservation.run()", "StepReservation.arun()")
        return cast(R, drive(self._take(options, func, args, kwargs)))

    def arun(
        self, options: Options, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[Any]:
        """Async twin of ``run``."""
        return adrive(self._take(options, func, args, kwargs))

    def _take(self, options: Options, func: Any, args: Any, kwargs: Any) -> Flow[Any]:
        scope = require_trunk("StepReservation.run")
        if scope.execution is not self._scope.execution:
            raise InvalidOptionError("a reserved step belongs to the workflow that reserved it")
        if self._used:
            raise InvalidOptionError(f"the reserved step {self.step_id} was run already")
        self._used = True
        return _flow(self._scope, self._position, options, func, args, kwargs)


def reserve_step() -> StepReservation:
    """Take the next position now, for a step that is run later.

    Raises NotInWorkflowError outside a workflow, NotAllowedInStepError in a step.
    """
    return StepReservation(require_trunk("reserve_step"))


def _flow(scope: Scope, position: Position, options: Options, func: Any, args: Any, kwargs: Any) -> Flow[Any]:
    chosen = options if isinstance(options, StepOptions) else StepOptions(**(options or {}))
    given = getattr(func, "__qualname__", type(func).__qualname__) if chosen.name is None else chosen.name
    name = checked_name(given, func)
    plan = chosen.plan(name, is_async=iscoroutinefunction(func))
    return step_flow(scope, position, plan, func, args, kwargs)
