"""Name → definition of every decorated function: plain data, filled by importing the project's code.

Nothing here is ever looked up by importing what stored text names.
"""

import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from durable_app.errors import ConflictingRegistrationError, WorkflowFunctionNotFoundError
from durable_app.limits import Limits

logger = logging.getLogger("durable_app")

Binding = Literal["function", "static", "class", "instance"]

Validator = Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]
"""Takes a run's arguments and returns them as the function is to get them, or raises."""

TEMPORARY = "<temp>."
"""Prefix of the workflow that carries a step which was started by itself."""

UNDO = "<undo>."
"""Prefix of the workflow that undoes what a cancelled run of another has done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """A workflow function and how it is to be run."""

    name: str
    func: Callable[..., Any]
    is_async: bool
    binding: Binding = "function"
    max_recovery_attempts: int | None = 100
    serialization: str | None = None
    """The format of its runs: "portable", or None for the project's."""
    validate_args: Validator | None = None
    required_roles: tuple[str, ...] = ()
    """Of which who runs it must have one; empty: open to all."""

    @property
    def location(self) -> str:
        """File and line of the function, for people."""
        return _location(self.func)

    def bind(self, class_name: str | None, config_name: str | None) -> Callable[..., Any]:
        """Return the function, bound to the class or instance that the run was started on.

        Raises WorkflowFunctionNotFoundError when this process has no such class or instance.
        """
        if class_name is None:
            return self.func
        if config_name is None:
            return self.func.__get__(self._class_named(class_name))  # type: ignore[no-any-return]
        instance = registry.instances.get((class_name, config_name))
        if instance is None:
            raise WorkflowFunctionNotFoundError(
                f"No instance {config_name!r} of class {class_name!r} exists in this process, "
                f"which the workflow {self.name!r} needs: create it while the project starts."
            )
        return self.func.__get__(instance)  # type: ignore[no-any-return]

    def _class_named(self, class_name: str) -> type:
        """Find a registered class, or one in the function's own module: its owner or a subclass of it."""
        if class_name in registry.classes:
            return registry.classes[class_name]
        owner: Any = sys.modules.get(self.func.__module__)
        for part in self.func.__qualname__.split(".")[:-1]:
            owner = getattr(owner, part, None)
        family = _family(owner) if isinstance(owner, type) else ()
        found = [candidate for candidate in family if candidate.__qualname__ == class_name]
        if len({candidate.__module__ for candidate in found}) > 1:
            raise WorkflowFunctionNotFoundError(
                f"Several modules have a class {class_name!r}, one of which the workflow {self.name!r} "
                f"needs: rename all but one."
            )
        if not found:
            raise WorkflowFunctionNotFoundError(
                f"No class {class_name!r} exists in this process, which the workflow {self.name!r} needs."
            )
        return found[-1]  # a module that was loaded again has made it anew


def _location(func: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(func), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else func.__module__


def _family(cls: type) -> Iterator[type]:
    yield cls
    children: list[type] = cls.__subclasses__()
    for child in children:
        yield from _family(child)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredQueue:
    """A queue as the code declares it."""

    limits: Limits
    polling_interval: timedelta | None
    priority_enabled: bool
    location: str

    def is_like(self, other: "DeclaredQueue") -> bool:
        """Return whether another declaration says the same."""
        return replace(self, location=other.location) == other


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleDefinition:
    """Which workflow a schedule starts, when, and how; the context is encoded."""

    name: str
    workflow_name: str
    class_name: str | None = None
    cron: str
    timezone: str | None = None
    context: str | None = None
    queue_name: str | None = None
    catch_up: str = "none"
    catch_up_limit: int | None = None
    overlap: str = "allow"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredSchedule:
    """A schedule as the code declares it, and the function it starts."""

    definition: ScheduleDefinition
    func: Callable[..., Any]

    @property
    def location(self) -> str:
        """File and line of the function, for people."""
        return _location(self.func)


@dataclass
class Registry:
    """All that the project's code has declared."""

    workflows: dict[str, Definition] = field(default_factory=dict)
    steps: dict[str, Callable[..., Any]] = field(default_factory=dict)
    instances: dict[tuple[str, str], Any] = field(default_factory=dict)
    forms: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, type] = field(default_factory=dict)
    """Classes under a chosen name, and those that are made in functions, where no look finds them."""
    queues: dict[str, DeclaredQueue] = field(default_factory=dict)
    schedules: dict[str, DeclaredSchedule] = field(default_factory=dict)
    undoing: Callable[..., Any] | None = None
    """The coroutine function behind the workflows with the prefix UNDO; who has the other one runs it."""
    loaded: tuple[Definition, ...] = ()
    """The workflows that were registered when Django had loaded the project: the same in each process."""
    duplicates: list[tuple[str, str, str]] = field(default_factory=list)
    """Names that a module gave to two functions until then, and where the two are."""

    def note_loaded(self) -> None:
        """Note that Django has loaded the project."""
        self.loaded = tuple(self.workflows.values())

    def add_workflow(self, definition: Definition) -> None:
        """Register a workflow.

        Raises ConflictingRegistrationError if another module has taken the name; a second registration
        by the same module (a reload, a function made anew) replaces the first with a warning.
        """
        found = self.workflows.get(definition.name)
        _check_conflict(found, definition)
        if found is not None and not self.loaded and found.location != definition.location:
            self.duplicates.append((definition.name, found.location, definition.location))
        self.workflows[definition.name] = definition

    def add_step(self, name: str, func: Callable[..., Any], *, is_async: bool) -> None:
        """Register a step, and the temporary workflow that runs it when it is started by itself."""
        self.steps[name] = func
        self.workflows[TEMPORARY + name] = Definition(name=TEMPORARY + name, func=func, is_async=is_async)

    def add_instance(self, class_name: str, config_name: str, instance: object) -> None:
        """Register an object whose methods are workflows.

        Raises ConflictingRegistrationError if its class has an instance of that name already.
        """
        key = (class_name, config_name)
        if key in self.instances:
            raise ConflictingRegistrationError(
                f"There is an instance {config_name!r} of class {class_name!r} already."
            )
        self.instances[key] = instance

    def add_class(self, name: str, cls: type) -> None:
        """Register a class whose methods are workflows under a name of its own.

        Raises ConflictingRegistrationError if another class has the name.
        """
        if self.classes.setdefault(name, cls) is not cls:
            raise ConflictingRegistrationError(f"There is a class registered as {name!r} already.")

    def class_name(self, cls: type) -> str:
        """Return the name under which the runs of a class's methods are stored."""
        return next((name for name, found in self.classes.items() if found is cls), cls.__qualname__)

    def add_queue(self, name: str, declared: DeclaredQueue) -> None:
        """Register a queue.

        Raises ConflictingRegistrationError if another place in the code declares other limits for it.
        """
        found = self.queues.get(name)
        if found is not None and found.location != declared.location and not found.is_like(declared):
            raise ConflictingRegistrationError(
                f"The queue {name!r} is declared with other limits at {found.location} "
                f"than at {declared.location}."
            )
        for schedule in self.schedules.values():
            _check_keyless(schedule, name, declared)
        self.queues[name] = declared

    def add_schedule(self, declared: DeclaredSchedule) -> None:
        """Register a schedule; a function made anew (a reload) replaces its former self.

        Raises ConflictingRegistrationError if another function, or another schedule of this one, has the
        name.
        """
        name = declared.definition.name
        queue = declared.definition.queue_name or ""
        if queue in self.queues:
            _check_keyless(declared, queue, self.queues[queue])
        found = self.schedules.get(name)
        if found is not None:
            here, there = declared.location.rpartition(":")[0], found.location.rpartition(":")[0]
            if here != there or found.func is declared.func:
                raise ConflictingRegistrationError(
                    f"Two schedules are named {name!r}, at {found.location} and {declared.location}. "
                    f"Give one of them another name: @scheduled(..., name=...)."
                )
        self.schedules[name] = declared

    def workflow(self, name: str) -> Definition:
        """Return the workflow registered under a name, or raise WorkflowFunctionNotFoundError."""
        if self.undoing is not None and name.startswith(UNDO) and name.removeprefix(UNDO) in self._undone():
            return Definition(name=name, func=self.undoing, is_async=True)
        try:
            return self.workflows[name]
        except KeyError:
            raise WorkflowFunctionNotFoundError(
                f"No workflow named {name!r} is registered: is its module imported (workflows.py of an "
                f"installed app is), and is the function decorated with @workflow?"
            ) from None

    def names(self, *, is_async: bool) -> list[str]:
        """Return the names of all workflows of one colour."""
        names = [name for name, found in self.workflows.items() if found.is_async is is_async]
        return names + [UNDO + name for name in self._undone()] if is_async and self.undoing else names

    def _undone(self) -> list[str]:
        """Return the names of workflows whose cancelled runs are undone here; one too long for that is ""."""
        return ["", *(name for name in self.workflows if not name.startswith(TEMPORARY))]

    def clear(self) -> None:
        """Forget everything (tests only)."""
        self.workflows.clear()
        self.steps.clear()
        self.instances.clear()
        self.forms.clear()
        self.classes.clear()
        self.queues.clear()
        self.schedules.clear()
        self.duplicates.clear()


def _check_keyless(schedule: DeclaredSchedule, name: str, queue: DeclaredQueue) -> None:
    """Raise ConflictingRegistrationError for a schedule whose runs would never be taken from its queue."""
    if schedule.definition.queue_name == name and queue.limits.is_partitioned:
        raise ConflictingRegistrationError(
            f"The schedule {schedule.definition.name!r} ({schedule.location}) starts its runs in the queue "
            f"{name!r}, which is partitioned ({queue.location}): a tick has no partition key."
        )


def _check_conflict(found: Definition | None, new: Definition) -> None:
    if found is None or found.func is new.func:
        return
    if found.location.rpartition(":")[0] != new.location.rpartition(":")[0]:
        raise ConflictingRegistrationError(
            f"Two workflows are named {new.name!r}: {found.location} and {new.location}. "
            f"Give one of them another name: @workflow(name=...)."
        )
    logger.warning("Duplicate registration of function name=%s at=%s", new.name, new.location)


registry = Registry()
