"""Who may run what: roles required of the user on whose behalf a workflow or step runs."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction

from durable_app.callables import Decorated
from durable_app.engine.flow import adrive, drive
from durable_app.engine.identity import (
    REQUIRED_ROLES,
    acting,
    checked_roles,
    guarded,
    plainly,
)
from durable_app.errors import DurableError

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


def required_roles(roles: Iterable[str]) -> Callable[[F], F]:
    """Decorator: let only those run a workflow, step or function who have one of these roles.

    Stands above or below ``@workflow`` and the like. An empty list opens it to all, whatever its class
    requires. Whoever is not allowed gets NotAuthorizedError: at a direct call before anything is recorded,
    else as the run's outcome. Raises InvalidOptionError for what are no roles.
    """
    required = checked_roles(roles)

    def decorate(func: Any) -> Any:
        found = _beneath(func)
        if isinstance(found, Decorated):
            found.require(required)
            return func
        if isinstance(func, staticmethod | classmethod):
            return type(func)(_guard(func.__func__, required))
        if not callable(func):
            raise DurableError(f"Only a function can require roles, not {func!r}.")
        return _guard(func, required)

    return decorate


def _beneath(func: Any) -> Any:
    return func.__func__ if isinstance(func, staticmethod | classmethod) else func


def _guard(func: Any, required: tuple[str, ...]) -> Any:
    """Return a function that checks first; what decorates it next finds the roles on it."""
    name = func.__qualname__
    if iscoroutinefunction(func):

        @functools.wraps(func)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await adrive(guarded(name, required, plainly(func, args, kwargs)))

    else:

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return drive(guarded(name, required, plainly(func, args, kwargs)))

    setattr(wrapper, REQUIRED_ROLES, required)
    return wrapper


def default_required_roles(roles: Iterable[str]) -> Callable[[C], C]:
    """Decorator of a class: require these roles for its workflows and steps that say nothing themselves.

    Inherited ones keep what their own class requires. Raises InvalidOptionError for what are no roles.
    """
    required = checked_roles(roles)

    def decorate(cls: Any) -> Any:
        for value in vars(cls).values():
            found = _beneath(value)
            if isinstance(found, Decorated) and found.required_roles is None:
                found.require(required)
        return cls

    return decorate


# Who acts


def authenticated_user() -> str | None:
    """Return the user on whose behalf the code runs: of the block around it, or of the running workflow."""
    return acting().user


def authenticated_roles() -> list[str] | None:
    """Return that user's roles; "*" stands for all of them."""
    roles = acting().roles
    return None if roles is None else list(roles)


def assumed_role() -> str | None:
    """Return the role that allowed the running workflow; None if it requires none, or outside."""
    return acting().assumed_role
