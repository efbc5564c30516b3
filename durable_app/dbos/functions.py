"""The seed's decorators: our workflows, steps and transactions, usable as its programs use theirs.

Two things differ from ours: a workflow is refused until DBOS is launched, and a sync function may be called
where an event loop runs, which then waits.
"""

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack

from durable_app import callables, decorators
from durable_app.dbos.declared import declared
from durable_app.dbos.pairs import unused
from durable_app.dbos.process import require_launched
from durable_app.dbos.serialization import Format, Validator, format_name, validator
from durable_app.dbos.threads import blocking
from durable_app.engine.context import current
from durable_app.registry import registry

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)


class StepOptions(TypedDict, total=False):
    """How a step is run."""

    name: str | None
    retries_allowed: bool
    interval_seconds: float
    max_attempts: int
    backoff_rate: float
    should_retry: Callable[[BaseException], bool | Awaitable[bool]] | None
    preemptible: bool
    timeout_seconds: float | None


class WorkflowOptions(TypedDict, total=False):
    """How a workflow is run."""

    name: str | None
    max_recovery_attempts: int | None
    serialization_type: Format
    validate_args: Validator | None
    auto_upgrade: bool | None


class _Workflow(callables.Workflow[P, R]):
    def run_on(self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if current.get() is None:
            require_launched(f"The workflow {self.name!r}")
        if self.is_async:
            return super().run_on(owner, args, kwargs)
        return blocking(super().run_on, owner, args, kwargs)


class _Step(decorators.Step[P, R]):
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.is_async or self._place() is None:
            return super().__call__(*args, **kwargs)
        return blocking(super().__call__, *args, **kwargs)


class _Transaction(decorators.Transaction[P, R]):
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return blocking(super().__call__, *args, **kwargs)


def workflow(**options: Unpack[WorkflowOptions]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: make a function a durable workflow.

    ``name`` defaults to the qualified name; ``max_recovery_attempts`` to 100, None for no limit.
    """
    unused(auto_upgrade=options.get("auto_upgrade"))

    def decorate(func: Callable[P, R]) -> Callable[P, R]:
        made: _Workflow[P, R] = _Workflow(
            func,
            name=options.get("name"),
            max_recovery_attempts=options.get("max_recovery_attempts", 100),
            serialization_type=format_name(options.get("serialization_type")),
            validate_args=validator(options.get("validate_args")),
        )
        declared.functions.add(made.name)
        return made

    return decorate


def step(**options: Unpack[StepOptions]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: make a function a step, whose outcome is recorded."""

    def decorate(func: Callable[P, R]) -> Callable[P, R]:
        made: _Step[P, R] = _Step(func, options.get("name"), decorators.StepOptions(**options))
        declared.functions.add(made.name)
        return made

    return decorate


def transaction(
    isolation_level: str = "SERIALIZABLE", *, name: str | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: make a function a step whose writes to Django's database commit with its record."""

    def decorate(func: Callable[P, R]) -> Callable[P, R]:
        made: _Transaction[P, R] = _Transaction(func, name=name, using=None, isolation_level=isolation_level)
        declared.functions.add(made.name)
        return made

    return decorate


class DBOSConfiguredInstance(callables.ConfiguredInstance):
    """Base of classes with workflows on their instances; ``config_name`` is the instance's stable name."""

    def __init__(self, config_name: str) -> None:
        super().__init__(config_name)
        declared.instances.append(self)


def dbos_class(class_name: str | None = None) -> Callable[[C], C]:
    """Class decorator: register a class whose methods are workflows, under a name of its own."""

    def decorate(cls: C) -> C:
        name = class_name or cls.__qualname__
        registry.add_class(name, cls)
        declared.classes.add(name)
        return cls

    return decorate
