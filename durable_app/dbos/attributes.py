"""How a class that is a table of contents is written: its attributes are functions, or what these return."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")


class Verb(Generic[F]):
    """A function as an attribute of a class: a ``staticmethod`` that keeps generic signatures."""

    def __init__(self, function: F) -> None:
        self._function = function

    def __get__(self, instance: object, owner: type | None = None) -> F:
        return self._function


class Shared(Generic[R]):
    """An attribute of a class that is computed when it is asked for."""

    def __init__(self, read: Callable[[], R]) -> None:
        self._read = read

    def __get__(self, instance: object, owner: type | None = None) -> R:
        return self._read()
