"""Who tries: somebody of each role, and what became of it."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.db import connections
from django.test import Client

from durable_app.control.actors import Actor, Policy
from durable_app.control.operator import Operator
from durable_app.models import AuditEvent

ROLES = ("anonymous", "nobody", "viewer", "operator", "admin")
"""The groups of ``durable roles``, a member of staff without any, and who has not logged in."""

TENANTS = ("own", "foreign")
"""An administrator of a tenant: what the tenant has, and what somebody else has."""

UNTOLD = {"durable_app_auditevent", "django_session", "auth_user"}
"""Tables that also those write to who are denied: the audit, and what a login notes."""

People = dict[str, Any]
"""A user for each role, and some more."""


class Tenants(Policy):
    """The tenant sees the runs that bear its name."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.filter(user="tenant") if actor.label == "tenant" else runs


def operator_of(user: Any) -> Operator:
    """Return a user as an operator."""
    return Operator(actor=Actor(kind="user", id=str(user.pk or ""), label=user.get_username(), user=user))


@cache
def browser(user: Any) -> Client:
    """Return the browser of a user; emptied with the users, after each test."""
    client = Client()
    if user.is_authenticated:
        client.force_login(user)
    return client


def became_of(response: Any) -> str:
    """Return what became of a request in the words of the tables."""
    match response.status_code:
        case 302 if "/login/" in response.headers["Location"]:
            return "denied"
        case 302 if response.headers["Location"] == "/admin/":
            return "missing"  # so says Django itself
        case 302:
            return "done"
        case 401 | 403:
            return "denied"
        case 404:
            return "missing"
        case 400 | 405 | 409:
            return f"{response.status_code} {response.content[:2000]!r}"
        case status if 200 <= status < 300:
            return "done"
        case status:
            return str(status)


def attempted(user: Any, attempt: Callable[[], str], name: str) -> str:
    """Let somebody try something; return what became of it, checked against the rows and the audit.

    What is not done writes no row. A denial of somebody known, and what is done, are in the audit once.
    """
    last = AuditEvent.objects.count()
    tables: list[str] = []
    with connections["default"].execute_wrapper(_noting(tables)):
        outcome = attempt()
    if outcome not in ("done", "nothing"):
        assert set(tables) <= UNTOLD, f"{name}: {user} has changed something"
    recorded = [(one.outcome, one.actor_label) for one in AuditEvent.objects.order_by("pk")[last:]]
    expected = {"done": "done", "nothing": "done", "denied": "denied"}.get(outcome)
    if expected and user.is_authenticated:
        assert recorded == [(expected, user.get_username())], f"{name}: {user}"
    return outcome


def looked(look: Callable[[], Any]) -> str:
    """Let somebody look; return whether it was answered. It may be noted, and changes nothing else."""
    tables: list[str] = []
    with connections["default"].execute_wrapper(_noting(tables)):
        response = look()
        outcome = became_of(response)
        if response.streaming:
            b"".join(response.streaming_content)
    assert set(tables) <= UNTOLD, response.request["PATH_INFO"]
    return "answered" if outcome == "done" else outcome


def _noting(tables: list[str]) -> Callable[..., Any]:
    """Return what notes the tables that are written to."""

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        words = sql.replace('"', " ").split()
        if words[:1] in (["INSERT"], ["DELETE"]):
            tables.append(words[2])
        elif words[:1] == ["UPDATE"]:
            tables.append(words[1])
        return execute(sql, params, many, context)

    return note
