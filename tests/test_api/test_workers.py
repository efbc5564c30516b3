"""Workers over REST: who is alive, quieting, stopping, taking back runs."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from durable_app import clock
from durable_app.models import AuditEvent, Status, Worker, Workflow
from tests.test_admin.pages import made
from tests.test_admin.test_list import reads
from tests.test_api.conftest import problem
from tests.test_api.test_metrics import worker


@pytest.mark.django_db
def test_workers_as_they_are(viewer):
    """State by the lease, runs they execute; the newest first, page by page."""
    now = clock.now()
    for age, name in enumerate(("new", "old", "older")):
        worker(name, alive=name != "older")
        Worker.objects.filter(pk=name).update(started_at=now - timedelta(hours=age))
    worker("gone", stopped_at=now)
    Worker.objects.filter(pk="gone").update(started_at=now - timedelta(days=1))
    made(Status.PENDING, worker_id="old")
    made(Status.SUCCESS, worker_id="old")
    with CaptureQueriesContext(connection) as queries:
        first = viewer.get("/workers", page_size=3).json()
    assert len(reads(queries)) <= 8
    rest = viewer.get("/workers", page_size=3, cursor=first["next"]).json()
    rows = first["results"] + rest["results"]
    assert [(one["id"], one["state"], one["running"]) for one in rows] == [
        ("new", "live", 0),
        ("old", "live", 1),
        ("older", "silent", 0),
        ("gone", "ended", 0),
    ]
    assert rest["next"] is None
    assert viewer.get("/workers/old").json() == rows[1]
    problem(viewer.get("/workers/nobody"), 404, "not-found")
    problem(viewer.get("/workers", cursor="x"), 400, "invalid-cursor")


@pytest.mark.django_db
def test_what_is_asked_of_workers(operator, viewer):
    """A live one is quieted and stopped, a dead one's runs go back; the other way round is 409."""
    for name in ("live", "dead"):
        worker(name, alive=name == "live")
    run = made(Status.PENDING, worker_id="dead")
    problem(viewer.post("/workers/live/quiet"), 403, "permission-denied")
    assert operator.post("/workers/live/quiet", {"reason": "deploy"}).json()["asked_to"] == "quiet"
    assert operator.post("/workers/live/stop").json()["asked_to"] == "stop"
    problem(operator.post("/workers/live/recover"), 409, "invalid-transition")
    problem(operator.post("/workers/dead/quiet"), 409, "invalid-transition")
    problem(operator.post("/workers/nobody/stop"), 404, "not-found")
    recovered = operator.post("/workers/dead/recover").json()
    assert (recovered["state"], recovered["running"]) == ("ended", 0)
    assert Workflow.objects.get(pk=run.pk).status == Status.ENQUEUED
    found = AuditEvent.objects.filter(target_kind="worker").order_by("pk").values_list("verb", "outcome")
    assert list(found) == [
        ("quiet", "denied"),
        ("quiet", "done"),
        ("stop", "done"),
        ("recover", "refused"),
        ("quiet", "refused"),
        ("recover", "done"),
    ]
