"""Workflows that are unknown, known twice, or could not be given what they ask for."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NewType, Protocol, TypedDict, TypeVar

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.http import HttpRequest

from durable_app import serializable, workflow
from durable_app.registry import Definition, Registry, registry
from tests.test_checks.asking import messages, said


class Colour(Enum):
    RED = 1


@dataclass
class Plain:
    size: int


@serializable
@dataclass
class Known:
    size: int


class Sized(Protocol):
    size: int


class Options(TypedDict):
    size: int


Number = NewType("Number", int)
T = TypeVar("T")

STORABLE: list[Any] = [
    int, str, Any, object, None, float, datetime, Known, User, Sized, Options, Number, T, dict, list[int],
    int | None, Plain | int, Sequence[str], Mapping[str, Any], Literal["a"], Annotated[int, "x"],
    tuple[int, ...],
    "NotThere", Iterator[int] | list[int],
]  # fmt: skip

REFUSED: list[tuple[Any, str]] = [
    (HttpRequest, "value_id: int"),
    (Plain, "@durable_app.serializable  # above class Plain"),
    (Colour, "@durable_app.serializable  # above class Colour"),
    (Plain | None, "@durable_app.serializable  # above class Plain"),
    (list[HttpRequest], "value_id: int"),
    (dict[str, Plain], "@durable_app.serializable"),
    (Callable[[], int], "value_id: int"),
    (threading.Event, "value_id: int"),
    (Iterator[int], "value_id: int"),
    (type[Known], "value_id: int"),
    (Annotated[Plain, "x"], "@durable_app.serializable"),
]


def annotated(hint: Any, **options: Any) -> None:
    """Declare a workflow with a parameter of a kind, beside one that can always be stored."""

    def takes(number: int, value: Any) -> None: ...

    takes.__annotations__["value"] = hint
    workflow(name="checks.takes", **options)(takes)


def test_e004_is_silent_on_what_may_be_stored():
    """E004: what is not known to fail is not spoken of."""
    for hint in STORABLE:
        annotated(hint)
        assert messages() == [], hint


def test_e004_parameters_that_cannot_be_stored(settings: Any):
    """E004: the sentence says which, and where; the hint what to write instead."""
    for hint, way_out in REFUSED:
        annotated(hint)
        (message,) = messages()
        assert message.id == "durable.E004", hint
        assert "The parameter 'value' of the workflow 'checks.takes'" in message.msg
        assert "test_code.py:" in message.msg
        assert str(message.hint).startswith(way_out), hint
    annotated(Plain, validate_args=lambda args, kwargs: None)
    assert messages() == [], "whoever checks arguments may make them of others"
    annotated(Plain)
    settings.DURABLE = {"SERIALIZER": "pickle"}
    assert said() == ["durable.W011"]


def test_e003_two_functions_of_one_name_in_a_module(monkeypatch: pytest.MonkeyPatch):
    """E003: both places; what is made anew later, such as by a reload, is nothing to speak of."""

    def first() -> None: ...
    def second() -> None: ...

    one = Definition(name="twice", func=first, is_async=False)
    other = replace(one, func=second)
    fresh = Registry()
    fresh.add_workflow(one)
    fresh.add_workflow(one)
    assert fresh.duplicates == []
    fresh.add_workflow(other)
    monkeypatch.setattr(registry, "duplicates", fresh.duplicates)
    (message,) = messages()
    assert message.id == "durable.E003"
    assert f"{one.location} and {other.location}" in message.msg
    assert str(message.hint).startswith('@workflow(name="twice_2")')

    fresh.note_loaded()
    fresh.add_workflow(one)
    assert len(fresh.duplicates) == 1


SOURCES = {
    "workflows.py": "from durable_app import workflow\n@workflow\ndef known(): ...\n",
    "tasks.py": "import durable_app\n\n@durable_app.workflow(name='x')\nasync def forgotten(): ...\n",
    "jobs.py": "from durable_app import scheduled\n@scheduled('0 3 * * *')\ndef nightly(): ...\n",
    "views.py": '"""Shows durable_app:\n\n@workflow\ndef example(): ...\n"""\n',
    "broken.py": "from durable_app import workflow\n@workflow\ndef (:\n",
    "test_tasks.py": "from durable_app import workflow\n@workflow\ndef tested(): ...\n",
}


def test_w022_modules_that_nothing_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """W022: the file, the line, and the import to add; the app's own ``workflows`` is always imported."""
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    shop = SimpleNamespace(name="little", path=str(tmp_path))
    monkeypatch.setattr(apps, "get_app_configs", lambda: [shop])
    known = SimpleNamespace(func=SimpleNamespace(__module__="little.workflows"))
    monkeypatch.setattr(registry, "loaded", (known,))
    jobs, tasks = [message for message in messages() if message.id == "durable.W022"]
    assert f"{tmp_path}/jobs.py:3 declares a workflow, and nothing imports little.jobs" in jobs.msg
    assert f"{tmp_path}/tasks.py:4" in tasks.msg
    assert str(tasks.hint).startswith("from little import tasks")
    monkeypatch.setattr(
        registry,
        "loaded",
        tuple(
            SimpleNamespace(func=SimpleNamespace(__module__=f"little.{name}"))
            for name in ("workflows", "tasks", "jobs")
        ),
    )
    assert messages() == []
