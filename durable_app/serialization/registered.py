"""The project's own types in tagged JSON: enums, dataclasses, pydantic models, and model instances."""

from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from django.apps import apps
from django.db.models import Model

from durable_app.errors import SerializationError
from durable_app.serialization.tagged import plain, plain_dict, rich
from durable_app.serialization.tags import DECODERS, ENCODERS, FAMILIES

T = TypeVar("T")


def serializable(cls: type[T]) -> type[T]:
    """Class decorator: let an enum, a dataclass or a pydantic model be stored, under its dotted name.

    Raises TypeError for any other class.
    """
    if not (issubclass(cls, Enum) or is_dataclass(cls) or hasattr(cls, "model_validate")):
        raise TypeError(f"{cls.__name__} is no enum, dataclass or pydantic model")
    name = f"{cls.__module__}.{cls.__qualname__}"
    ENCODERS[cls] = partial(_encoded, name)
    DECODERS[name] = partial(_built, cls)
    return cls


def _encoded(name: str, value: Any, path: str, depth: int) -> Any:
    if isinstance(value, Enum):
        return {"$t": name, "v": value.name}
    if is_dataclass(value):
        data = {f.name: getattr(value, f.name) for f in fields(value) if f.init}
        return {"$t": name, "v": plain_dict(data, path, depth)}
    return {"$t": name, "v": value.model_dump(mode="json")}


def _built(cls: Any, value: Any) -> Any:
    if issubclass(cls, Enum):
        return cls[value]
    if hasattr(cls, "model_validate"):
        return cls.model_validate(value)
    return cls(**rich(value))


# Model instances are stored as a reference, and come back as their row stands then.


def _reference(value: Model, path: str, depth: int) -> Any:
    if value.pk is None:
        raise SerializationError(f"the unsaved {type(value).__name__} at {path} has no key to be found by")
    using = value._state.db or "default"
    key = plain(value.pk, path, 0)
    return {"$t": "model", "v": [value._meta.label_lower, using, key]}


def _referred(value: list[Any]) -> Any:
    label, using, key = value
    model = apps.get_model(label)
    return model._base_manager.using(using).get(pk=rich(key))


FAMILIES[Model] = _reference
DECODERS["model"] = _referred


def reads_database(text: str | None) -> bool:
    """Return whether decoding may run a query (it holds a model instance)."""
    return text is not None and '"$t":"model"' in text
