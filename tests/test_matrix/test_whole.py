"""The tables are whole: whatever control, the admin, the API and the commands have stands in one of them."""

import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import URLPattern, URLResolver, resolve

from durable_app import control, exporting
from durable_app.admin.queues.verbs import VERBS as ON_QUEUES
from durable_app.admin.runs.many import ASKED
from durable_app.admin.runs.verbs import VIEWS as ON_RUNS
from durable_app.admin.schedules.links import VERBS as ON_SCHEDULES
from durable_app.admin.workers.verbs import VERBS as ON_WORKERS
from durable_app.api import urls
from durable_app.control.operator import Operator
from durable_app.control.verbs import VERBS
from durable_app.management.commands.durable import ALONE, NOUNS
from tests.test_matrix import test_looks_admin, test_looks_rest, test_runs
from tests.test_matrix.people import ROLES, People
from tests.test_matrix.places import CALLS, CONTROL, PAGES, TYPED
from tests.test_matrix.verbs import MATRIX, PLACES

INNER = {
    "bulk.launch",  # who calls it has checked the permission
    "starting.start",  # "start_like", among the runs' verbs
}
"""Functions of control that are told an operator, and are no verbs of their own."""

NOT_VERBS = {"bulk_operation", "deny", "perform", "require"}
"""What else an operator has."""

SHOWING = {
    "approval get", "approval list", "bulk get", "bulk list", "check", "doctor", "queue get", "queue list",
    "replay", "run doctor", "run events", "run get", "run list", "run result", "run steps", "run tail",
    "schedule get", "schedule list", "schedule next", "version list", "worker list", "workflow list",
    "workflow show",
}  # fmt: skip
"""Commands that only look."""

MAKING_UP = {"bench", "seed"}
"""Commands that make runs of their own up."""


def ours() -> dict[Any, Any]:
    """Return the entries of the admin by model."""
    found = admin.site._registry.items()
    return {model: one for model, one in found if model.__module__.startswith("durable_app.")}


def cells(surface: str) -> set[str]:
    """Return what the table names of a surface."""
    return {row[surface] for row in PLACES.values()} - {"none"}


def test_each_verb_is_used_where_it_is() -> None:
    """A cell that is not "none" has its use, a verb that may be denied somewhere its row of roles."""
    uses = {"control": set(CONTROL), "admin": set(PAGES), "rest": set(CALLS), "terminal": set(TYPED)}
    for surface, verbs in uses.items():
        assert {verb for verb, row in PLACES.items() if row[surface] != "none"} == verbs, surface
    somewhere = {
        verb for verb, row in PLACES.items() if {row["control"], row["admin"], row["rest"]} != {"none"}
    }
    assert somewhere == MATRIX.keys()


def test_every_function_of_control_has_a_row() -> None:
    """Whatever is told who the operator is."""
    modules: list[Any] = [exporting]
    modules += [
        import_module(f"{control.__name__}.{one.name}") for one in pkgutil.iter_modules(control.__path__)
    ]
    found = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in modules
        for name, verb in inspect.getmembers(module, inspect.isfunction)
        if verb.__module__ == module.__name__
        and not name.startswith("_")
        and "operator" in inspect.signature(verb).parameters
    }
    assert found - INNER == cells("control")
    assert found >= INNER


def test_every_method_of_an_operator_is_a_verb_on_runs() -> None:
    """ "start_like" is a function: there is no run yet."""
    methods = {name for name, one in inspect.getmembers(Operator, inspect.isfunction) if name[0] != "_"}
    assert methods - NOT_VERBS == VERBS.keys() - {"start_like"}


def test_every_page_of_the_admin_has_a_row() -> None:
    """Each is looked at in the table of looks; verbs that share a page are told apart."""
    pages = {url.name for one in ours().values() for url in one.get_urls() if url.name}
    looked = {row.partition("?")[0] for row in test_looks_admin.ADMIN}
    assert {name.removeprefix("durable_app_") for name in pages} == looked
    on_pages = {
        *(f"queue_verb {name}" for name in ON_QUEUES),
        *(f"schedule_verb {name}" for name in ON_SCHEDULES),
        *(f"worker_verb {name}" for name in ON_WORKERS),
    }
    assert on_pages == {cell for cell in cells("admin") if "_verb " in cell}
    assert ON_RUNS.keys() == VERBS.keys()
    assert {verb.name for verb in VERBS.values() if verb.is_bulk} == ASKED.keys()


def test_every_endpoint_of_the_api_has_a_row() -> None:
    """Each method of each route: it looks, or it is a verb."""
    on_runs = {
        f"{method.upper()} {resolve(test_runs.API + path.format(id='x')).url_name}"
        for method, path, _body in test_runs.CALLS.values()
    }
    assert set(endpoints()) == test_looks_rest.REST.keys() | cells("rest") | on_runs


def endpoints(patterns: Any = urls.urlpatterns) -> Iterator[str]:
    """Yield the method and the route of each endpoint."""
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from endpoints(one.url_patterns)
        elif isinstance(one, URLPattern) and one.name != "nowhere":
            view: Any = one.callback.cls  # type: ignore[attr-defined]
            yield from (f"{method} {one.name}" for method in view().implemented)


def test_every_command_has_a_row() -> None:
    """It is a verb, on a run or not, or it only looks."""
    commands = {f"{noun.name} {verb.name}" for noun in NOUNS for verb in noun.verbs}
    on_runs = {f"run {words[0]}" for words in test_runs.TYPED.values()}
    found = commands | {verb.name for verb in ALONE}
    assert found == cells("terminal") | on_runs | SHOWING | MAKING_UP


DOCUMENT = Path(__file__).parents[2] / "docs" / "operators.md"


@pytest.mark.django_db
def test_the_documents_say_what_each_group_may(people: People) -> None:
    """The table of docs/operators.md names every permission, and gives it to the groups that have it."""
    section = DOCUMENT.read_text().partition("## Who may what")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    named = set()
    for what, *ticks, last in rows:
        permissions = set(re.findall(r"`(\w+)`", last))
        named |= permissions
        expected = ["✓" if people[role].has_perms(full(permissions)) else "" for role in ROLES[2:]]
        assert [tick.strip() for tick in ticks] == expected, what
    models = [model._meta.model_name for model in ours()]
    asked = Permission.objects.filter(content_type__app_label="durable_app", content_type__model__in=models)
    assert named == set(asked.values_list("codename", flat=True))


def full(codenames: Iterable[str]) -> list[str]:
    return [f"durable_app.{codename}" for codename in codenames]
