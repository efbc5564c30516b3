"""The API is apart: whoever does not include its URLs needs none of what it stands on."""

import ast
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

import durable_app
from durable_app.api import options
from durable_app.api.base import DurableView
from durable_app.api.problems import KINDS, Problem

PACKAGE = Path(durable_app.__file__).parent


def test_the_framework_is_imported_here_alone() -> None:
    """The package works without the REST framework, the API without drf-spectacular."""
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).parts
        names = imports(path)
        imported = {name.partition(".")[0] for name in names}
        if place[0] != "api":
            assert not imported & {"rest_framework", "drf_spectacular"}, path
            assert not [name for name in names if name.startswith("durable_app.api")], path
        elif place[-1] not in ("inspecting.py", "openapi.py"):
            assert "drf_spectacular" not in imported, path


def imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


def test_every_problem_is_one() -> None:
    """REST, errors. A title and an error's status each; what is raised says both."""
    for code, kind in KINDS.items():
        assert 400 <= kind.status < 600
        assert Problem(code).response().data["title"] == kind.title


@pytest.mark.parametrize(
    "wrong",
    [
        {"STARTABEL": []},
        {"STARTABLE": "*"},
        {"STARTABLE": [1]},
        {"IMPORT": 1},
        {"MAX_BODY": 0},
        {"MAX_BODY": True},
    ],
    ids=str,
)
def test_a_choice_that_is_none_is_said(settings: Any, wrong: dict[str, Any]) -> None:
    """A misspelt name, or a value of another kind."""
    settings.DURABLE = {"API": wrong}
    with pytest.raises(ImproperlyConfigured, match="API"):
        options.options()


def test_the_projects_defaults_are_not_ours() -> None:
    """REST, errors. Its handler, renderers and versions are for its own endpoints."""
    view = DurableView()
    assert view.get_exception_handler().__module__ == "durable_app.api.problems"
    assert view.versioning_class is None
    assert [one.media_type for one in view.renderer_classes] == ["application/json"]
