"""What the running code may ask of itself, as attributes of ``DBOS``."""

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from durable_app import public as ours
from durable_app.dbos import executors
from durable_app.dbos.config import DBOSConfig
from durable_app.dbos.process import process
from durable_app.engine.identity import acting

R = TypeVar("R")

logger = logging.getLogger("durable_app")


class Shared(Generic[R]):
    """An attribute of a class that is computed when it is asked for."""

    def __init__(self, read: Callable[[], R]) -> None:
        self._read = read

    def __get__(self, instance: object, owner: type | None = None) -> R:
        return self._read()


def authenticated_user() -> str | None:
    """Return the user on whose behalf the code runs."""
    return acting().user


def authenticated_roles() -> list[str] | None:
    """Return that user's roles."""
    roles = acting().roles
    return None if roles is None else list(roles)


def assumed_role() -> str | None:
    """Return the role that allowed the run."""
    return acting().assumed_role


def application_version() -> str:
    """Return the version of this process's code; empty if runs are not pinned to one."""
    return ours.application_version()


def executor_id() -> str:
    """Return the name of this process."""
    return executors.executor_id()


def config() -> DBOSConfig | None:
    """Return the configuration."""
    return process.config


def nothing() -> Any:
    """Return None, for what there is no counterpart of: a span, a tracer, a shard."""
    return None
