"""What users decorate their functions with: ``@workflow``, ``@step``, ``@transaction``."""

from collections.abc import Callable
from types import MethodType
from typing import Any, ParamSpec, TypeVar, cast, overload

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import transaction as django_transaction

from durable_app.callables import Decorated, Workflow
from durable_app.engine.context import Scope
from durable_app.engine.flow import Flow, adrive, drive
from durable_app.engine.identity import guarded, plainly
from durable_app.engine.steps import StepPlan, run_step
from durable_app.engine.transactions import TransactionPlan, run_transaction
from durable_app.errors import InvalidOptionError
from durable_app.registry import Validator, registry
from durable_app.retry import ONCE, Predicate, Retry, is_finite
from durable_app.store.records import Position

P = ParamSpec("P")
R = TypeVar("R")


class _StepLike(Decorated[P, R]):
    """A function whose calls are recorded; outside a workflow, and in a step, a plain call."""

    def _bind(self, instance: Any, owner: type | None) -> Any:
        if self.binding == "class":
            return MethodType(self, owner if owner is not None else type(instance))
        return self if instance is None or self.binding == "static" else MethodType(self, instance)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self._bind(instance, owner)

    def _flow(self, scope: Scope, position: Position, args: Any, kwargs: Any) -> Flow[Any]:
        raise NotImplementedError

    def at(self, scope: Scope, position: Position, args: Any, kwargs: Any) -> Flow[Any]:
        """Return the flow of the step at a position that has been taken."""
        return self._guarded(self._flow(scope, position, args, kwargs))

    def _plainly(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args, **kwargs)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the step and return its output, or return what it recorded."""
        scope = self._place()
        if scope is not None:
            self._refuse_on_loop()
            flow = self.at(scope, scope.cursor.next(), args, kwargs)
        elif not self.required_roles:
            return cast(R, self._plainly(*args, **kwargs))
        else:
            flow = self._guarded(plainly(self._plainly, args, kwargs))
        return cast(R, adrive(flow) if self.is_async else drive(flow))

    def _guarded(self, flow: Flow[Any]) -> Flow[Any]:
        return guarded(self.name, self.required_roles, flow) if self.required_roles else flow

    @markcoroutinefunction
    def acall(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Await the step in an async workflow, whatever colour its function has."""
        scope = self._place()
        if scope is not None:
            return adrive(self.at(scope, scope.cursor.next(), args, kwargs))
        if self.required_roles:
            return adrive(self._guarded(plainly(self._plainly, args, kwargs)))
        if self.is_async:
            return self.func(*args, **kwargs)
        return sync_to_async(self._plainly)(*args, **kwargs)


class Step(_StepLike[P, R]):
    """A step function; made by ``@step``."""

    def __init__(self, func: Any, name: str | None, options: "StepOptions") -> None:
        super().__init__(func, name)
        self.plan = options.plan(self.name, is_async=self.is_async)
        registry.add_step(self.name, self, is_async=self.is_async)

    def _flow(self, scope: Scope, position: Position, args: Any, kwargs: Any) -> Flow[Any]:
        return run_step(scope, position, self.plan, self.func, args, kwargs)


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
            if not (is_finite(self.timeout) and self.timeout > 0):
                raise InvalidOptionError(
                    f"step {name!r}: timeout_seconds must be positive and finite, not {self.timeout!r}"
                )
        if self.preemptible and not is_async:
            raise InvalidOptionError(f"step {name!r}: preemptible needs an async function")
        if self.retry.asks_asynchronously and not is_async:
            raise InvalidOptionError(f"step {name!r} is sync but should_retry is async")
        return StepPlan(
            name=name,
            retry=self.retry,
            timeout=self.timeout,
            preemptible=self.preemptible,
            is_async=is_async,
        )


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
        if isolation_level is not None and str(isolation_level).upper() not in ISOLATION_LEVELS:
            known = ", ".join(sorted(ISOLATION_LEVELS))
            raise InvalidOptionError(f"isolation_level {isolation_level!r} is none of {known}")
        self.using = using or DEFAULT_DB_ALIAS
        if self.using not in connections:
            known = ", ".join(sorted(connections))
            raise InvalidOptionError(
                f"transaction {self.name!r}: {self.using!r} is no alias of DATABASES; there are: {known}"
            )
        self.plan = TransactionPlan(
            name=self.name,
            using=self.using,
            isolation_level=isolation_level.upper() if isolation_level else None,
        )
        registry.add_step(self.name, self, is_async=False)

    def _flow(self, scope: Scope, position: Position, args: Any, kwargs: Any) -> Flow[Any]:
        return run_transaction(scope, position, self.plan, self.func, args, kwargs)

    def _plainly(self, *args: Any, **kwargs: Any) -> Any:
        with django_transaction.atomic(using=self.using):
            return self.func(*args, **kwargs)


ISOLATION_LEVELS = frozenset({"SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"})


@overload
def workflow(func: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = ...,
    max_recovery_attempts: int | None = ...,
    serialization_type: str | None = ...,
    validate_args: Validator | bool = ...,
) -> Callable[[Callable[P, R]], Workflow[P, R]]: ...
def workflow(
    func: Any = None,
    /,
    *,
    name: str | None = None,
    max_recovery_attempts: int | None = 100,
    serialization_type: str | None = None,
    validate_args: Validator | bool = False,
) -> Any:
    """Decorator: make a function a durable workflow.

    ``name`` is what is recorded (default: the qualified name); after more than
    ``max_recovery_attempts`` + 1 crashes of its workers a run is dead-lettered (None: never).
    ``serialization_type`` "portable" stores its runs as other languages and SQL write them.
    ``validate_args`` checks arguments before the body begins: True by the type hints (with pydantic), or a
    function of ``(args, kwargs)`` that returns both. Raises ConflictingRegistrationError if another module
    uses the name, InvalidOptionError.
    """

    def decorate(found: Any) -> Any:
        return Workflow(
            found,
            name=name,
            max_recovery_attempts=max_recovery_attempts,
            serialization_type=serialization_type,
            validate_args=validate_args,
        )

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
