"""What a schedule is: its parts, checked when they are given; and ``@scheduled``, which declares one."""

from collections.abc import Callable
from typing import Any, Literal, Required, TypedDict, TypeVar

from durable_app import serialization
from durable_app.callables import BoundWorkflow, Decorated, Workflow, decorated_in
from durable_app.engine.launch import Target
from durable_app.errors import InvalidOptionError
from durable_app.identifiers import is_storable
from durable_app.limits import checked_queue_name
from durable_app.recurrence import Recurrence
from durable_app.registry import TEMPORARY, DeclaredSchedule, ScheduleDefinition, registry
from durable_app.starting import target_of
from durable_app.store import ticks

F = TypeVar("F")

CatchUp = Literal["none", "last", "all"] | int
"""What becomes of ticks that nobody could start in time; a number: all, but at most the last so many."""

Overlap = Literal["allow", "skip", "cancel_previous"]
"""What a tick does while a run of the same schedule is active."""

NAME_LENGTH = 200
"""Characters of a schedule's name: the ids of its runs hold it, and a time."""

OVERLAPS = ("allow", "skip", "cancel_previous")


class FiredAt:
    """As a context: what each run is given is the time at which it was started."""

    def __repr__(self) -> str:
        return "FIRED_AT"


FIRED_AT = FiredAt()


class ScheduleOptions(TypedDict, total=False):
    """How a schedule fires; see ``create_schedule``."""

    context: Any
    automatic_backfill: bool
    cron_timezone: str | None
    queue_name: str | None
    workflow_class_name: str | None
    catch_up: CatchUp
    overlap: Overlap


class ScheduleInput(ScheduleOptions, total=False):
    """A schedule for ``apply_schedules``."""

    schedule_name: Required[str]
    workflow_fn: Required[Any]
    schedule: Required[str]


_REQUIRED = ("schedule_name", "workflow_fn", "schedule")
_KNOWN = frozenset(_REQUIRED) | ScheduleOptions.__annotations__.keys()


# Declaring


def scheduled(  # noqa: PLR0913  (a schedule's parts)
    cron: str,
    *,
    timezone: str | None = None,
    name: str | None = None,
    queue: str | None = None,
    context: Any = None,
    catch_up: CatchUp = "none",
    overlap: Overlap = "allow",
) -> Callable[[F], F]:
    """Decorator: start a workflow (or a step) at each tick of a cron expression; see ``create_schedule``.

    It stands above ``@workflow``. The function is called with the tick, an aware datetime in ``timezone``
    (default: UTC), and the ``context``. ``name`` defaults to the workflow's. Workers write what code
    declares into the database when they start. Raises InvalidOptionError, ConflictingRegistrationError.
    """
    zone = Recurrence(cron, "UTC" if timezone is None else timezone).timezone
    policy, limit = _caught_up(catch_up)

    def decorate(func: F) -> F:
        target = _declared_target(func)
        definition = ScheduleDefinition(
            name=checked_name(target.definition.name.removeprefix(TEMPORARY) if name is None else name),
            workflow_name=target.definition.name,
            class_name=target.class_name,
            cron=cron,
            timezone=None if timezone is None else zone,
            context=_encoded(context),
            queue_name=None if queue is None else checked_queue_name(queue),
            catch_up=policy,
            catch_up_limit=limit,
            overlap=_checked_overlap(overlap),
        )
        registry.add_schedule(DeclaredSchedule(definition=definition, func=target.definition.func))
        return func

    return decorate


def _declared_target(func: Any) -> Target:
    """Return what a run of a function is whose class, if it has one, is still being made."""
    found = decorated_in(func)
    if not isinstance(found, Decorated):
        return _target(func)
    owner, _, _ = found.func.__qualname__.rpartition(".")
    is_method = bool(owner) and not owner.endswith("<locals>")
    if not isinstance(found, Workflow):
        if is_method and found.binding != "static":
            raise InvalidOptionError(
                f"the step {found.name!r} is a method: schedule a workflow that calls it"
            )
        return target_of(found)
    if found.binding == "class":
        return Target(definition=found.definition, class_name=owner)
    if is_method and found.binding != "static":
        raise _no_instance(found.name)
    return target_of(found)


def _target(func: Any) -> Target:
    """Return what a run of a function is; raises WorkflowFunctionNotFoundError, InvalidOptionError."""
    found = decorated_in(func)
    if isinstance(found, Workflow) and found.binding == "instance":
        raise _no_instance(found.name)
    if isinstance(found, BoundWorkflow) and not isinstance(found.owner, type):
        raise _no_instance(found.name)
    if isinstance(found, Workflow) and found.binding == "class":
        raise InvalidOptionError(f"{found.name!r} is a class method: schedule it through its class")
    return target_of(found)


def _no_instance(name: str) -> InvalidOptionError:
    return InvalidOptionError(
        f"{name!r} is an instance method, and a tick has no instance: schedule a function, static or class "
        f"method"
    )


# Defining


def definition_of(given: ScheduleInput) -> ScheduleDefinition:
    """Return the definition that a dict of parameters means.

    Raises InvalidOptionError, SerializationError, WorkflowFunctionNotFoundError.
    """
    _check_keys(given)
    target = _named_target(given["workflow_fn"], given.get("workflow_class_name"))
    zone = given.get("cron_timezone")
    recurrence = Recurrence(given["schedule"], "UTC" if zone is None else zone)
    if "catch_up" in given and given.get("automatic_backfill"):
        raise InvalidOptionError("automatic_backfill is catch_up='all': give one of them")
    backfills = given.get("automatic_backfill", False)
    policy, limit = _caught_up("all" if backfills else given.get("catch_up", "none"))
    queue = given.get("queue_name")
    return ScheduleDefinition(
        name=checked_name(given["schedule_name"]),
        workflow_name=target[0],
        class_name=target[1],
        cron=recurrence.cron,
        timezone=zone,
        context=_encoded(given.get("context")),
        queue_name=None if queue is None else checked_queue_name(queue),
        catch_up=policy,
        catch_up_limit=limit,
        overlap=_checked_overlap(given.get("overlap", "allow")),
    )


def _check_keys(given: Any) -> None:
    if not isinstance(given, dict):
        raise InvalidOptionError(f"a schedule is a dict, not {type(given).__name__}")
    for name in _REQUIRED:
        if name not in given:
            raise InvalidOptionError(f"a schedule needs {name!r}: {sorted(given)} are given")
    unknown = given.keys() - _KNOWN
    if unknown:
        known = ", ".join(sorted(_KNOWN))
        raise InvalidOptionError(f"unknown option {min(unknown)!r} of a schedule; known are: {known}")


def _named_target(func: Any, class_name: str | None) -> tuple[str, str | None]:
    if isinstance(func, str):
        return func, class_name
    if class_name is not None:
        raise InvalidOptionError("workflow_class_name goes with a workflow's name, not with a function")
    target = _target(func)
    return target.definition.name, target.class_name


def checked_name(name: Any) -> str:
    """Return a schedule's name, or raise InvalidOptionError."""
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH or not is_storable(name):
        raise InvalidOptionError(
            f"a schedule's name is a text of 1 to {NAME_LENGTH} characters, not {name!r}", "name"
        )
    return name


def _caught_up(given: Any) -> tuple[str, int | None]:
    """Return a catch-up policy and its limit."""
    if given in ("none", "last", "all"):
        return str(given), None
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return "all", given
    raise InvalidOptionError(f"catch_up is 'none', 'last', 'all' or a number above zero, not {given!r}")


def _checked_overlap(given: Any) -> str:
    if given not in OVERLAPS:
        raise InvalidOptionError(f"overlap is one of {', '.join(OVERLAPS)}, not {given!r}")
    return str(given)


def _encoded(context: Any) -> str | None:
    if context is None:
        return None
    return ticks.FIRED_AT if context is FIRED_AT else serialization.encode(context, "a schedule's context")
