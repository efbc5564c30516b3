"""Pages that are found by where the last one ended, however deep they lie: no counts, no offsets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core import signing
from django.core.exceptions import SuspiciousOperation
from django.db.models import Q

_signer = signing.Signer(salt="durable_app.keyset")


class WrongCursor(SuspiciousOperation):
    """A cursor that no page of ours links to: 400, never 500."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """An order of rows that an index serves. Its last field is unique."""

    label: Any = ""
    fields: tuple[str, ...] = ("-pk",)
    """Names as in ``order_by``; none of them may be null in rows that ``within`` lets through."""
    within: Q = Q()
    """Which rows have this order."""

    def reversed_fields(self) -> tuple[str, ...]:
        """Return the order from the other end."""
        return tuple(name[1:] if name.startswith("-") else f"-{name}" for name in self.fields)


def beyond(fields: Sequence[str], values: Sequence[Any]) -> Q:
    """Return the condition of what comes after these values in an order."""
    condition = Q(pk__in=[])
    equal = Q()
    for field, value in zip(fields, values, strict=True):
        name, lookup = (field[1:], "lt") if field.startswith("-") else (field, "gt")
        condition |= equal & Q(**{f"{name}__{lookup}": value})
        equal &= Q(**{name: value})
    return condition


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """Where a page begins: after a row, in the list's direction or against it."""

    order: str
    """The name of the list and its order: a cursor is good for no other."""
    is_forward: bool
    values: tuple[Any, ...]

    def text(self) -> str:
        """Return the cursor as a link carries it."""
        values = [{"at": one.isoformat()} if isinstance(one, datetime) else one for one in self.values]
        return _signer.sign_object([self.order, self.is_forward, values], compress=False)

    @classmethod
    def of(cls, text: str) -> "Cursor":
        """Return the cursor of a link, or raise WrongCursor."""
        try:
            order, is_forward, values = _signer.unsign_object(text)
            rich = tuple(_rich(value) for value in values)
        except (signing.BadSignature, LookupError, ValueError, TypeError) as error:
            raise WrongCursor("This is no cursor of ours.") from error
        if not all(isinstance(one, int | str | datetime) for one in rich):
            raise WrongCursor("This is no cursor of ours.")
        return cls(order=order, is_forward=is_forward, values=rich)


def _rich(value: Any) -> Any:
    return datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value
