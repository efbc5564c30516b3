"""Who may do what, and where: role by verb by surface, one table for all of them.

The roles are the groups that ``durable roles`` makes. A verb without a row fails.
"""

import inspect
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from durable_app import workflow
from durable_app.control import queues, schedules, workers
from durable_app.control.actors import Actor, Policy
from durable_app.control.operator import Operator, Refused, Result
from durable_app.control.starting import order_like, start
from durable_app.control.verbs import VERBS
from durable_app.errors import PermissionDeniedError
from durable_app.models import AuditEvent, Message, Workflow
from durable_app.registry import ScheduleDefinition
from tests.test_admin.pages import made, verb_page, with_steps

pytestmark = pytest.mark.django_db

API = "/api/durable/v1"

MATRIX = """
                anonymous   viewer      operator    admin       own         foreign
cancel          denied      denied      done        done        done        missing
resume          denied      denied      done        done        done        missing
run_now         denied      denied      done        done        done        missing
set_priority    denied      denied      done        done        done        missing
retry           denied      denied      done        done        done        missing
fork            denied      denied      done        done        done        missing
rewind          denied      denied      done        done        done        missing
send            denied      denied      done        done        done        missing
start_like      denied      denied      done        done        done        missing
delete          denied      denied      denied      done        done        missing
"""
"""``own`` and ``foreign`` are an administrator's of a tenant, to a run of the tenant and to another one."""

_HEAD, *_LINES = [line.split() for line in MATRIX.strip().splitlines()]
ROLES = tuple(_HEAD)
EXPECTED = {line[0]: dict(zip(ROLES, line[1:], strict=True)) for line in _LINES}

NOT_THERE = {("rest", "start_like", "foreign"): "done"}
"""Where a surface has no such target: the API starts a run by its workflow, not by another run."""


def test_every_verb_has_a_row() -> None:
    """A new one is not forgotten, on any surface."""
    assert EXPECTED.keys() == VERBS.keys()
    assert VERBS.keys() == CONTROL.keys() == FORMS.keys() == CALLS.keys() == TYPED.keys()


@workflow(name="matrix.ordered")
def ordered(number: int) -> int:
    return number


class Tenants(Policy):
    """People see the runs that bear their name."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.filter(user="tenant") if actor.label == "tenant" else runs


@pytest.fixture
def people(settings: Any) -> dict[str, Any]:
    """Return a user for each role; the tenant is one, with a policy."""
    settings.DURABLE = {"POLICY": f"{__name__}.Tenants", "API": {"STARTABLE": ["matrix.*"]}}
    cache.clear()
    call_command("durable", "roles", stdout=io.StringIO(), stderr=io.StringIO())
    groups = {"viewer": "viewers", "operator": "operators", "admin": "admins", "tenant": "admins"}
    found: dict[str, Any] = {"anonymous": AnonymousUser()}
    for name, group in groups.items():
        user = User.objects.create_user(name, is_staff=True)
        user.groups.add(Group.objects.get(name=f"Durable {group}"))
        found[name] = User.objects.get(pk=user.pk)
    found["own"] = found["foreign"] = found["tenant"]
    AuditEvent.objects.all().delete()
    return found


def target(verb: str, role: str) -> Workflow:
    """Return a run that a verb is possible on."""
    status = min(VERBS[verb].possible_in - {"SUCCESS"}, default="ERROR")
    user = "somebody" if role == "foreign" else "tenant"
    return with_steps(made(status, name=ordered.name, user=user), "a", "b", fails=True)


Attempt = Callable[[str, Any, Workflow], str]
"""Tries a verb as a user on a run; returns what became of it, in the matrix's words."""


@pytest.mark.parametrize("surface", ["control", "admin", "rest"])
def test_every_role_may_do_what_the_table_says_and_nothing_else(people: dict[str, Any], surface: str) -> None:
    """What is not done changes no row; a denial of somebody known is in the audit."""
    for verb, expected in EXPECTED.items():
        found = {role: attempted(surface, verb, role, people[role]) for role in ROLES}
        assert found == {
            role: NOT_THERE.get((surface, verb, role), what) for role, what in expected.items()
        }, verb


def attempted(surface: str, verb: str, role: str, user: Any) -> str:
    """Let somebody try a verb on a new run; return what became of it."""
    run = target(verb, role)
    before, last = rows(), AuditEvent.objects.count()
    outcome = SURFACES[surface](verb, user, run)
    if outcome != "done":
        assert rows() == before, f"{role} has changed something by {verb}"
    if outcome == "denied" and role != "anonymous":
        denied = AuditEvent.objects.order_by("pk")[last:]
        assert [(event.outcome, event.actor_label) for event in denied] == [("denied", role)], verb
    return outcome


def rows() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Workflow, Message)]


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
    actor = Actor(kind="user", id=str(user.pk or ""), label=user.get_username(), user=user)
    result = CONTROL[verb](Operator(actor=actor), run)
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


def browser(user: Any) -> Client:
    client = Client()
    if user.is_authenticated:
        client.force_login(user)
    return client


def by_admin(verb: str, user: Any, run: Workflow) -> str:
    response = browser(user).post(verb_page(run, verb), FORMS[verb])
    if response.status_code == 302:
        return "denied" if "/login/" in response.headers["Location"] else "done"
    return {403: "denied", 404: "missing"}.get(response.status_code, f"answered {response.status_code}")


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
    client = browser(user)
    response = getattr(client, method)(API + path.format(id=run.workflow_id), body, "application/json")
    if response.status_code == 200 and "results" in (found := response.json()):
        [result] = found["results"]
        return "missing" if "no such run" in result["detail"] else str(result["outcome"])
    if 200 <= response.status_code < 300:
        return "done"
    words = {401: "denied", 403: "denied", 404: "missing"}
    return words.get(response.status_code, f"answered {response.status_code} {response.content!r}")


SURFACES: dict[str, Attempt] = {"control": by_control, "admin": by_admin, "rest": by_rest}


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


# queues, schedules and workers

OTHERS = """
                    viewer      operator    admin
queues.pause        denied      allowed     allowed
queues.resume       denied      allowed     allowed
queues.configure    denied      denied      allowed
queues.reset        denied      denied      allowed
queues.create       denied      denied      allowed
schedules.save      denied      denied      allowed
schedules.delete    denied      denied      allowed
schedules.pause     denied      allowed     allowed
schedules.resume    denied      allowed     allowed
schedules.trigger   denied      allowed     allowed
schedules.backfill  denied      allowed     allowed
schedules.sync      denied      denied      allowed
workers.quiet       denied      denied      allowed
workers.stop        denied      denied      allowed
workers.recover     denied      denied      allowed
"""

DEFINITION = ScheduleDefinition(name="matrix", workflow_name="matrix.ordered", cron="0 3 * * *")

MORE: dict[str, tuple[Any, ...]] = {
    "queues.configure": ({"concurrency": 3},),
    "schedules.backfill": (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
}
"""What a verb is told besides its target's name."""


def test_verbs_on_queues_schedules_and_workers_have_their_permissions(people: dict[str, Any]) -> None:
    """A function of these modules without a row fails; on every surface they are the same."""
    roles, *lines = [line.split() for line in OTHERS.strip().splitlines()]
    expected = {line[0]: dict(zip(roles, line[1:], strict=True)) for line in lines}
    modules = {"queues": queues, "schedules": schedules, "workers": workers}
    verbs = {
        f"{noun}.{name}": verb
        for noun, module in modules.items()
        for name, verb in inspect.getmembers(module, inspect.isfunction)
        if verb.__module__ == module.__name__
        and not name.startswith("_")
        and "operator" in inspect.signature(verb).parameters
    }
    assert expected.keys() == verbs.keys()
    assert {
        name: {role: permitted(name, verb, people[role]) for role in roles} for name, verb in verbs.items()
    } == expected


def permitted(name: str, verb: Callable[..., Any], user: Any) -> str:
    operator = Operator(actor=Actor(kind="user", id=str(user.pk), label=user.username, user=user))
    try:
        if name == "schedules.save":
            verb(operator, DEFINITION, is_new=True)
        elif name == "schedules.sync":
            verb(operator)
        else:
            verb(operator, "matrix", *MORE.get(name, ()))
    except PermissionDeniedError:
        assert AuditEvent.objects.order_by("pk").last().outcome == "denied"  # type: ignore[union-attr]
        return "denied"
    return "allowed"
