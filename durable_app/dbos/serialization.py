"""How values are stored: the seed's serializers and formats over ours."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any

from durable_app import serialization
from durable_app.arguments import HintsValidator

Validator = Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


class WorkflowSerializationFormat(Enum):
    """In which format a run's values are stored."""

    DEFAULT = None
    NATIVE = "native"
    PORTABLE = "portable"


Format = WorkflowSerializationFormat | str | None


def format_name(chosen: Format) -> str | None:
    """Return our name of a format, None for the default one."""
    return chosen.value if isinstance(chosen, WorkflowSerializationFormat) else chosen


class Serializer(ABC):
    """Base of a program's own way to store values."""

    @abstractmethod
    def serialize(self, data: Any) -> str:
        """Return a value's text."""

    @abstractmethod
    def deserialize(self, serialized_data: str) -> Any:
        """Return a text's value."""

    @abstractmethod
    def name(self) -> str:
        """Return the name that is stored beside each text."""


class DBOSPortableJSONSerializer(Serializer):
    """Plain JSON, as programs in other languages read it."""

    def serialize(self, data: Any) -> str:
        """Return a value's text."""
        return serialization.named(serialization.PORTABLE).write(data, "the value", ())

    def deserialize(self, serialized_data: str) -> Any:
        """Return a text's value."""
        return serialization.named(serialization.PORTABLE).read(serialized_data, ())

    def name(self) -> str:
        """Return the name that is stored beside each text."""
        return serialization.PORTABLE


class DBOSDefaultSerializer(Serializer):
    """Pickle, which is the seed's default and here an option; its texts are signed by the engine."""

    def serialize(self, data: Any) -> str:
        """Not to be called: the engine signs each text for its place."""
        raise NotImplementedError

    def deserialize(self, serialized_data: str) -> Any:
        """Not to be called: the engine reads only what it has signed."""
        raise NotImplementedError

    def name(self) -> str:
        """Return the seed's name for it."""
        return "py_pickle"


class _Adapted:
    """A program's serializer, as ours are."""

    def __init__(self, given: Serializer) -> None:
        self.name = given.name()
        self.serialize, self.deserialize = given.serialize, given.deserialize


def substitute(given: Serializer | None) -> None:
    """Write values with a program's serializer; None: as the settings say."""
    match given:
        case None:
            serialization.substitute(None)
        case DBOSDefaultSerializer():
            serialization.substitute(serialization.PICKLE)
        case DBOSPortableJSONSerializer():
            serialization.substitute(serialization.PORTABLE)
        case _:
            serialization.substitute(_Adapted(given))


# Arguments


def pydantic_args_validator(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """As ``validate_args``: check the arguments by the type hints of the function they are for."""
    return args, kwargs


def make_pydantic_args_validator(func: Callable[..., Any]) -> Validator:
    """Return what checks arguments by a function's type hints."""
    return HintsValidator(func)


def validator(given: Validator | None) -> Validator | bool:
    """Return our ``validate_args``."""
    return True if given is pydantic_args_validator else given or False
