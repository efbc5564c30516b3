"""What a decorated function becomes: an object called and bound as the function was."""

import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async

from durable_app import serialization
from durable_app.arguments import HintsValidator
from durable_app.engine import calls
from durable_app.engine.context import Scope, current
from durable_app.engine.flow import Flow, adrive, drive, drive_blocking, on_event_loop
from durable_app.engine.identity import REQUIRED_ROLES
from durable_app.engine.launch import Target, refuse_in_step
from durable_app.errors import (
    DurableError,
    InvalidOptionError,
    SynchronousCallError,
    WorkflowFunctionNotFoundError,
)
from durable_app.handles import WorkflowHandle, refuse_in_transaction
from durable_app.identifiers import is_storable
from durable_app.incarnation import callers_lease, known_lease
from durable_app.registry import TEMPORARY, UNDO, Binding, Definition, Validator, registry
from durable_app.store import database

P = ParamSpec("P")
R = TypeVar("R")

NAME_LENGTH = 255

RESERVED = ("durable.", TEMPORARY, UNDO)
"""Beginnings of names that tell the engine's own steps and workflows from the project's."""


class ConfiguredInstance:
    """Base of classes whose instance methods are workflows: gives each instance a stable name.

    A recovered run finds its instance by class and ``config_name``; so instances are made while the
    project starts. Raises ConflictingRegistrationError for a second instance of one name.
    """

    def __init__(self, config_name: str) -> None:
        self.config_name = config_name
        registry.add_instance(registry.class_name(type(self)), config_name, self)


class Decorated(Generic[P, R]):
    """A decorated function: callable as before, bound like a function or method."""

    def __init__(self, func: Any, name: str | None) -> None:
        self.func, self.binding = _unwrapped(func)
        self.name = checked_name(self.func.__qualname__ if name is None else name, self.func)
        self.is_async = iscoroutinefunction(self.func)
        self.required_roles: tuple[str, ...] | None = getattr(self.func, REQUIRED_ROLES, None)
        """None where nothing is said: the class may say it."""
        functools.update_wrapper(cast(Any, self), self.func)
        if self.is_async:
            markcoroutinefunction(cast(Any, self))

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"

    def require(self, roles: tuple[str, ...]) -> None:
        """Let only those run it who have one of these roles; an empty tuple opens it to all."""
        self.required_roles = roles

    def _place(self) -> Scope | None:
        """Return the workflow that this call is an operation of; None outside, and inside a step."""
        scope = current.get()
        return None if scope is None or scope.step is not None else scope

    def _refuse_on_loop(self) -> None:
        if not self.is_async and on_event_loop():
            raise SynchronousCallError(f"{self.name}()", f"{self.__name__}.acall()")  # type: ignore[attr-defined]


def _unwrapped(func: Any) -> tuple[Callable[..., Any], Binding]:
    if isinstance(func, staticmethod):
        return func.__func__, "static"
    if isinstance(func, classmethod):
        return func.__func__, "class"
    if not callable(func):
        raise DurableError(f"Only a function can be decorated, not {func!r}.")
    return func, "function"


def checked_name(name: Any, func: Any) -> str:
    """Return the name under which a function is recorded, or raise InvalidOptionError."""
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH or not is_storable(name):
        raise InvalidOptionError(f"a name is a text of 1 to {NAME_LENGTH} characters, not {name!r}")
    is_ours = str(getattr(func, "__module__", "")).partition(".")[0] == __package__
    if name.startswith(RESERVED) and not is_ours:
        raise InvalidOptionError(f"names that start with {', '.join(RESERVED)} are the engine's: {name!r}")
    return name


def _check_options(max_recovery_attempts: Any, serialization_type: Any, validate_args: Any) -> None:
    most = max_recovery_attempts
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
        raise InvalidOptionError(
            f"max_recovery_attempts is a whole number from zero on, or None, not {most!r}"
        )
    if serialization_type not in (None, "portable", "native"):
        serialization.wanted(serialization_type)
    if not isinstance(validate_args, bool) and not callable(validate_args):
        raise InvalidOptionError(f"validate_args is True, False or a function, not {validate_args!r}")


class Workflow(Decorated[P, R]):
    """A workflow function; made by ``@workflow``."""

    def __init__(
        self,
        func: Any,
        *,
        name: str | None,
        max_recovery_attempts: int | None,
        serialization_type: str | None = None,
        validate_args: Validator | bool = False,
    ) -> None:
        super().__init__(func, name)
        _check_options(max_recovery_attempts, serialization_type, validate_args)
        self.max_recovery_attempts = max_recovery_attempts
        self.serialization_type = serialization_type
        self.validate_args = validate_args
        self._register(self.binding)

    def _register(self, binding: Binding) -> None:
        self.binding = binding
        self.definition = Definition(
            name=self.name,
            func=self.func,
            is_async=self.is_async,
            binding=binding,
            max_recovery_attempts=self.max_recovery_attempts,
            serialization=self.serialization_type,
            validate_args=self._validator(),
            required_roles=self.required_roles or (),
        )
        registry.add_workflow(self.definition)

    def require(self, roles: tuple[str, ...]) -> None:
        """Let only those run it who have one of these roles; an empty tuple opens it to all."""
        super().require(roles)
        self._register(self.binding)

    def _validator(self) -> Validator | None:
        if callable(self.validate_args):
            return self.validate_args
        if not self.validate_args:
            return None
        return HintsValidator(self.func, skip_first=self.binding in ("class", "instance"))

    def __set_name__(self, owner: type, name: str) -> None:
        if self.binding == "function":
            self._register("instance")

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self.binding == "class":
            return BoundWorkflow(self, owner if owner is not None else type(instance))
        return self if instance is None or self.binding == "static" else BoundWorkflow(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the workflow durably in this thread and return its result."""
        return cast(R, self.run_on(*self._reached(args), kwargs))

    @markcoroutinefunction
    def acall(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Await the workflow from async code, whatever colour its function has."""
        return self.arun_on(*self._reached(args), kwargs)

    def _reached(self, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Return the class that the call came through, where ``@classmethod`` stands above ``@workflow``.

        Since Python 3.13 that decorator binds what is below it as it binds a function.
        """
        if args and isinstance(args[0], type):
            found = inspect.getattr_static(args[0], self.func.__name__, None)
            if isinstance(found, classmethod) and found.__func__ is self:
                return args[0], args[1:]
        return None, args

    @markcoroutinefunction
    def arun_on(self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the awaitable run of the workflow on a class or instance, or on none."""
        refuse_in_step(f"the workflow {self.name!r}")
        return self._acall(*self.target(owner), (args, kwargs))

    def run_on(self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the workflow on a class or instance, or on none."""
        if self.is_async:
            return self.arun_on(owner, args, kwargs)
        refuse_in_step(f"the workflow {self.name!r}")
        self._refuse_on_loop()
        target, func = self.target(owner)
        scope = current.get()
        if scope is None:
            refuse_in_transaction(f"{self.name}()")
        return drive(self._flow(target, func, (args, kwargs), scope))

    def _flow(
        self, target: Target, func: Callable[..., Any], given: calls.Arguments, scope: Scope | None
    ) -> Flow[Any]:
        if scope is None:
            lease = callers_lease()
            return calls.call(calls.Invocation(target=target, func=func, lease=lease), given)
        invocation = calls.Invocation(target=target, func=func, lease=scope.execution.lease)
        places = scope.cursor.next(), scope.cursor.next()
        return calls.call_child(scope, places, invocation, given)

    def _acall(self, target: Target, func: Callable[..., Any], given: calls.Arguments) -> Any:
        """Return the coroutine that runs the workflow; a child's positions are taken now."""
        scope = current.get()
        if scope is not None:
            return adrive(self._flow(target, func, given, scope))
        return self._acall_outside(target, func, given)

    async def _acall_outside(self, target: Target, func: Callable[..., Any], given: calls.Arguments) -> Any:
        if database.under_test():  # a test's transaction is its thread's
            await sync_to_async(refuse_in_transaction)(f"{self.name}()")
            lease = await sync_to_async(callers_lease)()
        else:
            found = known_lease()
            lease = found if found is not None else await database.acall(callers_lease)
        invocation = calls.Invocation(target=target, func=func, lease=lease)
        return await adrive(calls.call(invocation, given))

    def target(self, owner: Any) -> tuple[Target, Callable[..., Any]]:
        """Return what a run of this workflow on ``owner`` is, and the function bound to it."""
        if owner is None:
            if self.binding == "instance":
                raise WorkflowFunctionNotFoundError(
                    f"{self.name!r} is a method: call or start it on an instance."
                )
            return Target(definition=self.definition), self.func
        if self.binding == "class" or isinstance(owner, type):
            found = Target(definition=self.definition, class_name=registry.class_name(owner))
        else:
            found = Target(
                definition=self.definition,
                class_name=registry.class_name(type(owner)),
                config_name=_config_name(self.name, owner),
            )
        return found, self.func.__get__(owner)

    def start(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Enqueue a run and return its handle; see ``start_workflow``."""
        return WorkflowHandle(drive_blocking(self.start_on(None, args, kwargs), "astart"))

    async def astart(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Async twin of ``start``."""
        return WorkflowHandle(await adrive(self.start_on(None, args, kwargs)))

    def start_on(
        self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any], queue: str | None = None
    ) -> Flow[str]:
        """Return the flow that enqueues a run on a class or instance, or on none."""
        refuse_in_step(f"start of the workflow {self.name!r}")
        target, _ = self.target(owner)
        scope = current.get()
        if scope is None:
            return calls.start(target, (args, kwargs), queue)
        return calls.start_child(scope, scope.cursor.next(), target, (args, kwargs), queue)


def _config_name(name: str, owner: Any) -> str:
    if not isinstance(owner, ConfiguredInstance):
        raise WorkflowFunctionNotFoundError(
            f"{type(owner).__qualname__} has workflows on its instances ({name!r}): derive it from "
            f"durable_app.ConfiguredInstance, so that a recovered run finds its instance again."
        )
    return owner.config_name


class BoundWorkflow:
    """A workflow with the class or instance it was reached through."""

    def __init__(self, workflow: Workflow[Any, Any], owner: Any) -> None:
        self.workflow = workflow
        self.owner = owner
        self.name = workflow.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the workflow durably in this thread and return its result."""
        return self.workflow.run_on(self.owner, args, kwargs)

    @markcoroutinefunction
    def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Await the workflow from async code."""
        return self.workflow.arun_on(self.owner, args, kwargs)

    def start_flow(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], queue: str | None = None
    ) -> Flow[str]:
        """Return the flow that enqueues a run."""
        return self.workflow.start_on(self.owner, args, kwargs, queue)

    def start(self, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Enqueue a run and return its handle."""
        return WorkflowHandle(drive_blocking(self.start_flow(args, kwargs), "astart"))


def decorated_in(func: Any) -> Any:
    """Return what ``@workflow`` or ``@step`` made, beneath other decorators and bound as ``func`` is."""
    if isinstance(func, MethodType):
        found = decorated_in(func.__func__)
        binds = isinstance(found, Decorated)
        return found.__get__(func.__self__) if binds else found
    return inspect.unwrap(func, stop=lambda one: isinstance(one, Decorated | BoundWorkflow))
