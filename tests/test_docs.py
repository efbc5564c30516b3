"""The documents tell the truth: the first example runs, and nothing is left unmentioned."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from durable_app import WorkflowHandle, errors
from durable_app.conf import Options
from durable_app.models import Status, Workflow
from durable_app.models.workflow import TRANSITIONS
from durable_app.registry import registry
from durable_app.worker.worker import Worker
from tests.helpers import wait_for_status
from tests.shop.models import Order

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ARROW = re.compile(r"^\s*(\[\*\]|[A-Z_]+) --> (\[\*\]|[A-Z_]+)", re.MULTILINE)


def documents() -> str:
    """Return all that `docs/` says; an empty folder is an error, not silence."""
    assert PAGES, "docs/ has no pages"
    return "\n".join(page.read_text() for page in PAGES)


def unmentioned(names: list[str]) -> list[str]:
    """Return the names that no page has as a word of its own."""
    words = set(re.findall(r"\w+", documents()))
    return [name for name in names if name not in words]


def test_the_readme_is_short_and_shows_code_at_once():
    """At most 150 lines; the first example begins by line 30."""
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    first = BLOCK.search(text)
    assert first is not None, "README.md has no example"
    assert text[: first.start()].count("\n") + 1 <= 30


@pytest.mark.django_db(transaction=True)
def test_the_first_example_of_the_readme_does_what_it_says(monkeypatch):
    """It starts, reserves, charges once, sleeps a day in a row of the database, and returns the receipt."""
    monkeypatch.setattr(registry, "workflows", {})
    monkeypatch.setattr(registry, "steps", {})
    charges: list[str] = []
    order = Order.objects.create(number="1")
    world: dict[str, Any] = {
        "__name__": "readme",
        "Order": Order,
        "order": order,
        "payments": SimpleNamespace(charge=lambda pk, idempotency_key: pay(charges, idempotency_key)),
    }
    exec(compile(first_example(), str(README), "exec"), world)
    handle: WorkflowHandle[str] = world["handle"]
    with Worker(threads=1):
        wait_for_status(handle.workflow_id, Status.WAITING)
        order.refresh_from_db()
        assert order.status == "reserved"
        Workflow.objects.update(status=Status.ENQUEUED, wake_at=None)
        wait_for_status(handle.workflow_id, Status.WAITING)
    assert charges == [f"order-{order.pk}"]
    Workflow.objects.get().steps.filter(name="durable.sleep").update(output=YESTERDAY)
    Workflow.objects.update(status=Status.ENQUEUED, wake_at=None)
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == "receipt 1"
    assert charges == [f"order-{order.pk}"]


YESTERDAY = '{"$t":"datetime","v":"2020-01-01T00:00:00+00:00"}'


def first_example() -> str:
    found = BLOCK.search(README.read_text())
    assert found is not None, "README.md has no example"
    return found[1]


def pay(charges: list[str], key: str) -> str:
    charges.append(key)
    return f"receipt {len(charges)}"


def test_every_python_example_is_python():
    """A typing error in a document is a bug."""
    for page in (README, *PAGES):
        for block in BLOCK.findall(page.read_text()):
            ast.parse(block, str(page))


def test_the_drawn_states_are_those_of_the_code():
    """docs/concepts.md: its diagram and `TRANSITIONS` are the same set of moves."""
    text = (ROOT / "docs" / "concepts.md").read_text()
    diagram = re.search(r"^```mermaid\nstateDiagram-v2\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert diagram is not None, "docs/concepts.md has no state diagram"
    drawn = ARROW.findall(diagram[1])
    assert len(drawn) == len(set(drawn))
    moves = {(source, target) for source, target in drawn if "[*]" not in (source, target)}
    assert moves == {(str(source), str(target)) for source in TRANSITIONS for target in TRANSITIONS[source]}
    starts = {target for source, target in drawn if source == "[*]"}
    assert starts == {"ENQUEUED", "DELAYED", "PENDING"}


def test_every_status_is_explained():
    """What a user meets in the admin stands in the documents."""
    assert unmentioned([status.value for status in Status]) == []


def test_every_setting_is_explained():
    """Each option of `DURABLE`, by its name."""
    assert unmentioned([field.name for field in fields(Options)]) == []


def test_every_error_is_explained():
    """Each class of `durable_app.errors`, by its name."""
    classes = [
        name
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, BaseException) and found.__module__.startswith(errors.__name__)
    ]
    assert len(classes) > 20
    assert unmentioned(classes) == []


def test_every_command_is_explained():
    """Each management command with each of its own options."""
    folder = ROOT / "durable_app" / "management" / "commands"
    commands = {path.stem: path.read_text() for path in folder.glob("[a-z]*.py")}
    assert "durable_worker" in commands
    assert unmentioned(list(commands)) == []
    options = {option for text in commands.values() for option in re.findall(r'"(--[a-z-]+)"', text)}
    text = documents()
    assert [option for option in sorted(options) if option not in text] == []


def test_every_system_check_is_explained():
    """Each id that `manage.py check` may print."""
    found = (path.read_text() for path in (ROOT / "durable_app").rglob("*.py"))
    ids = {one for text in found for one in re.findall(r'"(durable\.[EWI]\d{3})"', text)}
    assert len(ids) > 20
    page = (ROOT / "docs" / "checks.md").read_text()
    listed = re.findall(r"^\| `(durable\.[EWI]\d{3})`", page, re.MULTILINE)
    assert sorted(ids) == sorted(listed)


def test_links_between_the_documents_lead_somewhere():
    """A relative link names a file that exists."""
    for page in (README, *PAGES):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
