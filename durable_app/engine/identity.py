"""On whose behalf code acts, and whether that is enough for what it wants to run."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from durable_app.engine.context import NOBODY, Acting, Identity, Scope, ambient, current
from durable_app.engine.flow import Flow, UserCode
from durable_app.errors import InvalidOptionError, NotAuthorizedError

T = TypeVar("T")

EVERY_ROLE = "*"
"""The role of those who hold all of them."""


REQUIRED_ROLES = "durable_required_roles"
"""The attribute under which a function that is not yet decorated keeps the roles it requires."""


def acting(parent: Scope | None = None) -> Identity:
    """Return on whose behalf the code acts: the nearest block's word, else the running workflow's."""
    said = ambient.get().identity
    if said is not None:
        return said.identity() if isinstance(said, Acting) else said
    scope = parent or current.get()
    return NOBODY if scope is None else scope.execution.identity


def settled() -> Flow[None]:
    """Look up who acts if nobody has yet: that may be a query, and flows may run on an event loop."""
    said = ambient.get().identity
    if isinstance(said, Acting) and not said.is_known:
        yield UserCode(said.identity)


def authorized(name: str, required: tuple[str, ...], identity: Identity) -> Identity:
    """Return the identity in the first of the required roles that it has.

    Nothing required is open to all, and leaves the role as it is. Raises NotAuthorizedError.
    """
    if not required:
        return identity
    role = role_for(required, identity)
    if role is None:
        raise NotAuthorizedError(name, required, identity.user)
    return replace(identity, assumed_role=role)


def role_for(required: tuple[str, ...], identity: Identity) -> str | None:
    """Return the first of these roles that the identity has, None if it has none."""
    held = identity.roles or ()
    has_all = EVERY_ROLE in held
    return next((role for role in required if has_all or role in held), None)


def guarded(name: str, required: tuple[str, ...], flow: Flow[T]) -> Flow[T]:
    """Run a flow if who acts has one of these roles; raises NotAuthorizedError."""
    yield from settled()
    authorized(name, required, acting())
    return (yield from flow)


def plainly(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[Any]:
    """Call a function."""
    value = yield UserCode(func, *args, **kwargs)
    return value


def checked_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """Return names of roles; raises InvalidOptionError for anything but a collection of texts."""
    found: tuple[Any, ...] = () if isinstance(roles, str) else tuple(roles)
    if isinstance(roles, str) or not all(isinstance(one, str) and one.strip() for one in found):
        raise InvalidOptionError(f"roles are a list of names, not {roles!r}")
    return found
