"""What a format does: values, arguments and exceptions to text and back; tagged JSON, and a project's own."""

from typing import Any, Protocol

from durable_app.errors import SerializationError
from durable_app.serialization import exceptions, tagged
from durable_app.serialization.tagged import check_size

JSON = "json"
PORTABLE = "portable_json"
PICKLE = "pickle"

Place = tuple[object, ...]
"""Where a text belongs: its run's id, the field, the position; what a seal is bound to."""

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


class Serializer(Protocol):
    """A project's own way to store values; ``name`` is recorded beside each text."""

    name: str

    def serialize(self, value: Any, /) -> str:
        """Return a value's text."""

    def deserialize(self, text: str, /) -> Any:
        """Return a text's value."""


class Format:
    """Tagged JSON, and what the other formats differ from."""

    name = JSON
    is_shown = True
    """Whether listings decode it."""

    def write(self, value: Any, what: str, place: Place) -> str:
        """Return a value's text; raises SerializationError."""
        return tagged.encode(value, what)

    def read(self, text: str, place: Place) -> Any:
        """Return a text's value; raises SerializationError."""
        return tagged.decode(text)

    def write_inputs(self, inputs: Inputs, what: str, place: Place) -> str:
        """Return the text of a run's arguments."""
        return self.write({"args": list(inputs[0]), "kwargs": inputs[1]}, what, place)

    def read_inputs(self, text: str, place: Place) -> Inputs:
        """Return a run's arguments."""
        found = self.read(text, place)
        return tuple(found["args"]), found["kwargs"]

    def write_error(self, error: BaseException) -> str:
        """Return the text of an exception; never raises."""
        return exceptions.encode_error(error)

    def read_error(self, text: str) -> Exception:
        """Return a text's exception; never raises."""
        return exceptions.decode_error(text)

    def moved(self, text: str, source: Place, target: Place) -> str:
        """Return the text as it is to stand at another place."""
        return text


class Custom(Format):
    """A serializer of the project's own; errors stay the engine's."""

    def __init__(self, serializer: Serializer) -> None:
        self.name = serializer.name
        self.serializer = serializer

    def write(self, value: Any, what: str, place: Place) -> str:
        """Return what the serializer makes of a value."""
        try:
            text: object = self.serializer.serialize(value)
        except Exception as error:
            raise SerializationError(f"{what} cannot be stored by {self.name!r}: {error}") from error
        if not isinstance(text, str) or not _is_storable(text):
            raise SerializationError(f"{self.name!r} made no text of {what} that databases store")
        check_size(text, what)
        return text

    def read(self, text: str, place: Place) -> Any:
        """Return what the serializer makes of a text."""
        try:
            return self.serializer.deserialize(text)
        except Exception as error:
            raise SerializationError(f"stored text cannot be read by {self.name!r}: {error}") from error


def _is_storable(text: str) -> bool:
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False
