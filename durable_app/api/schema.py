"""What endpoints say of themselves for OpenAPI, by drf-spectacular; without it there is no document, no more.

Queries, bodies and needs are read from the view; ``documented`` adds what only a method knows.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from rest_framework import serializers
from rest_framework.schemas.inspectors import DefaultSchema

from durable_app.api.problems import KINDS

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What a method says of itself."""

    name: str
    answers: Mapping[int, Any]
    problems: tuple[str, ...]


def documented(name: str, *, answers: Mapping[int, Any], problems: Iterable[str] = ()) -> Callable[[T], T]:
    """Describe a method: its operation id ("durable_" comes before), its answers, and further problems.

    An answer is a serializer's class, None for no body, or a media type and what it holds:
    ``("text/event-stream", str)``.
    """
    document = Document(name=name, answers=answers, problems=tuple(problems))

    def mark(method: Any) -> Any:
        method.document = document
        return method

    return mark


def paged(serializer: type[serializers.BaseSerializer[Any]]) -> Any:
    """Return the serializer's class of a page of these rows."""
    name = serializer.__name__.removesuffix("Serializer")
    cursor = serializers.CharField(allow_null=True, help_text="Goes into the parameter `cursor`.")
    fields = {
        "__doc__": f"A page of a list: {name}.",
        "results": serializer(many=True),
        "next": cursor,
        "previous": serializers.CharField(allow_null=True),
    }
    return type(f"{name}PageSerializer", (serializers.Serializer,), fields)


class PlaceSerializer(serializers.Serializer[Any]):
    """What is wrong, and where: a JSON pointer into the body, or the name of a parameter."""

    pointer = serializers.CharField(required=False)
    parameter = serializers.CharField(required=False)
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem as RFC 9457 has it."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.ChoiceField(choices=sorted(KINDS))
    detail = serializers.CharField()
    errors = PlaceSerializer(many=True, required=False)  # type: ignore[assignment]
    run_status = serializers.CharField(required=False, help_text="The state that does not allow the verb.")
    allowed = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="The verbs that it allows."
    )


def auto_schema() -> Any:
    """Return what describes an endpoint, whatever the project's own endpoints have."""
    try:
        from durable_app.api.inspecting import DurableSchema  # noqa: PLC0415  (drf-spectacular may be missing)
    except ImportError:
        return DefaultSchema()
    return DurableSchema()
