"""The tags of stored JSON: a module that knows a type adds it here; nothing else is written or read."""

from collections.abc import Callable
from typing import Any

Encoder = Callable[[Any, str, int], Any]
"""Takes a value, its path and its depth; returns plain JSON values."""

Decoder = Callable[[Any], Any]
"""Takes what stands under a tag's ``v``; returns the value."""

ENCODERS: dict[type, Encoder] = {}
"""By the value's own class."""

FAMILIES: dict[type, Encoder] = {}
"""By a base class, for types whose subclasses are all stored alike."""

DECODERS: dict[str, Decoder] = {}
"""By tag."""
