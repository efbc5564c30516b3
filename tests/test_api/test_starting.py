"""Starting runs: only of workflows that are open to it, and one run for one id."""

from datetime import timedelta
from typing import Any

import pytest

from durable_app import clock, register_queue, workflow
from durable_app.api.options import is_startable
from durable_app.models import AuditEvent, Status, Workflow
from tests.test_api.conftest import Api, problem

pytestmark = pytest.mark.django_db


@workflow
def open_to_the_api(number: int = 0, *, note: str = "") -> int:
    """Return the number.

    And do nothing else.
    """
    return number


@workflow
def closed_to_the_api() -> None:
    """Do nothing."""


class Keeper:
    @workflow
    @classmethod
    def a_method(cls, one: int) -> None:
        """Do nothing."""


OPEN = open_to_the_api.name


@pytest.fixture(autouse=True)
def exposed(settings: Any) -> None:
    settings.DURABLE = {"API": {"STARTABLE": [OPEN, "Keeper.*"]}}


def test_nothing_can_be_started_unless_it_is_exposed(operator: Api, settings: Any) -> None:
    """By name or pattern; the engine's own workflows never."""
    for name in (
        closed_to_the_api.name,
        "durable.bulk_operation",
        "<temp>.x",
        "no such workflow",
        "os.system",
    ):
        problem(operator.post("/workflows", {"workflow": name}), 403, "not-exposed")
        assert AuditEvent.objects.latest("pk").outcome == "denied"
    settings.DURABLE = {"API": {"STARTABLE": ["*"]}}
    assert is_startable(closed_to_the_api.name)
    assert not is_startable("durable.bulk_operation")
    settings.DURABLE = {}
    problem(operator.post("/workflows", {"workflow": OPEN}), 403, "not-exposed")
    assert not Workflow.objects.exists()


def test_definitions_say_what_can_be_started(viewer: Api) -> None:
    """REST, resources. Name, parameters, and whether it is open."""
    found = {one["name"]: one for one in viewer.get("/definitions").json()["results"]}
    assert found[OPEN]["is_startable"] is True
    assert found[OPEN]["doc"] == "Return the number."
    assert [(one["name"], one["kind"], one["is_required"]) for one in found[OPEN]["parameters"]] == [
        ("number", "any", False),
        ("note", "keyword", False),
    ]
    assert found[OPEN]["parameters"][0]["annotation"] == "int"
    assert found[closed_to_the_api.name]["is_startable"] is False
    assert [one["name"] for one in found["Keeper.a_method"]["parameters"]] == ["one"]
    assert not [name for name in found if name.startswith(("durable.", "<"))]


def test_a_run_is_started_with_all_that_it_was_given(operator: Api) -> None:
    """REST, resources. 202, where it is, and an audit row."""
    register_queue("mail")
    body = {
        "workflow": OPEN,
        "args": [5],
        "kwargs": {"note": "n"},
        "id": "order 1",
        "queue": "mail",
        "priority": 3,
        "delay_ms": 60_000,
        "timeout_ms": 5_000,
        "deduplication_id": "d",
        "partition_key": "p",
        "attributes": {"customer": "acme"},
        "reason": "by hand",
    }
    response = operator.post("/workflows", body)
    assert response.status_code == 202, response.content
    assert response.headers["Location"] == "/api/durable/v1/workflows/order%201"
    shown = response.json()
    assert (shown["id"], shown["status"], shown["queue"], shown["priority"]) == (
        "order 1",
        "DELAYED",
        "mail",
        3,
    )
    run = Workflow.objects.get()
    assert run.inputs == '{"args":[5],"kwargs":{"note":"n"}}'
    assert (run.deduplication_id, run.partition_key, run.attributes) == ("d", "p", {"customer": "acme"})
    assert run.timeout == timedelta(seconds=5)
    assert run.run_after is not None
    assert run.run_after > clock.now()
    event = AuditEvent.objects.get()
    assert (event.verb, event.outcome, event.reason, event.target_id) == (
        "start",
        "done",
        "by hand",
        "order 1",
    )

    problem(operator.post("/workflows", {**body, "id": "order 2"}), 409, "dedup-conflict")
    assert Workflow.objects.count() == 1


def test_a_place_from_which_nothing_is_taken_is_pointed_at(operator: Api) -> None:
    """25. A queue that there is not, and a partition that is not named."""
    register_queue("by tenant", partition_queue=True)
    for given, wrong in (({"queue": "nowhere"}, "/queue"), ({"queue": "by tenant"}, "/partition_key")):
        found = problem(operator.post("/workflows", {"workflow": OPEN, **given}), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [wrong]
    assert not Workflow.objects.exists()


def test_an_id_is_an_idempotency_key(operator: Api, viewer: Api) -> None:
    """REST, idempotency. The same call again finds the run; another call is a conflict."""
    body = {"workflow": OPEN, "args": [1], "id": "one"}
    assert operator.post("/workflows", body).status_code == 202
    again = operator.post("/workflows", {**body, "priority": 9})
    assert AuditEvent.objects.count() == 1
    assert (again.status_code, again.json()["id"], again.json()["priority"]) == (200, "one", 0)
    assert again.headers["Location"].endswith("/workflows/one")
    for other in (
        {**body, "args": [2]},
        {**body, "kwargs": {"note": "x"}},
        {**body, "workflow": "Keeper.a_method"},
    ):
        response = operator.post("/workflows", other)
        assert response.json()["code"] in ("conflict-id", "workflow-not-found")
        assert response.status_code in (409, 404)
        assert "ENQUEUED" not in response.content.decode()
    assert Workflow.objects.get().inputs == '{"args":[1],"kwargs":{}}'
    assert AuditEvent.objects.latest("pk").outcome == "failed"
    problem(viewer.post("/workflows", body), 403, "permission-denied")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"workflow": OPEN, "id": ""}, "/id"),
    ({"workflow": OPEN, "id": " "}, "/id"),
    ({"workflow": OPEN, "id": "x" * 256}, "/id"),
    ({"workflow": OPEN, "id": 5}, "/id"),
    ({"workflow": OPEN, "args": {"a": 1}}, "/args"),
    ({"workflow": OPEN, "kwargs": [1]}, "/kwargs"),
    ({"workflow": OPEN, "priority": -1}, "/priority"),
    ({"workflow": OPEN, "priority": 2**31}, "/priority"),
    ({"workflow": OPEN, "delay_ms": 10**18}, "/delay_ms"),
    ({"workflow": OPEN, "attributes": {"a": "\0"}}, "/attributes"),
    ({"workflow": OPEN, "attributes": {"\ud800": 1}}, "/attributes"),
    ({"workflow": OPEN, "status": "SUCCESS"}, "/status"),
    ({}, "/workflow"),
]


def test_wrong_orders_are_refused_where_they_are_wrong(operator: Api) -> None:
    """400 with a pointer, nothing stored."""
    for body, pointer in WRONG:
        found = problem(operator.post("/workflows", body), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [pointer], body
    broken = '{"workflow": "x", "args": [' + "1" * 5000 + "]}"
    problem(operator.post("/workflows", broken), 400, "malformed-body")
    for endless in ('"args": [1e999]', '"attributes": {"a": 1e999}', '"kwargs": {"note": -1e999}'):
        response = operator.post("/workflows", f'{{"workflow": "{OPEN}", {endless}}}')
        assert response.status_code in (202, 400), endless
        Workflow.objects.all().delete()
    problem(operator.post("/workflows", {"workflow": OPEN, "queue": "_durable_x"}), 400, "validation-error")
    problem(operator.post("/workflows", {"workflow": "Keeper.a_method"}), 404, "workflow-not-found")
    assert not Workflow.objects.exists()


def test_hostile_values_are_only_values(operator: Api) -> None:
    """What looks like our own encoding, or like code, is data."""
    hostile = [
        "<script>",
        {"__type__": "datetime", "$type": "x"},
        "'; DROP TABLE x; --",
        {"py/object": "os"},
        "\ud800\0",
    ]
    body = {"workflow": OPEN, "args": [hostile], "id": "h", "attributes": {"<b>": "{{ 7*7 }}"}}
    assert operator.post("/workflows", body).status_code == 202
    shown = operator.get("/workflows/h", include="input").json()
    assert shown["input"]["value"]["args"] == [hostile]
    assert shown["attributes"] == {"<b>": "{{ 7*7 }}"}
    assert Workflow.objects.get().status == Status.ENQUEUED
