"""Who may look at what through the API, and who may ask for metrics and health."""

from collections.abc import Callable

import pytest
from django.test import Client, override_settings
from django.urls import resolve

from durable_app import ops_urls
from tests.test_matrix.people import People, browser, looked
from tests.test_matrix.scene import Scene
from tests.test_matrix.tables import table
from tests.test_matrix.test_looks_admin import scenes

pytestmark = pytest.mark.django_db

REST = table("""
endpoint              anonymous  nobody  viewer    operator  admin     own       foreign

GET definitions       denied     denied  answered  answered  answered  -         -
GET versions          denied     denied  answered  answered  answered  -         -
GET stats-overview    denied     denied  answered  answered  answered  answered  -
GET stats-timeseries  denied     denied  answered  answered  answered  answered  -

GET runs              denied     denied  answered  answered  answered  answered  -
POST runs-search      denied     denied  answered  answered  answered  answered  -
GET run               denied     denied  answered  answered  answered  answered  missing
GET run-steps         denied     denied  answered  answered  answered  answered  missing
GET run-events        denied     denied  answered  answered  answered  answered  missing
GET run-messages      denied     denied  answered  answered  answered  answered  missing
GET run-children      denied     denied  answered  answered  answered  answered  missing
GET run-attempts      denied     denied  answered  answered  answered  answered  missing
GET run-timeline      denied     denied  answered  answered  answered  answered  missing
GET progress-events   denied     denied  answered  answered  answered  answered  missing
GET result            denied     denied  denied    answered  answered  answered  missing
GET streams           denied     denied  answered  answered  answered  answered  missing
GET stream            denied     denied  denied    answered  answered  answered  missing
GET stream-events     denied     denied  denied    answered  answered  answered  missing
GET run-export        denied     denied  denied    denied    answered  answered  missing

GET approvals         denied     denied  answered  answered  answered  answered  -
GET approval          denied     denied  answered  answered  answered  answered  missing
GET schedules         denied     denied  answered  answered  answered  -         -
GET schedule          denied     denied  answered  answered  answered  -         -
GET queues            denied     denied  answered  answered  answered  -         -
GET queue             denied     denied  answered  answered  answered  -         -
GET workers           denied     denied  answered  answered  answered  -         -
GET worker            denied     denied  answered  answered  answered  -         -
GET bulk-operations   denied     denied  answered  answered  answered  answered  -
GET bulk-operation    denied     denied  answered  answered  answered  answered  missing
GET audit             denied     denied  answered  answered  answered  answered  -
""")
"""``own`` and ``foreign`` are an administrator's of a tenant, at what the tenant has or somebody else."""

PATHS: dict[str, Callable[[Scene], str]] = {
    "definitions": lambda it: "definitions",
    "versions": lambda it: "versions",
    "stats-overview": lambda it: "stats/overview",
    "stats-timeseries": lambda it: "stats/timeseries",
    "runs": lambda it: "workflows",
    "runs-search": lambda it: "workflows/search",
    "run": lambda it: f"workflows/{it.run.workflow_id}",
    "run-steps": lambda it: f"workflows/{it.run.workflow_id}/steps",
    "run-events": lambda it: f"workflows/{it.run.workflow_id}/events",
    "run-messages": lambda it: f"workflows/{it.run.workflow_id}/messages",
    "run-children": lambda it: f"workflows/{it.run.workflow_id}/children",
    "run-attempts": lambda it: f"workflows/{it.run.workflow_id}/attempts",
    "run-timeline": lambda it: f"workflows/{it.run.workflow_id}/timeline",
    "progress-events": lambda it: f"workflows/{it.run.workflow_id}/progress/sse",
    "result": lambda it: f"workflows/{it.run.workflow_id}/result",
    "streams": lambda it: f"workflows/{it.run.workflow_id}/streams",
    "stream": lambda it: f"workflows/{it.run.workflow_id}/streams/key",
    "stream-events": lambda it: f"workflows/{it.run.workflow_id}/streams/key/sse",
    "run-export": lambda it: f"workflows/{it.run.workflow_id}/export",
    "approvals": lambda it: "approvals",
    "approval": lambda it: f"approvals/{it.question.pk}",
    "schedules": lambda it: "schedules",
    "schedule": lambda it: f"schedules/{it.schedule.name}",
    "queues": lambda it: "queues",
    "queue": lambda it: f"queues/{it.queue}",
    "workers": lambda it: "workers",
    "worker": lambda it: f"workers/{it.worker.pk}",
    "bulk-operations": lambda it: "bulk-operations",
    "bulk-operation": lambda it: f"bulk-operations/{it.operation.pk}",
    "audit": lambda it: "audit",
}


def url_of(route: str, it: Scene) -> str:
    """Return the URL of an endpoint, by the name of its route."""
    found = f"/api/durable/v1/{PATHS[route](it)}"
    assert resolve(found).url_name == route
    return found


def test_every_role_looks_at_what_the_table_says(people: People) -> None:
    """An answer, a refusal, or nothing there; to look changes nothing."""
    at = scenes(people)
    for row, columns in REST.items():
        method, route = row.split()
        expected = {role: what for role, what in columns.items() if what != "-"}
        found = {}
        for role in expected:
            call = getattr(browser(people[role]), method.lower())
            sent = [url_of(route, at[role]), *([] if method == "GET" else [{}, "application/json"])]
            found[role] = looked(lambda: call(*sent))  # noqa: B023
        assert found == expected, row


OPS = table("""
asked    anonymous  nobody  viewer  operator  admin   with the token  from a listed address
metrics  denied     denied  denied  denied    denied  answered        answered
healthz  denied     denied  denied  denied    denied  answered        answered
readyz   denied     denied  denied  denied    denied  answered        answered
""")
"""Machines ask: it is not a person's permission that counts, but where it comes from or what it has."""


def test_who_may_ask_for_metrics_and_health(people: People) -> None:
    """Nobody gets in by who they are."""
    assert OPS.keys() == {one.name for one in ops_urls.urlpatterns}
    bearer = {"Authorization": "Bearer s3cret"}
    with override_settings(DURABLE={"OPS": {"TOKEN": "s3cret", "IPS": ["10.1.2.3"]}}):
        for name, expected in OPS.items():
            url = f"/ops/{name}"
            found = {
                role: looked(lambda: browser(people[role]).get(url))  # noqa: B023
                for role in list(expected)[:5]
            }
            found["with the token"] = looked(lambda: Client().get(url, headers=bearer))  # noqa: B023
            found["from a listed address"] = looked(lambda: Client().get(url, REMOTE_ADDR="10.1.2.3"))  # noqa: B023
            assert found == expected, name
