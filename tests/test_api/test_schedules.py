"""Schedules over REST: defining, pausing, and starting runs by hand."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from durable_app import clock, register_queue, workflow
from durable_app.models import AuditEvent, Schedule, Workflow
from tests.test_admin.test_list import reads
from tests.test_api.conftest import problem

NAME = "api.on_schedule"

NIGHTLY = {"name": "nightly", "workflow": NAME, "cron": "0 3 * * *"}


@workflow(name=NAME)
def on_schedule(tick: datetime, context: Any) -> None:
    """Do nothing: its rows are what is looked at."""


@pytest.fixture(autouse=True)
def exposed(settings: Any) -> None:
    settings.DURABLE = {"API": {"STARTABLE": [NAME]}}


@pytest.fixture
def at_noon():
    clock.freeze(datetime(2031, 5, 1, 12, tzinfo=UTC))
    yield
    clock.release()


@pytest.mark.django_db
def test_a_schedule_is_made_changed_and_deleted(operator, viewer, at_noon):
    """201 with its place; a change leaves alone what it does not name; a stale ETag is 412."""
    body = {**NIGHTLY, "timezone": "Europe/Berlin", "context": {"api_key": "x", "n": 1}, "overlap": "skip"}
    made = operator.post("/schedules", {**body, "catch_up": "all", "catch_up_limit": 3})
    assert (made.status_code, made.headers["Location"]) == (201, "/api/durable/v1/schedules/nightly")
    found = made.json()
    assert found["next_at"] == [f"2031-05-0{day}T01:00:00Z" for day in (2, 3, 4)]
    assert found["context"] == {"api_key": "•••", "n": 1}
    assert (found["catch_up"], found["catch_up_limit"], found["overlap"]) == ("all", 3, "skip")
    assert viewer.get("/schedules/nightly").json() == {**found, "context": "•••"}
    tag = operator.get("/schedules/nightly").headers["ETag"]
    changed = operator.patch("/schedules/nightly", {"cron": "0 4 * * *"}, If_Match=tag)
    kept = ("timezone", "catch_up_limit", "overlap", "workflow", "context")
    assert {name: changed.json()[name] for name in kept} == {name: found[name] for name in kept}
    assert changed.json()["next_at"][0] == "2031-05-02T02:00:00Z"
    assert Schedule.objects.get().context == '{"api_key":"x","n":1}'
    problem(
        operator.patch("/schedules/nightly", {"cron": "* * * * *"}, If_Match=tag), 412, "precondition-failed"
    )
    assert (
        operator.patch("/schedules/nightly", {"catch_up": "none", "context": None}).json()["catch_up_limit"]
        is None
    )
    assert operator.patch("/schedules/nightly", {"enabled": False}).json()["status"] == "PAUSED"
    problem(viewer.delete("/schedules/nightly"), 403, "permission-denied")
    assert operator.delete("/schedules/nightly").status_code == 204
    problem(operator.delete("/schedules/nightly"), 404, "schedule-not-found")
    verbs = AuditEvent.objects.filter(target_id="nightly").order_by("pk").values_list("verb", "outcome")
    assert list(verbs) == [
        ("create", "done"),
        ("change", "done"),
        ("change", "done"),
        ("change", "done"),
        ("delete", "denied"),
        ("delete", "done"),
    ]


@pytest.mark.django_db
def test_what_can_be_no_schedule_is_refused(operator):
    """Each with its kind of problem, and nothing made."""
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({"cron": "61 * * * *"}, 400, "validation-error"),
        ({"cron": "1--100000000 * * * *"}, 400, "validation-error"),
        ({"timezone": "Mars/Olympus"}, 400, "validation-error"),
        ({"overlap": "sometimes"}, 400, "validation-error"),
        ({"catch_up_limit": 3}, 400, "validation-error"),
        ({"name": " "}, 400, "validation-error"),
        ({"name": "\u0000"}, 400, "validation-error"),
        ({"workflw": "x"}, 400, "validation-error"),
        ({"queue": "nowhere"}, 404, "queue-not-found"),
        ({"workflow": "shop.charge_everybody"}, 403, "not-exposed"),
    ]
    for change, status, code in wrong:
        problem(operator.post("/schedules", {**NIGHTLY, **change}), status, code)
    assert not Schedule.objects.exists()
    assert operator.post("/schedules", NIGHTLY).status_code == 201
    problem(operator.post("/schedules", NIGHTLY), 409, "schedule-exists")
    problem(operator.patch("/schedules/nightly", {}), 400, "validation-error")
    problem(operator.patch("/schedules/nightly", {"workflow": "shop.other"}), 403, "not-exposed")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cron", "61 * * * *"),
        ("cron", "0 0 31 2 *"),
        ("cron", "* *"),
        ("timezone", "Mars/Olympus"),
        ("queue", "by tenant"),
        ("name", "a/b"),
        ("name", "."),
        ("name", ".."),
    ],
)
def test_a_wrong_field_of_a_schedule_is_pointed_at(operator, field, value):
    """25, 27. Also where the engine says so; a name that has no URL is none."""
    register_queue("by tenant", partition_queue=True)
    found = problem(operator.post("/schedules", {**NIGHTLY, field: value}), 400, "validation-error")
    assert [one["pointer"] for one in found["errors"]] == [f"/{field}"]
    assert not Schedule.objects.exists()


@pytest.mark.django_db
def test_a_backfill_of_the_future_is_pointed_at(operator, at_noon):
    """400, and nothing is started."""
    operator.post("/schedules", NIGHTLY)
    for start, end, wrong in ((1, 9, "/end"), (3, 2, "/start")):
        span = {"start": f"2031-05-0{start}T00:00:00Z", "end": f"2031-05-0{end}T00:00:00Z"}
        found = problem(operator.post("/schedules/nightly/backfill", span), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [wrong]
    assert not Workflow.objects.exists()


@pytest.mark.django_db
def test_what_the_project_scheduled_can_be_triggered_also_if_nobody_can_start_it(operator, settings):
    """29. A trigger starts what a tick would start; what is declared stays as it is: 409, not 403."""
    operator.post("/schedules", NIGHTLY)
    settings.DURABLE = {"API": {"STARTABLE": []}}
    assert operator.post("/schedules/nightly/trigger").status_code == 201
    problem(operator.patch("/schedules/nightly", {"cron": "* * * * *"}), 403, "not-exposed")
    Schedule.objects.update(is_declared=True)
    problem(operator.patch("/schedules/nightly", {"cron": "* * * * *"}), 409, "invalid-transition")
    Schedule.objects.update(status="RETIRED")
    problem(operator.patch("/schedules/nightly", {"cron": "* * * * *"}), 403, "not-exposed")


@pytest.mark.django_db
def test_what_code_declares_only_code_changes(operator):
    """It can be paused, resumed and triggered."""
    operator.post("/schedules", NIGHTLY)
    Schedule.objects.update(is_declared=True)
    problem(operator.patch("/schedules/nightly", {"cron": "* * * * *"}), 409, "invalid-transition")
    problem(operator.delete("/schedules/nightly"), 409, "invalid-transition")
    assert operator.post("/schedules/nightly/pause").json()["status"] == "PAUSED"
    assert operator.post("/schedules/nightly/resume").json()["status"] == "ACTIVE"
    assert operator.post("/schedules/nightly/trigger").status_code == 201


@pytest.mark.django_db
def test_runs_are_started_by_hand(operator, viewer, at_noon):
    """A trigger with a key starts one run; a backfill starts what a dry run has told, and no tick twice."""
    operator.post("/schedules", {**NIGHTLY, "name": "a b"})
    path = "/schedules/a%20b"
    for verb in ("trigger", "backfill", "pause", "resume"):
        problem(viewer.post(f"{path}/{verb}", {}), 403, "permission-denied")
    first = operator.post(f"{path}/trigger", {"reason": "x"}, Idempotency_Key="k")
    again = operator.post(f"{path}/trigger", {"reason": "x"}, Idempotency_Key="k")
    assert (first.status_code, again.json()) == (201, first.json())
    run = Workflow.objects.get()
    assert (run.workflow_id, run.name) == (first.json()["workflow_id"], NAME)
    assert operator.get(first.headers["Location"].removeprefix("/api/durable/v1")).status_code == 200

    span = {"start": "2031-04-01T03:00:00Z", "end": "2031-04-04T03:00:00Z"}
    dry = operator.post(f"{path}/backfill", {**span, "dry_run": True})
    assert dry.json() == {
        "count": 2,
        "ticks": [{"at": f"2031-04-0{day}T03:00:00Z", "has_run": False} for day in (2, 3)],
        "is_capped": False,
    }
    assert Workflow.objects.count() == 1
    done = operator.post(f"{path}/backfill", span)
    assert (done.status_code, done.json()["count"]) == (202, 2)
    assert operator.post(f"{path}/backfill", span).status_code == 202
    assert Workflow.objects.count() == 3
    dry = operator.post(f"{path}/backfill", {**span, "dry_run": True})
    assert [one["has_run"] for one in dry.json()["ticks"]] == [True, True]
    ages = {"start": "2031-04-01T03:00:00Z", "end": "9999-12-31T23:59:59Z"}
    capped = operator.post(f"{path}/backfill", {**ages, "dry_run": True}).json()
    assert (len(capped["ticks"]), capped["is_capped"]) == (1000, True)
    problem(operator.post(f"{path}/backfill", ages), 400, "validation-error")
    problem(operator.post(f"{path}/backfill", {"start": "2031-04-01"}), 400, "validation-error")
    problem(operator.post("/schedules/nobody/trigger"), 404, "schedule-not-found")


@pytest.mark.django_db
def test_schedules_are_listed_by_name(operator, viewer):
    """Page by page, and by status, workflow and prefix."""
    for name in ("c", "a1", "b", "a2"):
        operator.post("/schedules", {**NIGHTLY, "name": name})
    operator.post("/schedules/b/pause")
    with CaptureQueriesContext(connection) as queries:
        first = viewer.get("/schedules", page_size=3).json()
    assert len(reads(queries)) <= 8
    rest = viewer.get("/schedules", page_size=3, cursor=first["next"]).json()
    assert [one["name"] for one in first["results"] + rest["results"]] == ["a1", "a2", "b", "c"]
    for wanted, names in (
        ({"status": "PAUSED"}, ["b"]),
        ({"name_prefix": "a"}, ["a1", "a2"]),
        ({"workflow": "shop.other"}, []),
    ):
        assert [one["name"] for one in viewer.get("/schedules", **wanted).json()["results"]] == names
    assert viewer.get("/schedules/b").json()["next_at"] == []
    problem(viewer.get("/schedules", status="ASLEEP"), 400, "validation-error")
