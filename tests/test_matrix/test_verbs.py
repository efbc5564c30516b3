"""Role by verb by surface, for all verbs but those on one run."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from durable_app.models import AuditEvent, BulkOperation
from durable_app.registry import registry
from durable_app.store import versions
from tests.test_matrix import places
from tests.test_matrix.people import People, attempted
from tests.test_matrix.tables import table
from tests.test_matrix.verbs import MATRIX, PLACES, question, subject

pytestmark = pytest.mark.django_db

HOW: dict[str, Callable[[str, Any, Any], str]] = {
    "control": places.by_control,
    "admin": places.by_admin,
    "rest": places.by_rest,
}

NAMES: dict[str, Callable[[str, Any], str]] = {
    "admin": places.page_of,
    "rest": places.route_of,
    "terminal": lambda verb, it: " ".join(places.TYPED[verb](it)[: PLACES[verb]["terminal"].count(" ") + 1]),
}


@pytest.fixture(autouse=True)
def no_declarations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process declare no schedules: what is synchronized is none of the suite's."""
    monkeypatch.setattr(registry, "schedules", {})
    yield


def verbs_of(surface: str) -> list[str]:
    """Return the verbs that a surface has."""
    return [verb for verb, row in PLACES.items() if row[surface] != "none"]


@pytest.mark.parametrize("surface", HOW)
def test_every_role_may_do_what_the_table_says_and_nothing_else(people: People, surface: str) -> None:
    """What is not done changes no row; a denial of somebody known, and what is done, is in the audit."""
    for verb in verbs_of(surface):
        expected = {role: what for role, what in MATRIX[verb].items() if what != "-"}
        found = {}
        for role in expected:
            user = people[role]
            it = subject(verb, role, user)
            found[role] = attempted(user, lambda: HOW[surface](verb, user, it), f"{surface} {verb}")  # noqa: B023
        assert found == expected, f"{surface} {verb}"


def test_at_a_terminal_everything_is_done_and_recorded(people: People) -> None:
    """Whoever may run manage.py may do everything; the operating system's user stands in the audit."""
    versions.register("v1")
    for verb in verbs_of("terminal"):
        it = subject(verb, "admin", people["admin"])
        AuditEvent.objects.all().delete()
        places.at_terminal(verb, it)
        recorded = AuditEvent.objects.values_list("outcome", "actor_kind")
        assert list(recorded) == [("done", "cli")], verb


@pytest.mark.parametrize("surface", NAMES)
def test_each_verb_is_used_where_the_table_says(people: People, surface: str) -> None:
    """The names of pages, routes and commands are those that the tests above have used."""
    expected = {verb: PLACES[verb][surface] for verb in verbs_of(surface)}
    admin = people["admin"]
    assert {verb: NAMES[surface](verb, subject(verb, "admin", admin)) for verb in expected} == expected


QUESTIONS = table("""
asked              anonymous  nobody  viewer  operator  admin   member  holder
of anybody         denied     denied  denied  done      done    done    denied
of a group         denied     denied  denied  denied    denied  done    denied
by a permission    denied     denied  denied  denied    denied  denied  done
of a group by one  denied     denied  denied  denied    denied  denied  denied
""")
"""A member is an operator of the group, a holder a viewer with the permission that the question names."""

ASKED: dict[str, dict[str, str]] = {
    "of anybody": {},
    "of a group": {"group": "finance"},
    "by a permission": {"permission": "auth.add_group"},
    "of a group by one": {"group": "finance", "permission": "auth.add_group"},
}


@pytest.mark.parametrize("surface", HOW)
def test_a_question_is_answered_by_those_it_is_addressed_to(people: People, surface: str) -> None:
    """Its group and its permission: the general one does not do instead."""
    for asked, expected in QUESTIONS.items():
        found = {}
        for role in expected:
            user, it = people[role], question(**ASKED[asked])
            found[role] = attempted(user, lambda: HOW[surface]("approvals.answer", user, it), asked)  # noqa: B023
        assert found == expected, asked


STOPPING = table("""
operation    viewer  forker  canceller  admin
that forks   denied  done    done       done
""")


@pytest.mark.parametrize("surface", HOW)
def test_an_operation_is_stopped_by_those_who_may_begin_it_or_cancel_runs(
    people: People, surface: str
) -> None:
    """A bulk operation that retries runs: on every surface the same."""
    for operation, expected in STOPPING.items():
        found = {}
        for role in expected:
            user = people[role]
            it = subject("bulk.cancel", role, user)
            BulkOperation.objects.update(verb="retry")
            found[role] = attempted(user, lambda: HOW[surface]("bulk.cancel", user, it), operation)  # noqa: B023
        assert found == expected, operation
