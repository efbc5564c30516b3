"""What the overview warns of: in the admin, for REST and for ``durable_status``."""

from datetime import timedelta
from typing import Any

import pytest

from durable_app import clock
from durable_app.insight import health as health_module
from durable_app.insight.health import health
from durable_app.models import AppVersion, Queue, Status, Worker
from tests.test_admin.pages import made, queue, schedule, worker

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def codes() -> list[str]:
    return [banner.code for banner in health()]


def test_runs_in_a_queue_that_nobody_serves() -> None:
    """A2. Unless the queue is paused; a worker that is quiet, dead, or serves others does not count."""
    queue("mail")
    made(Status.ENQUEUED, queue_name="mail")
    assert codes() == ["no_worker"]
    worker("other", queues=["payments"])
    worker("quiet", asked_to="quiet")
    worker("dead", expires_at=clock.now() - DAY)
    [banner] = health()
    assert banner.is_error
    assert banner.subjects == ("mail",)
    assert "mail (1)" in banner.sentence
    Queue.objects.update(paused_at=clock.now())
    assert codes() == []
    Queue.objects.update(paused_at=None)
    worker("one", queues=["mail", "x"])
    assert codes() == []


def test_runs_in_a_queue_that_does_not_exist() -> None:
    """A2, 192. Whatever workers there are; the sentence names the first few."""
    worker("web")
    for number in range(5):
        made(Status.ENQUEUED, queue_name=f"q{number}")
    [banner] = health()
    assert banner.code == "no_queue"
    assert "q0 (1), q1 (1), q2 (1) and 2 more" in banner.sentence
    assert len(banner.subjects) == 5


def test_runs_of_versions_that_nobody_has() -> None:
    """A2. Also parked ones; not those that execute. A worker without a version takes any."""
    AppVersion.objects.create(name="2", latest_at=clock.now(), created_at=clock.now())
    worker("new", app_version="2")
    for status in (Status.ENQUEUED, Status.WAITING, Status.PENDING):
        made(status, app_version="1", wake_at=clock.now() + DAY)
    made(Status.ENQUEUED, app_version="2")
    made(Status.ENQUEUED, app_version=None)
    [banner] = health()
    assert (banner.code, banner.subjects) == ("no_version", ("1",))
    assert "1 (2)" in banner.sentence
    Worker.objects.update(app_version="1")
    [banner] = health()
    assert banner.subjects == ("2",)  # the latest, which the run without a version needs
    assert "2 (2)" in banner.sentence
    worker("any")
    assert codes() == []


def test_schedules_that_nobody_fires() -> None:
    """A2. Later than the grace; paused ones are not missed."""
    schedule("late", "ACTIVE", clock.now() - timedelta(minutes=1))
    schedule("resting", "PAUSED", None)
    assert codes() == []
    schedule("missed", "ACTIVE", clock.now() - timedelta(minutes=3))
    assert codes() == ["missed_schedules"]


def test_migrations_that_the_database_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A2. By name."""
    known = health_module._known_migrations()
    monkeypatch.setattr(health_module, "_known_migrations", lambda: known | {"9999_more"})
    assert next(one for one in health() if one.code == "migrations").subjects[-1] == "9999_more"


def test_very_many_runs_that_are_kept_for_ever(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A2. A warning, below all errors; none with RETENTION."""
    monkeypatch.setattr(health_module, "MANY_RUNS", 3)
    queue("mail")
    made(pk=1_000)
    made(pk=1_001)
    assert codes() == []
    made(Status.ENQUEUED, queue_name="mail", pk=1_002)
    assert codes() == ["no_worker", "retention"]
    assert [banner.is_error for banner in health()] == [True, False]
    settings.DURABLE = {"RETENTION": DAY}
    assert codes() == ["no_worker"]
