"""Who gets in: nobody by default, and each to what its permissions name."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from django.urls import URLPattern, URLResolver
from rest_framework.authentication import BaseAuthentication, BasicAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.settings import api_settings

from durable_app.api import urls
from durable_app.api.approvals import AnyActor
from durable_app.api.base import DurableView
from durable_app.api.runs.verbs import Cancel
from durable_app.control.verbs import VERBS
from durable_app.models import AuditEvent, Status, Workflow
from tests.test_admin.pages import made, with_steps
from tests.test_api.conftest import BASE, Api, problem
from tests.test_api.test_verbs import BODIES, done

pytestmark = pytest.mark.django_db


def endpoints(patterns: Any = urls.urlpatterns, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path of each endpoint, filled in, and its view."""
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from endpoints(one.url_patterns, f"{prefix}{one.pattern}")
        elif isinstance(one, URLPattern) and hasattr(one.callback, "cls"):
            filled = f"{prefix}{one.pattern}".replace("<int:", "<str:").split("<str:")
            path = filled[0] + "".join("1" + part.partition(">")[2] for part in filled[1:])
            yield path, one.callback.cls


def test_nobody_gets_in_unknown() -> None:
    """REST, permissions. No anonymous access on any path, though the framework's default lets all in."""
    defaults: Any = api_settings.DEFAULT_PERMISSION_CLASSES
    assert defaults == [AllowAny]
    found = list(endpoints())
    assert len(found) > 20
    anonymous = Api().client
    for path, _view in found:
        for method in ("get", "post", "patch", "delete", "put", "options", "head"):
            response = getattr(anonymous, method)(f"/api/durable/{path}")
            assert response.status_code in (401, 403), (method, path)


def test_whoever_has_no_permission_gets_in_nowhere(holder: Any) -> None:
    """REST, permissions. Each method that there is asks for one; a verb's denial is recorded."""
    nobody = holder(name="nobody")
    for path, view in endpoints():
        if not issubclass(view, DurableView) or view.schema is None:
            continue
        methods = {name for name in ("GET", "POST", "PATCH", "DELETE") if hasattr(view, name.lower())}
        assert methods == set(view.needs), view
        for method in sorted(methods):
            before = AuditEvent.objects.count()
            response = getattr(nobody.client, method.lower())(f"/api/durable/{path}")
            if AnyActor in view.permission_classes:  # a question says itself whom it is for
                problem(response, 404, "approval-not-found")
                continue
            problem(response, 403, "permission-denied")
            recorded = AuditEvent.objects.count() - before
            assert recorded == bool(view.needs[method].verb), (method, path)
        other = {"put", "post", "patch", "delete"} - {name.lower() for name in methods}
        for method in sorted(other):
            problem(getattr(nobody.client, method)(f"/api/durable/{path}"), 405, "method-not-allowed")
    assert set(AuditEvent.objects.values_list("outcome", flat=True)) == {"denied"}
    problem(nobody.get("/nowhere"), 403, "permission-denied")


@pytest.mark.parametrize("verb", BODIES)
@pytest.mark.parametrize("role", ["viewer", "every other", "own"])
def test_each_role_may_do_its_verbs_and_no_others(holder: Any, verb: str, role: str) -> None:
    """403 and an audit row without the permission; with it, it is done."""
    own = VERBS[verb].permission
    every_other = {one.permission for one in VERBS.values()} - {own}
    held = {"viewer": set(), "every other": every_other, "own": {own}}[role]
    api = holder("view_workflow", *held)
    status = min(VERBS[verb].possible_in - {"SUCCESS"}, default="ERROR")
    run = with_steps(made(status), "a", "b", fails=True)
    before = list(Workflow.objects.values().order_by("pk"))
    response = done(api, verb, run.workflow_id)
    event = AuditEvent.objects.get()
    assert (event.target_id, event.actor_label, event.ip) == (run.workflow_id, "ann", "127.0.0.1")
    if role == "own":
        assert response.status_code < 300, response.content
        assert event.outcome == "done"
    else:
        problem(response, 403, "permission-denied")
        assert event.outcome == "denied"
        assert list(Workflow.objects.values().order_by("pk")) == before


def test_those_who_look_find_nothing_where_nothing_is(viewer: Api) -> None:
    """REST, errors. A problem on any path of ours; a slash too much is another path."""
    for path in (
        "/nowhere",
        "/workflows/",
        "/workflows/a/b/c",
        "/bulk-operations/x",
        "/workflows//steps",
        "/",
    ):
        problem(viewer.get(path), 404, "not-found")
        problem(viewer.post(path), 404, "not-found")
    problem(viewer.client.put(f"{BASE}/workflows"), 405, "method-not-allowed")
    assert viewer.client.head(f"{BASE}/workflows").status_code == 200


def test_a_wrong_password_is_401(viewer: Api) -> None:
    """REST, errors. Authentication is the project's; the answer is a problem, and says how."""
    response = Api().client.get(f"{BASE}/workflows", headers={"Authorization": "Basic eDp5"})
    assert response.status_code in (401, 403)
    assert response.json()["code"] == "not-authenticated"


class Program(BaseAuthentication):
    """Knows programs by their tokens."""

    def authenticate(self, request: Any) -> Any:
        return User.objects.get(username="operator"), "a token"


def test_schemes_are_the_projects(operator: Api, monkeypatch: Any) -> None:
    """A9, REST, permissions. One that asks for credentials makes it 401; with a token a program acts."""
    monkeypatch.setattr(Cancel, "authentication_classes", [BasicAuthentication])
    run = made(Status.ENQUEUED)
    path = f"/workflows/{run.workflow_id}/cancel"
    response = operator.post(path)
    problem(response, 401, "not-authenticated")
    assert response.headers["WWW-Authenticate"].startswith("Basic")
    monkeypatch.setattr(Cancel, "authentication_classes", [Program])
    assert Api().post(path).status_code == 200
    assert AuditEvent.objects.get().actor_kind == "token"


def test_one_who_was_locked_out_is_out(operator: Api) -> None:
    """REST, permissions. An inactive user's session is nobody's."""
    assert operator.user is not None
    operator.user.is_active = False
    operator.user.save()
    assert operator.get("/workflows").status_code in (401, 403)


@pytest.mark.parametrize(
    ("scope", "path", "body"),
    [
        ("durable-read", "/workflows", None),
        ("durable-read", "/workflows/search", {}),
        ("durable-write", "/workflows/x/cancel", {}),
        ("durable-start", "/workflows", {"workflow": "x"}),
    ],
)
def test_rates_are_the_projects(operator: Api, scope: str, path: str, body: Any) -> None:
    """REST, throttling. A scope without a rate is not limited; one with it says when to come again."""
    rates = {**api_settings.DEFAULT_THROTTLE_RATES, scope: "2/day"}
    with override_settings(REST_FRAMEWORK={"DEFAULT_THROTTLE_RATES": rates}):
        codes = [
            (operator.get(path) if body is None else operator.post(path, body)).status_code for _ in range(3)
        ]
        assert 429 not in codes[:2]
        last = operator.get(path) if body is None else operator.post(path, body)
        problem(last, 429, "throttled")
        assert int(last.headers["Retry-After"]) > 0
    assert operator.get("/definitions").status_code == 200


def test_a_denial_stays_recorded_under_atomic_requests(viewer: Api, settings: Any, monkeypatch: Any) -> None:
    """A9. The project's one transaction a request is not rolled back by a problem."""
    from django.db import connections  # noqa: PLC0415

    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    run = made(Status.ENQUEUED)
    problem(viewer.post(f"/workflows/{run.workflow_id}/cancel"), 403, "permission-denied")
    assert AuditEvent.objects.get().outcome == "denied"
