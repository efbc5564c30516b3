"""/healthz and /readyz: what they answer, and what makes them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, override_settings

from durable_app import clock
from durable_app.models import Status
from durable_app.store import queues
from tests.test_admin.pages import made
from tests.test_api.test_metrics import worker

OPEN = {"PUBLIC": ["healthz", "readyz"]}


def asked(path: str) -> tuple[int, Any]:
    response = Client().get(f"/ops/{path}")
    assert "no-store" in response.headers["Cache-Control"]
    return response.status_code, response.json()


@pytest.mark.django_db
def test_a_process_is_well_while_its_database_answers():
    """And an answer that tells no more than that."""
    with override_settings(DURABLE={"OPS": OPEN}):
        assert asked("healthz") == (200, {"status": "ok", "database": "ok"})
    with override_settings(DURABLE={"OPS": OPEN, "DATABASE": "nowhere"}):
        assert asked("healthz") == (503, {"status": "failing", "database": "no answer"})
        assert asked("readyz") == (503, {"status": "failing", "database": "no answer"})


@pytest.mark.django_db
@override_settings(DURABLE={"OPS": OPEN})
def test_missing_workers_are_told_but_stop_no_traffic():
    """Only who asks for workers gets 503 for want of them; a paused queue waits for nobody."""
    ready = {"status": "ok", "database": "ok", "migrations": "ok", "workers": "ok"}
    assert asked("readyz") == (200, ready)
    made(Status.ENQUEUED)
    unserved = {**ready, "workers": "runs wait, and no worker serves: default"}
    assert asked("readyz") == (200, unserved)
    assert asked("readyz?require=workers") == (503, {**unserved, "status": "failing"})
    idle = worker("busy", queues=["other"])
    assert asked("readyz?require=workers")[0] == 503
    queues.pause("default", None, "")
    assert asked("readyz?require=workers") == (200, ready)
    queues.resume("default")
    idle.queues = []
    idle.save()
    assert asked("readyz?require=workers") == (200, ready)
    idle.expires_at = clock.now() - timedelta(seconds=1)
    idle.save()
    assert asked("readyz?require=workers")[0] == 503


@pytest.mark.django_db
@override_settings(DURABLE={"OPS": OPEN})
def test_a_process_is_not_ready_before_its_migrations():
    """Code that is newer than the tables answers no requests."""
    MigrationRecorder.Migration.objects.filter(app="durable_app").delete()
    status, body = asked("readyz")
    assert (status, body["status"], body["database"]) == (503, "failing", "ok")
    assert "migrate" in body["migrations"]
