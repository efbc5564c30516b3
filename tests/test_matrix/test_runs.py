"""The verbs on runs: who may use them, on each surface. A verb without a row fails."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from durable_app import workflow
from durable_app.admin.runs.many import ASKED
from durable_app.control.operator import Operator, Refused, Result
from durable_app.control.starting import order_like, start
from durable_app.control.verbs import VERBS
from durable_app.errors import PermissionDeniedError
from durable_app.models import AuditEvent, Workflow
from tests.test_admin.pages import LIST, made, verb_page, with_steps
from tests.test_matrix.people import ROLES, TENANTS, People, attempted, became_of, browser, operator_of
from tests.test_matrix.tables import table

pytestmark = pytest.mark.django_db

API = "/api/durable/v1"

MATRIX = table("""
verb          anonymous  nobody  viewer  operator  admin  own   foreign
cancel        denied     denied  denied  done      done   done  missing
resume        denied     denied  denied  done      done   done  missing
run_now       denied     denied  denied  done      done   done  missing
set_priority  denied     denied  denied  done      done   done  missing
retry         denied     denied  denied  done      done   done  missing
fork          denied     denied  denied  done      done   done  missing
rewind        denied     denied  denied  done      done   done  missing
send          denied     denied  denied  done      done   done  missing
start_like    denied     denied  denied  done      done   done  missing
delete        denied     denied  denied  denied    done   done  missing
""")
"""``own`` and ``foreign`` are an administrator's of a tenant, to a run of the tenant and to another one."""

NOT_THERE = {("rest", "start_like", "foreign"): "done"}
"""Where a surface has no such target: the API starts a run by its workflow, not by another run."""


def test_every_verb_has_a_row() -> None:
    """A new one is not forgotten, on any surface."""
    assert MATRIX.keys() == VERBS.keys()
    assert VERBS.keys() == CONTROL.keys() == FORMS.keys() == CALLS.keys() == TYPED.keys()
    assert {verb.name for verb in VERBS.values() if verb.is_bulk} == ASKED.keys()


@workflow(name="matrix.ordered")
def ordered(number: int) -> int:
    return number


def target(verb: str, role: str) -> Workflow:
    """Return a run that a verb is possible on."""
    status = min(VERBS[verb].possible_in - {"SUCCESS"}, default="ERROR")
    user = "somebody" if role == "foreign" else "tenant"
    return with_steps(made(status, name=ordered.name, user=user), "a", "b", fails=True)


Attempt = Callable[[str, Any, Workflow], str]
"""Tries a verb as a user on a run; returns what became of it, in the matrix's words."""


@pytest.mark.parametrize("surface", ["control", "admin", "chosen", "rest"])
def test_every_role_may_do_what_the_table_says_and_nothing_else(people: People, surface: str) -> None:
    """What is not done changes no row; a denial of somebody known is in the audit."""
    for verb, row in MATRIX.items():
        if surface == "chosen" and verb not in ASKED:
            continue
        found = {}
        for role in (*ROLES, *TENANTS):
            run, user = target(verb, role), people[role]
            found[role] = attempted(user, lambda: SURFACES[surface](verb, user, run), verb)  # noqa: B023
        assert found == {role: NOT_THERE.get((surface, verb, role), row[role]) for role in found}, verb


# control


def _start_like(operator: Operator, run: Workflow) -> Result:
    try:
        return start(operator, order_like(run.workflow_id, operator.actor.sees))
    except PermissionDeniedError:
        return Result(target="", outcome="denied")
    except Refused:
        return Result(target="", outcome="failed", is_missing=True)


CONTROL: dict[str, Callable[[Operator, Workflow], Result]] = {
    "cancel": lambda operator, run: operator.cancel([run.workflow_id])[0],
    "resume": lambda operator, run: operator.resume([run.workflow_id])[0],
    "run_now": lambda operator, run: operator.run_now([run.workflow_id])[0],
    "set_priority": lambda operator, run: operator.set_priority([run.workflow_id], priority=3)[0],
    "retry": lambda operator, run: operator.retry([run.workflow_id])[0],
    "fork": lambda operator, run: operator.fork(run.workflow_id, 1),
    "rewind": lambda operator, run: operator.rewind(run.workflow_id, 1),
    "send": lambda operator, run: operator.send([run.workflow_id], "hello")[0],
    "start_like": _start_like,
    "delete": lambda operator, run: operator.delete([run.workflow_id])[0],
}


def by_control(verb: str, user: Any, run: Workflow) -> str:
    result = CONTROL[verb](operator_of(user), run)
    return "missing" if result.is_missing else result.outcome


# admin

FORMS: dict[str, dict[str, Any]] = {
    "cancel": {},
    "resume": {"queue_name": "default"},
    "run_now": {},
    "set_priority": {"priority": 3},
    "retry": {},
    "fork": {"start_step": 1, "queue_name": "default"},
    "rewind": {"start_step": 1, "queue_name": "default"},
    "send": {"message": '"hello"', "topic": "t"},
    "start_like": {"queue_name": "default", "priority": 0, "args": "[1]", "kwargs": "{}"},
    "delete": {},
}


def by_admin(verb: str, user: Any, run: Workflow) -> str:
    return became_of(browser(user).post(verb_page(run, verb), FORMS[verb]))


def by_choosing(verb: str, user: Any, run: Workflow) -> str:
    """Use the list's action on the run's row; a row that is not there is passed over."""
    last = AuditEvent.objects.count()
    action = "delete_selected" if verb == "delete" else verb
    posted = {"action": action, "_selected_action": [run.pk], "confirmed": "1", **FORMS[verb]}
    outcome = became_of(browser(user).post(LIST, posted))
    return "missing" if outcome == "done" and AuditEvent.objects.count() == last else outcome


# REST

CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cancel": ("post", "/workflows/{id}/cancel", {}),
    "resume": ("post", "/workflows/{id}/resume", {}),
    "run_now": ("post", "/workflows/{id}/run-now", {}),
    "set_priority": ("post", "/workflows/verbs", {"verb": "set_priority", "options": {"priority": 3}}),
    "retry": ("post", "/workflows/{id}/retry", {}),
    "fork": ("post", "/workflows/{id}/fork", {"from_step": 1}),
    "rewind": ("post", "/workflows/{id}/rewind", {"from_step": 1}),
    "send": ("post", "/workflows/{id}/messages", {"message": "hello", "topic": "t"}),
    "start_like": ("post", "/workflows", {"workflow": ordered.name, "args": [1]}),
    "delete": ("delete", "/workflows/{id}", {}),
}


def by_rest(verb: str, user: Any, run: Workflow) -> str:
    method, path, body = CALLS[verb]
    if path == "/workflows/verbs":
        body = {**body, "ids": [run.workflow_id]}
    call = getattr(browser(user), method)
    response = call(API + path.format(id=run.workflow_id), body, "application/json")
    if response.status_code == 200 and "results" in (found := response.json()):
        [result] = found["results"]
        return "missing" if "no such run" in result["detail"] else str(result["outcome"])
    return became_of(response)


SURFACES: dict[str, Attempt] = {
    "control": by_control,
    "admin": by_admin,
    "chosen": by_choosing,
    "rest": by_rest,
}


# the terminal: whoever may run manage.py may do everything

TYPED: dict[str, list[str]] = {
    "cancel": ["cancel", "{id}"],
    "resume": ["resume", "{id}"],
    "run_now": ["run-now", "{id}"],
    "set_priority": ["set", "{id}", "--priority", "3"],
    "retry": ["retry", "{id}"],
    "fork": ["fork", "{id}"],
    "rewind": ["rewind", "{id}"],
    "send": ["send", "{id}", '"hello"'],
    "start_like": ["start", ordered.name, "1"],
    "delete": ["delete", "{id}"],
}


@pytest.mark.usefixtures("people")
def test_at_a_terminal_every_verb_is_done_and_recorded() -> None:
    """The operating system's user stands in the audit."""
    for verb, words in TYPED.items():
        run = target(verb, "own")
        AuditEvent.objects.all().delete()
        typed = [word.format(id=run.workflow_id) for word in words]
        call_command("durable", "run", *typed, stdout=io.StringIO(), stderr=io.StringIO())
        event = AuditEvent.objects.get()
        assert (event.outcome, event.actor_kind) == ("done", "cli"), verb
        assert event.verb == ("start" if verb == "start_like" else verb)
