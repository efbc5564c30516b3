"""What a workflow takes, as JSON schema: from its type hints, and silent where these are."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, List, Literal, NewType, NotRequired, Optional, TypedDict  # noqa: UP035
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from durable_app import workflow
from durable_app.insight.parameters import _schema, schema, schemas
from durable_app.registry import registry
from tests.test_api.conftest import Api
from tests.test_commands.keyboard import durable


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Address(TypedDict):
    city: str
    country: NotRequired[str]


@dataclass
class Tree:
    name: str
    children: "list[Tree] | None" = None


OrderId = NewType("OrderId", int)


@workflow
def described(
    order: OrderId, address: Address, *more: int, at: datetime | None = None, **labels: str
) -> None: ...


@workflow
def hints_that_cannot_be_read(one: "NoSuchName", two: int = 1) -> None: ...  # type: ignore[name-defined] # noqa: F821


class Depot:
    @workflow
    @classmethod
    def describe_class(cls, one: int) -> None: ...


STRING = {"type": "string"}

HINTS: list[tuple[Any, Any]] = [
    (bool, {"type": "boolean"}),
    (float, {"type": "number"}),
    (None, {"type": "null"}),
    (Decimal, {"type": ["number", "string"]}),
    (date, {"type": "string", "format": "date"}),
    (timedelta, {"type": "string", "format": "duration"}),
    (UUID, {"type": "string", "format": "uuid"}),
    (Optional[str], {"anyOf": [STRING, {"type": "null"}]}),  # noqa: UP045
    (int | object, {}),
    (Literal["a", 1, None], {"enum": ["a", 1, None]}),
    (Literal[b"a"], {}),
    (Size, {"enum": ["s", "l"]}),
    (list, {"type": "array"}),
    (List, {"type": "array"}),  # noqa: UP006
    (list[str], {"type": "array", "items": STRING}),
    (Sequence[Any], {"type": "array", "items": {}}),
    (tuple[str, ...], {"type": "array", "items": STRING}),
    (tuple[str, str], {"type": "array", "prefixItems": [STRING, STRING], "minItems": 2, "maxItems": 2}),
    (Mapping[str, str], {"type": "object", "additionalProperties": STRING}),
    (dict, {"type": "object"}),
    (Annotated[str, ["unhashable"]], STRING),
    *((unknown, {}) for unknown in (Any, object, bytes, complex, Depot, Callable[[int], int], type, ...)),
]


@pytest.mark.parametrize(("hint", "expected"), HINTS, ids=str)
def test_each_kind_of_hint(hint: Any, expected: Any) -> None:
    """The ones that JSON has a word for; the others are anything."""
    assert _schema(hint) == expected
    Draft202012Validator.check_schema(expected)


def test_what_holds_itself_ends() -> None:
    """A tree of trees is described a few levels deep."""
    found = _schema(Tree)
    assert found["required"] == ["name"]
    assert len(json.dumps(found)) < 10_000


def test_the_arguments_of_a_workflow_are_an_object() -> None:
    """Valid by the schema's own schema; it lets pass what fits, and nothing else."""
    found = schema(registry.workflow(described.name))
    Draft202012Validator.check_schema(found)
    checked = Draft202012Validator(found)
    assert checked.is_valid({"order": 1, "address": {"city": "x"}, "at": None, "a label": "y"})
    for wrong in ({"order": 1}, {"order": "1", "address": {"city": "x"}}, {"order": 1, "address": {}}):
        assert not checked.is_valid(wrong)
    assert not checked.is_valid({"order": 1, "address": {"city": "x"}, "a label": 5})
    assert schemas(registry.workflow(hints_that_cannot_be_read.name)) == {"one": {}, "two": {}}
    assert schema(registry.workflow(Depot.describe_class.name))["required"] == ["one"]


@pytest.mark.django_db
def test_programs_and_people_get_the_same(viewer: Api) -> None:
    """REST `/definitions`, and `durable workflow show -o json`; of every workflow there is."""
    found = {one["name"]: one for one in viewer.get("/definitions").json()["results"]}
    for one in found.values():
        Draft202012Validator.check_schema(one["schema"])
    shown = found[described.name]
    assert shown["schema"]["properties"]["order"] == {"type": "integer"}
    assert {one["name"]: one["schema"] for one in shown["parameters"]}["more"] == {"type": "integer"}
    said = durable("workflow", "show", described.name, "-o", "json")
    assert said.json["schema"] == shown["schema"]
