"""What makes workflows comfortable to write: what undoes them if they fail, and how they go on for ever.

Each verb has an ``a``-prefixed twin to await.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, ParamSpec

from asgiref.sync import markcoroutinefunction

from durable_app.callables import decorated_in
from durable_app.decorators import Step, Transaction
from durable_app.engine import continuing, sagas
from durable_app.engine.context import require_trunk
from durable_app.engine.flow import Flow, adrive, drive_blocking, on_event_loop
from durable_app.errors import (
    ConflictingRegistrationError,
    InvalidOptionError,
    WorkflowFunctionNotFoundError,
)
from durable_app.registry import registry

P = ParamSpec("P")


def compensate(undo: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """Register a step that undoes what the workflow does next, or has just done.

    If the workflow raises, is cancelled or passes its deadline, all that was registered is called, the last
    first. Register before the step that is to be undone, with arguments known by then, and let the undoing
    bear that the step has not happened. Raises WorkflowFunctionNotFoundError for what is no ``@step`` or
    ``@transaction``, ConflictingRegistrationError for one whose name another module uses too,
    InvalidOptionError for an async one in a sync workflow, SerializationError.
    """
    drive_blocking(_compensate_flow("compensate", undo, args, kwargs), "acompensate")


@markcoroutinefunction
def acompensate(undo: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[None]:
    """Async twin of ``compensate``; the step may have either colour."""
    return adrive(_compensate_flow("acompensate", undo, args, kwargs))


def _compensate_flow(verb: str, undo: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[None]:
    scope = require_trunk(verb)
    found = decorated_in(undo)
    if not isinstance(found, Step | Transaction):
        name = getattr(undo, "__qualname__", repr(undo))
        raise WorkflowFunctionNotFoundError(
            f"{name} cannot be found again by its name: {verb}() takes a function with @step or @transaction."
        )
    registered: Any = registry.steps.get(found.name)
    if registered is not found and registered.func.__module__ != found.func.__module__:
        raise ConflictingRegistrationError(
            f"The step name {found.name!r} is also that of a function in {registered.func.__module__}, which "
            f"would be called instead: give one of them a name of its own, @step(name=...)."
        )
    if found.is_async and not on_event_loop():
        raise InvalidOptionError(
            f"the step {found.name!r} is async, and the workflow that it is to undo is not"
        )
    return sagas.register(scope, scope.cursor.next(), found.name, args, kwargs)


def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """Begin the running workflow anew with these arguments, and drop its recorded steps.

    The run stays the same: its id, handles, messages, events, streams, queue and deadline. Its positions go
    on counting. Raises ContinuedAsNew, which no ``except Exception`` catches; NotInWorkflowError;
    NotAllowedInStepError; InvalidOptionError in a branch of ``gather``; SerializationError.
    """
    _continue("continue_as_new", args, kwargs)


@markcoroutinefunction
def acontinue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """Async twin of ``continue_as_new``; it raises at the call, awaited or not."""
    _continue("acontinue_as_new", args, kwargs)


def _continue(verb: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
    scope = require_trunk(verb)
    if scope.cursor.is_branch:
        raise InvalidOptionError(f"{verb}() is for the workflow's body, not for a branch of gather()")
    continuing.leave(scope, scope.cursor.next(), args, kwargs)
