"""Blocks that say how the workflows started in them are to run."""

from collections.abc import Iterable
from contextvars import Token
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Literal, TypedDict, Unpack

from django.utils.functional import LazyObject

from durable_app import clock
from durable_app.engine.context import (
    Acting,
    Ambient,
    ChosenID,
    ChosenTimeout,
    EnqueueOptions,
    Identity,
    ambient,
)
from durable_app.engine.identity import EVERY_ROLE, checked_roles
from durable_app.engine.launch import checked_id
from durable_app.engine.timers import FAR, seconds_of
from durable_app.errors import DurableError, InvalidOptionError, SerializationError
from durable_app.identifiers import ID_LENGTH, is_storable


class _Block:
    """A context manager that changes what is around; its effect is local to the task."""

    def __init__(self) -> None:
        self._token: Token[Ambient] | None = None

    def _changes(self) -> dict[str, Any]:
        raise NotImplementedError

    def __enter__(self) -> "_Block":
        if self._token is not None:
            raise DurableError(f"This {type(self).__name__} block is open already.")
        self._token = ambient.set(replace(ambient.get(), **self._changes()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            ambient.reset(token)


class SetWorkflowID(_Block):
    """Give the first workflow started in the block this id; later ones get generated ids.

    An id that exists already means the run that has it; with ``workflow_id_reuse_policy="reject"`` it is a
    WorkflowIDInUseError. Raises InvalidWorkflowIDError for an id that is empty, blank or longer than 255
    characters, InvalidOptionError for an unknown policy.
    """

    def __init__(
        self,
        workflow_id: str,
        *,
        workflow_id_reuse_policy: Literal["return-existing", "reject"] = "return-existing",
    ) -> None:
        super().__init__()
        self.workflow_id = checked_id(workflow_id)
        if workflow_id_reuse_policy not in ("return-existing", "reject"):
            raise InvalidOptionError(
                f"workflow_id_reuse_policy is 'return-existing' or 'reject', not {workflow_id_reuse_policy!r}"
            )
        self.rejects_reuse = workflow_id_reuse_policy == "reject"

    def _changes(self) -> dict[str, Any]:
        return {"chosen_id": ChosenID(self.workflow_id, rejects_reuse=self.rejects_reuse)}


class SetWorkflowTimeout(_Block):
    """Cancel the workflows started in the block once they have run this long.

    The timeout, in seconds or a timedelta, counts from the start of execution; None detaches a child
    from its parent's deadline. Raises InvalidOptionError unless it is above zero.
    """

    def __init__(self, timeout: float | timedelta | None) -> None:
        super().__init__()
        self.span: timedelta | None = None
        if timeout is not None:
            seconds = seconds_of(timeout, "a workflow timeout")
            if seconds <= 0:
                raise InvalidOptionError(f"a workflow timeout must be above zero, not {timeout}")
            self.span = timedelta(seconds=min(seconds, FAR.total_seconds()))

    def _changes(self) -> dict[str, Any]:
        return {"timeout": ChosenTimeout(self.span)}


class _QueueOptions(TypedDict, total=False):
    priority: int | None
    app_version: str | None
    queue_partition_key: str | None
    delay_seconds: float | timedelta | None


class SetEnqueueOptions(_Block):
    """Say how the workflows enqueued in the block stand in their queue; their own children do not inherit it.

    ``priority`` from 1, taken first, to 2**31 - 1; without one a run comes before all that have one.
    ``deduplication_id``: only one active run of the queue may have it. With ``duplication_policy``
    "return-existing" another start returns that run's handle; with "reject" it is a QueueDeduplicatedError.
    ``delay_seconds``, or a timedelta: the run is not taken before. ``queue_partition_key``: the part of a
    partitioned queue. ``app_version``: the version that is to run it. Raises InvalidOptionError.
    """

    def __init__(
        self,
        *,
        deduplication_id: str | None = None,
        duplication_policy: Literal["reject", "return-existing"] | None = None,
        **options: Unpack[_QueueOptions],
    ) -> None:
        super().__init__()
        unknown = options.keys() - _QueueOptions.__annotations__.keys()
        if unknown:
            raise InvalidOptionError(f"SetEnqueueOptions has no option {min(unknown)!r}")
        if duplication_policy not in (None, "reject", "return-existing"):
            raise InvalidOptionError(
                f"duplication_policy is 'reject' or 'return-existing', not {duplication_policy!r}"
            )
        joins = duplication_policy == "return-existing"
        if joins and deduplication_id is None:
            raise InvalidOptionError("duplication_policy 'return-existing' needs a deduplication_id")
        delay = options.get("delay_seconds")
        self.options = EnqueueOptions(
            priority=_checked_priority(options.get("priority")),
            deduplication_id=_checked_text(deduplication_id, "deduplication_id"),
            joins_holder=joins,
            partition_key=_checked_text(options.get("queue_partition_key"), "queue_partition_key"),
            delay=None if delay is None else checked_delay(delay),
            app_version=_checked_text(options.get("app_version"), "app_version"),
        )

    def _changes(self) -> dict[str, Any]:
        return {"enqueue": self.options}


def _checked_priority(priority: Any) -> int | None:
    if priority is None:
        return None
    if isinstance(priority, bool) or not isinstance(priority, int) or not 1 <= priority < 2**31:
        raise InvalidOptionError(f"Invalid priority {priority!r}: it is a whole number from 1 to 2**31 - 1")
    return priority


def _checked_text(text: Any, what: str) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str) or not text or len(text) > ID_LENGTH or not is_storable(text):
        raise InvalidOptionError(f"{what} is a text of 1 to {ID_LENGTH} characters, not {text!r}")
    return text


def checked_delay(delay: float | timedelta) -> timedelta:
    """Return a delay; raises InvalidOptionError for one below zero."""
    seconds = seconds_of(delay, "a delay")
    if seconds < 0:
        raise InvalidOptionError(f"a delay must not be below zero, but is {delay}")
    return timedelta(seconds=min(seconds, FAR.total_seconds()))


class SetIdentity(_Block):
    """Say on whose behalf the workflows started in the block run; they keep it, and so do their children.

    ``user`` is a user of Django's, whose groups' names are the roles (a superuser has every role, written
    "*", and an inactive user none), or a text, or None for nobody; or a function that returns one of these.
    ``roles`` are taken instead of the groups. Who it is, and the groups, are looked up when something is
    started first. Raises InvalidOptionError.
    """

    def __init__(self, user: Any, roles: Iterable[str] | None = None) -> None:
        super().__init__()
        given = None if roles is None else checked_roles(roles)
        self._acting = Acting(partial(_identity_of, user, given))
        # Not isinstance(): it would look at what a lazy object hides, such as `request.user`.
        if not callable(user) and not issubclass(type(user), LazyObject) and not _is_django_user(user):
            self._acting.identity()

    def _changes(self) -> dict[str, Any]:
        return {"identity": self._acting}


def _is_django_user(user: Any) -> bool:
    return hasattr(user, "get_username")


def _identity_of(user: Any, roles: tuple[str, ...] | None) -> Identity:
    if callable(user):
        user = user()
    if user is None or isinstance(user, str):
        return Identity(user=_checked_text(user, "a user"), roles=roles)
    if not _is_django_user(user):
        raise InvalidOptionError(f"a user is one of Django's or a text, not {user!r}")
    if not user.is_authenticated:
        return Identity(roles=roles)
    name = _checked_text(user.get_username(), "a user")
    return Identity(user=name, roles=_roles_of(user) if roles is None else roles)


def _roles_of(user: Any) -> tuple[str, ...]:
    """Return the names of a user's groups. (A group called "*" is no key to everything.)"""
    groups = getattr(user, "groups", None)
    if not user.is_active or groups is None:
        return ()
    names = groups.order_by("name").values_list("name", flat=True)
    found = tuple(name for name in names if name != EVERY_ROLE)
    return (EVERY_ROLE, *found) if getattr(user, "is_superuser", False) else found


def moment(given: datetime | float | timedelta) -> datetime:
    """Return a time that is given as such, or as a delay; raises InvalidOptionError for one without zone."""
    if not isinstance(given, datetime):
        return clock.now() + checked_delay(given)
    if given.tzinfo is None:
        raise InvalidOptionError(f"{given} has no time zone: give an aware datetime, or a span")
    return given


class SetWorkflowAttributes(_Block):
    """Attach these attributes, a JSON object, to the workflows started in the block."""

    def __init__(self, attributes: dict[str, Any] | None) -> None:
        super().__init__()
        if attributes is not None and not isinstance(attributes, dict):
            raise SerializationError(f"attributes must be a dict, not {type(attributes).__name__}")
        self.attributes = attributes

    def _changes(self) -> dict[str, Any]:
        return {"attributes": self.attributes}
