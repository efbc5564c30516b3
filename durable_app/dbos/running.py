"""What the running code may ask of itself, as attributes of ``DBOS``."""

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from durable_app.dbos.config import DBOSConfig
from durable_app.dbos.process import process

R = TypeVar("R")

logger = logging.getLogger("durable_app")


class Shared(Generic[R]):
    """An attribute of a class that is computed when it is asked for."""

    def __init__(self, read: Callable[[], R]) -> None:
        self._read = read

    def __get__(self, instance: object, owner: type | None = None) -> R:
        return self._read()


def config() -> DBOSConfig | None:
    """Return the configuration."""
    return process.config


def nothing() -> Any:
    """Return None, for what there is no counterpart of: a span, a tracer, a shard."""
    return None
