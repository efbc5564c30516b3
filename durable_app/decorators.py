"""What users decorate their functions with: ``@workflow``, ``@step``, ``@transaction``."""

import asyncio
import functools
import math
from collections.abc import Callable
from inspect import iscoroutinefunction
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS
from django.db import transaction as django_transaction

from durable_app.engine import calls
from durable_app.engine.context import Scope, current
from durable_app.engine.flow import Flow, adrive, drive
from durable_app.engine.launch import Target, refuse_in_step
from durable_app.engine.steps import StepPlan, run_step
from durable_app.engine.transactions import TransactionPlan, run_transaction
from durable_app.errors import (
    DurableError,
    InvalidOptionError,
    SynchronousCallError,
    WorkflowFunctionNotFoundError,
)
from durable_app.handles import WorkflowHandle, refuse_in_transaction
from durable_app.incarnation import callers_lease
from durable_app.registry import Binding, Definition, registry
from durable_app.retry import ONCE, Predicate, Retry
from durable_app.store import database

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

NAME_LENGTH = 255


def on_event_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class ConfiguredInstance:
    """Base of classes whose instance methods are workflows: gives each instance a stable name.

    A recovered run finds its instance by class and ``config_name``; so instances are made while the
    project starts. Raises ConflictingRegistrationError for a second instance of one name.
    """

    def __init__(self, config_name: str) -> None:
        self.config_name = config_name
        registry.add_instance(type(self).__qualname__, config_name, self)


class _Decorated(Generic[P, R]):
    """A decorated function: callable as before, bound like a function or method."""

    def __init__(self, func: Any, name: str | None) -> None:
        self.func, self.binding = _unwrapped(func)
        self.name = _checked_name(name or self.func.__qualname__)
        self.is_async = iscoroutinefunction(self.func)
        functools.update_wrapper(cast(Any, self), self.func)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}>"

    def _place(self) -> Scope | None:
        """Return the workflow that this call is an operation of; None outside, and inside a step."""
        scope = current.get()
        return None if scope is None or scope.step is not None else scope

    def _refuse_on_loop(self) -> None:
        if not self.is_async and on_event_loop():
            raise SynchronousCallError(f"{self.name}()", f"{self.__name__}.acall()")  # type: ignore[attr-defined]


def _unwrapped(func: Any) -> tuple[Callable[..., Any], Binding]:
    if isinstance(func, staticmethod):
        return func.__func__, "function"
    if isinstance(func, classmethod):
        return func.__func__, "class"
    if not callable(func):
        raise DurableError(f"Only a function can be decorated, not {func!r}.")
    return func, "function"


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > NAME_LENGTH:
        raise InvalidOptionError(f"a name has 1 to {NAME_LENGTH} characters, not {len(name)}")
    return name


class Workflow(_Decorated[P, R]):
    """A workflow function; made by ``@workflow``."""

    def __init__(self, func: Any, *, name: str | None, max_recovery_attempts: int | None) -> None:
        super().__init__(func, name)
        self.max_recovery_attempts = max_recovery_attempts
        self._binding_known = self.binding == "class"
        self._register(self.binding)

    def _register(self, binding: Binding) -> None:
        self.binding = binding
        self.definition = Definition(
            name=self.name,
            func=self.func,
            is_async=self.is_async,
            binding=binding,
            max_recovery_attempts=self.max_recovery_attempts,
        )
        registry.add_workflow(self.definition)

    def __set_name__(self, owner: type, name: str) -> None:
        if self.binding == "function":
            self._register("instance")

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self.binding == "class":
            return BoundWorkflow(self, owner if owner is not None else type(instance))
        return self if instance is None else BoundWorkflow(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the workflow durably in this thread and return its result."""
        return cast(R, self.run_on(None, args, kwargs))

    def run_on(self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the workflow on a class or instance, or on none."""
        refuse_in_step(f"the workflow {self.name!r}")
        self._refuse_on_loop()
        target, func = self.target(owner)
        if self.is_async:
            return self._acall(target, func, (args, kwargs))
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
            lease = await database.acall(callers_lease)
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
            found = Target(definition=self.definition, class_name=owner.__qualname__)
        else:
            found = Target(
                definition=self.definition,
                class_name=type(owner).__qualname__,
                config_name=_config_name(self.name, owner),
            )
        return found, self.func.__get__(owner)

    def start(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Enqueue a run and return its handle; see ``start_workflow``."""
        return WorkflowHandle(drive(self.start_on(None, args, kwargs)))

    async def astart(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Async twin of ``start``."""
        return WorkflowHandle(await adrive(self.start_on(None, args, kwargs)))

    def start_on(self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[str]:
        """Return the flow that enqueues a run on a class or instance, or on none."""
        refuse_in_step(f"start of the workflow {self.name!r}")
        target, _ = self.target(owner)
        scope = current.get()
        if scope is None:
            return calls.start(target, (args, kwargs))
        return calls.start_child(scope, scope.cursor.next(), target, (args, kwargs))


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

    def start_flow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[str]:
        """Return the flow that enqueues a run."""
        return self.workflow.start_on(self.owner, args, kwargs)

    def start(self, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
        """Enqueue a run and return its handle."""
        return WorkflowHandle(drive(self.start_flow(args, kwargs)))


class _StepLike(_Decorated[P, R]):
    """A function whose calls are recorded; outside a workflow, and in a step, a plain call."""

    def _bind(self, instance: Any, owner: type | None) -> Any:
        if self.binding == "class":
            return MethodType(self, owner if owner is not None else type(instance))
        return self if instance is None else MethodType(self, instance)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self._bind(instance, owner)

    def _flow(self, scope: Scope, args: Any, kwargs: Any) -> Flow[Any]:
        raise NotImplementedError

    def _plainly(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args, **kwargs)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the step and return its output, or return what it recorded."""
        scope = self._place()
        if scope is None:
            return cast(R, self._plainly(*args, **kwargs))
        self._refuse_on_loop()
        flow = self._flow(scope, args, kwargs)
        return cast(R, adrive(flow) if self.is_async else drive(flow))

    def acall(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Await the step in an async workflow, whatever colour its function has."""
        scope = self._place()
        if scope is not None:
            return adrive(self._flow(scope, args, kwargs))
        if self.is_async:
            return self.func(*args, **kwargs)
        return sync_to_async(self._plainly)(*args, **kwargs)


class Step(_StepLike[P, R]):
    """A step function; made by ``@step``."""

    def __init__(self, func: Any, name: str | None, options: "StepOptions") -> None:
        super().__init__(func, name)
        self.plan = options.plan(self.name, is_async=self.is_async)
        registry.add_step(self.name, self, is_async=self.is_async)

    def _flow(self, scope: Scope, args: Any, kwargs: Any) -> Flow[Any]:
        return run_step(scope, scope.cursor.next(), self.plan, self.func, args, kwargs)


class StepOptions:
    """How a step is run; the keywords are those of ``@step``.

    Raises InvalidOptionError for values out of range.
    """

    def __init__(  # noqa: PLR0913  (the seed's keywords)
        self,
        *,
        name: str | None = None,
        retries_allowed: bool = False,
        interval_seconds: float = 1.0,
        max_attempts: int = 3,
        backoff_rate: float = 2.0,
        should_retry: Predicate | None = None,
        timeout_seconds: float | None = None,
        preemptible: bool = False,
    ) -> None:
        self.name = name
        self.retry = ONCE
        checked = Retry(
            max_attempts=max_attempts,
            interval=interval_seconds,
            backoff=backoff_rate,
            should_retry=should_retry,
        )
        if retries_allowed:
            self.retry = checked
        self.timeout = timeout_seconds
        self.preemptible = preemptible

    def plan(self, name: str, *, is_async: bool) -> StepPlan:
        """Return the plan of a step of this colour; raises InvalidOptionError."""
        if self.timeout is not None:
            if not is_async:
                raise InvalidOptionError(
                    f"step {name!r}: timeout_seconds needs an async function; a thread cannot be ended"
                )
            if not (math.isfinite(self.timeout) and self.timeout > 0):
                raise InvalidOptionError(
                    f"step {name!r}: timeout_seconds must be positive and finite, not {self.timeout}"
                )
        if self.preemptible and not is_async:
            raise InvalidOptionError(f"step {name!r}: preemptible needs an async function")
        if self.retry.asks_asynchronously and not is_async:
            raise InvalidOptionError(f"step {name!r} is sync but should_retry is async")
        return StepPlan(name=name, retry=self.retry, timeout=self.timeout, preemptible=self.preemptible)


class Transaction(_StepLike[P, R]):
    """A transactional step function; made by ``@transaction``."""

    def __init__(
        self, func: Any, *, name: str | None, using: str | None, isolation_level: str | None
    ) -> None:
        super().__init__(func, name)
        if self.is_async:
            raise InvalidOptionError(
                f"transaction {self.name!r} is async, and Django has no async transactions: make it "
                f"sync, and await it with {self.func.__name__}.acall()"
            )
        if isolation_level is not None and isolation_level.upper() not in ISOLATION_LEVELS:
            known = ", ".join(sorted(ISOLATION_LEVELS))
            raise InvalidOptionError(f"isolation_level {isolation_level!r} is none of {known}")
        self.using = using or DEFAULT_DB_ALIAS
        self.plan = TransactionPlan(
            name=self.name,
            using=self.using,
            isolation_level=isolation_level.upper() if isolation_level else None,
        )
        registry.add_step(self.name, self, is_async=False)

    def _flow(self, scope: Scope, args: Any, kwargs: Any) -> Flow[Any]:
        return run_transaction(scope, scope.cursor.next(), self.plan, self.func, args, kwargs)

    def _plainly(self, *args: Any, **kwargs: Any) -> Any:
        with django_transaction.atomic(using=self.using):
            return self.func(*args, **kwargs)


ISOLATION_LEVELS = frozenset({"SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"})


@overload
def workflow(func: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *, name: str | None = ..., max_recovery_attempts: int | None = ...
) -> Callable[[Callable[P, R]], Workflow[P, R]]: ...
def workflow(func: Any = None, /, *, name: str | None = None, max_recovery_attempts: int | None = 100) -> Any:
    """Decorator: make a function a durable workflow.

    ``name`` is what is recorded (default: the qualified name); after more than
    ``max_recovery_attempts`` + 1 crashes of its workers a run is dead-lettered (None: never).
    Raises ConflictingRegistrationError if another module uses the name.
    """

    def decorate(found: Any) -> Any:
        return Workflow(found, name=name, max_recovery_attempts=max_recovery_attempts)

    return decorate if func is None else decorate(func)


@overload
def step(func: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str | None = ...,
    retries_allowed: bool = ...,
    interval_seconds: float = ...,
    max_attempts: int = ...,
    backoff_rate: float = ...,
    should_retry: Predicate | None = ...,
    timeout_seconds: float | None = ...,
    preemptible: bool = ...,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(func: Any = None, /, **options: Any) -> Any:
    """Decorator: make a function a step, whose outcome is recorded and never computed again.

    With ``retries_allowed`` a failing step is tried up to ``max_attempts`` times, pausing
    ``interval_seconds`` times ``backoff_rate`` to the power of the tries so far (an hour at most), as long
    as ``should_retry`` agrees. ``timeout_seconds`` and ``preemptible`` (ended soon after the workflow is
    cancelled) are for async steps. Raises InvalidOptionError.
    """

    def decorate(found: Any) -> Any:
        chosen = StepOptions(**options)
        return Step(found, chosen.name, chosen)

    return decorate if func is None else decorate(func)


@overload
def transaction(func: Callable[P, R], /) -> Transaction[P, R]: ...
@overload
def transaction(
    *, using: str | None = ..., isolation_level: str | None = ..., name: str | None = ...
) -> Callable[[Callable[P, R]], Transaction[P, R]]: ...
def transaction(
    func: Any = None,
    /,
    *,
    using: str | None = None,
    isolation_level: str | None = "SERIALIZABLE",
    name: str | None = None,
) -> Any:
    """Decorator: make a function a step whose ORM writes and checkpoint commit together.

    ``using`` is the database alias of its writes; ``isolation_level`` (PostgreSQL) that of its
    transaction, None for the connection's own. Serialization failures and deadlocks are retried.
    """

    def decorate(found: Any) -> Any:
        return Transaction(found, name=name, using=using, isolation_level=isolation_level)

    return decorate if func is None else decorate(func)
