"""Values and exceptions ⇄ text: the one place that knows how anything is stored.

The engine's own values are tagged JSON (``encode``, ``decode``). A user's values are written in a ``Format``
whose name the row records: the project's (``chosen``) or the one that is ``wanted``.
"""

from durable_app.serialization import places
from durable_app.serialization.enabled import (
    check,
    chosen,
    moved,
    named,
    read,
    read_error,
    shown,
    shown_inputs,
    substitute,
    wanted,
    write_error,
)
from durable_app.serialization.exceptions import TRACEBACK_CHARACTERS, decode_error, encode_error
from durable_app.serialization.formats import JSON, PICKLE, PORTABLE, Format, Inputs, Place, Serializer
from durable_app.serialization.registered import reads_database, serializable
from durable_app.serialization.tagged import MAX_DEPTH, decode, decode_or_text, encode

FORMAT = JSON
"""What the column ``serialization`` says of rows written in tagged JSON."""

__all__ = [
    "FORMAT",
    "JSON",
    "MAX_DEPTH",
    "PICKLE",
    "PORTABLE",
    "TRACEBACK_CHARACTERS",
    "Format",
    "Inputs",
    "Place",
    "Serializer",
    "check",
    "chosen",
    "decode",
    "decode_error",
    "decode_or_text",
    "encode",
    "encode_error",
    "moved",
    "named",
    "places",
    "read",
    "read_error",
    "reads_database",
    "serializable",
    "shown",
    "shown_inputs",
    "substitute",
    "wanted",
    "write_error",
]
