"""``from durable_app import ...``: sorted, complete, and possible while Django loads its apps."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import durable_app

PROJECT = """
from django.conf import settings
import django

settings.configure(
    SECRET_KEY="x",
    INSTALLED_APPS=["early", "durable_app"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "early.sqlite3"}},
)
django.setup()

import early.models
from durable_app.registry import registry

assert "early.models.greet" not in registry.workflows and "greet" in registry.workflows
django.core.management.call_command("migrate", verbosity=0)
assert early.models.greet("you") == "hello you"
print("worked")
"""

MODELS = """
from django.apps import apps
from django.db import models

assert not apps.models_ready
import durable_app
from durable_app import *

for name in durable_app.__all__:
    assert getattr(durable_app, name) is globals()[name], name


class Greeting(models.Model):
    text = models.TextField()


@step
def hello(name):
    return f"hello {name}"


@workflow
def greet(name):
    return hello(name)
"""


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{folder}"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )


def test_the_exported_names_are_sorted_unique_and_importable() -> None:
    """Habit 6: the root exports the whole vocabulary."""
    names = list(durable_app.__all__)
    assert names == sorted(set(names))
    for name in names:
        assert getattr(durable_app, name) is not None
    assert set(names) <= set(dir(durable_app))


BLOCKING = """
    cancel_workflow cancel_workflows delete_workflow delete_workflows fork_workflow get_all_events get_event
    get_result get_workflow_status list_workflow_steps list_workflows recv resume_workflow resume_workflows
    retrieve_workflow rewind_workflow run_step send set_event sleep start_workflow
    apply_schedules backfill_schedule create_schedule delete_schedule get_schedule list_schedules
    pause_schedule resume_schedule trigger_schedule
"""


@pytest.mark.parametrize("verb", BLOCKING.split())
def test_every_blocking_verb_has_an_async_twin_with_the_same_parameters(verb: str) -> None:
    """65. The twin's name begins with ``a``, as Django's do."""
    parameters = inspect.signature(getattr(durable_app, f"a{verb}")).parameters
    expected = inspect.signature(getattr(durable_app, verb)).parameters
    assert list(parameters) == list(expected)
    for name, parameter in parameters.items():
        assert (parameter.kind, parameter.default) == (expected[name].kind, expected[name].default)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        durable_app.nonsense  # noqa: B018


def test_importing_the_package_alone_needs_no_settings(tmp_path: Path) -> None:
    """41. The root may be imported before Django is configured at all."""
    done = python("import durable_app; print('imported')", tmp_path)
    assert done.stdout == "imported\n", done.stderr


def test_every_name_can_be_imported_in_a_models_py(tmp_path: Path) -> None:
    """23. Also in an app that is loaded before ours, and workflows may live there."""
    app = tmp_path / "early"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "models.py").write_text(MODELS)
    done = python(PROJECT, tmp_path)
    assert done.stdout == "worked\n", done.stderr
