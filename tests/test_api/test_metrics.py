"""/metrics: what a monitoring system is told, whom it is told, and what it costs."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings

from durable_app import clock
from durable_app.limits import Limits
from durable_app.models import Approval, Schedule, Status, Wait, Worker
from durable_app.ops import openmetrics
from durable_app.ops.openmetrics import gauge
from durable_app.ops.options import options
from durable_app.store import gauges, queues, rates
from tests.test_admin.pages import made, with_steps

NOW = datetime(2031, 5, 1, 12, 34, 30, tzinfo=UTC)
OF_LAST_MINUTE = NOW - timedelta(seconds=50)
STAMP = "1935405240.000"

FRESH = timedelta(0)


@pytest.fixture
def frozen():
    """Hold the clock half a minute into a minute."""
    clock.freeze(NOW)
    yield
    clock.release()


def ops(**changes: Any) -> Any:
    return override_settings(DURABLE={"OPS": {"PUBLIC": ["metrics"], "CACHE": FRESH, **changes}})


def scraped(**headers: str) -> str:
    response = Client().get("/ops/metrics", headers=headers)
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == openmetrics.CONTENT_TYPE
    return response.content.decode()


def samples(text: str) -> dict[str, str]:
    """Return each sample's value, by its name and labels, without its time."""
    found = [LINE.fullmatch(line) for line in text.splitlines() if not line.startswith("#")]
    return {match[1]: match[2] for match in found if match is not None}


LINE = re.compile(r"(\w+(?:\{.*\})?) (\S+)(?: \S+)?")


def worker(name: str, *, alive: bool = True, **fields: Any) -> Worker:
    now = clock.now()
    lease = timedelta(seconds=30 if alive else -1)
    values = {"pid": 1, "pid_started": "1", "process_space": name, "hostname": "host", "slots": 4, **fields}
    return Worker.objects.create(
        id=name, name=name, started_at=now, heartbeat_at=now, expires_at=now + lease, **values
    )


def test_the_format():
    """OpenMetrics 1.0: type, unit and help of each family, escaped labels, a time, the end."""
    families = [
        gauge("age_seconds", 'Of "it",\\ in\nseconds.', [({"name": 'a"b\\c\nd'}, 1.5)], NOW),
        gauge("runs", "Runs.", [({}, 3)]),
        gauge("none", "None.", []),
    ]
    assert openmetrics.text(families, prefix="x_", labels={"app": "shop"}).splitlines() == [
        "# TYPE x_age_seconds gauge",
        "# UNIT x_age_seconds seconds",
        '# HELP x_age_seconds Of \\"it\\",\\\\ in\\nseconds.',
        'x_age_seconds{app="shop",name="a\\"b\\\\c\\nd"} 1.5 1935405270.000',
        "# TYPE x_runs gauge",
        "# HELP x_runs Runs.",
        'x_runs{app="shop"} 3',
        "# TYPE x_none gauge",
        "# HELP x_none None.",
        "# EOF",
    ]


@pytest.mark.django_db
def test_nobody_is_let_in_unless_the_settings_say_so():
    """A token, or a listed address; what a proxy says of others is not believed."""
    client = Client()
    assert client.get("/ops/metrics").status_code == 403
    with override_settings(DURABLE={"OPS": {"TOKEN": "s3cret"}}):
        refused = client.get("/ops/metrics", headers={"Authorization": "Bearer s3cre"})
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        for given in ("", "s3cret", "Basic s3cret", "Bearer ", "Bearer é"):
            assert client.get("/ops/metrics", headers={"Authorization": given}).status_code == 401
        assert client.get("/ops/metrics", headers={"Authorization": "bearer s3cret"}).status_code == 200
        assert client.post("/ops/metrics").status_code == 405
    with override_settings(DURABLE={"OPS": {"IPS": ["10.1.0.0/16", "::1"]}}):
        for address, status in {"10.1.2.3": 200, "::1": 200, "10.2.0.1": 403, "": 403}.items():
            assert client.get("/ops/metrics", REMOTE_ADDR=address).status_code == status
        forwarded = client.get("/ops/metrics", headers={"X-Forwarded-For": "10.1.2.3"})
        assert forwarded.status_code == 403
    with override_settings(DURABLE={"OPS": {"PUBLIC": ["healthz"]}}):
        assert client.get("/ops/healthz").status_code == 200
        assert client.get("/ops/metrics").status_code == 403


@pytest.mark.parametrize(
    "given",
    [
        {"TOKENS": "x"},
        {"TOKEN": 1},
        {"IPS": ["10.0.0.1/8"]},
        {"PUBLIC": ["everything"]},
        {"PREFIX": "2b"},
    ],
    ids=["unknown", "type", "network", "endpoint", "prefix"],
)
def test_senseless_settings_are_refused(given):
    """A typing error must not open the door, nor close it silently."""
    with override_settings(DURABLE={"OPS": given}), pytest.raises(ImproperlyConfigured, match="OPS"):
        options()


@pytest.mark.django_db
def test_how_things_stand(frozen, django_assert_max_num_queries):
    """Backlog by queue and workflow, what runs, what is parked, questions, schedules, workers, pauses."""
    queues.register("mail", Limits(), update=True)
    queues.pause("mail", None, "")
    long_ago = NOW - timedelta(days=40)
    made(Status.ENQUEUED, enqueued_at=NOW - timedelta(seconds=7), created_at=long_ago)
    made(Status.ENQUEUED)
    made(Status.ENQUEUED, name="shop.mail", queue_name="mail")
    made(Status.PENDING, created_at=long_ago)
    made(Status.DELAYED)
    parked = made(Status.WAITING, wake_at=NOW + timedelta(days=1))
    for run in (parked, made(Status.WAITING)):
        Wait.objects.create(key="message:x", workflow=run)
    Approval.objects.create(workflow=parked, position=1, title="Pay?", created_at=NOW)
    for name, due in (("late", NOW - timedelta(hours=1)), ("soon", NOW)):
        Schedule.objects.create(
            name=name, workflow_name="w", cron="* * * * *", next_at=due, created_at=NOW, updated_at=NOW
        )
    worker("one", app_version="v2")
    worker("two", app_version="v2")
    worker("three", alive=False)
    worker("four", stopped_at=NOW)
    with ops(), django_assert_max_num_queries(60):  # on PostgreSQL a limit of time is two more each
        found = samples(scraped())
    default = 'workflow_name="shop.checkout",queue_name="default"'
    mail = 'workflow_name="shop.mail",queue_name="mail"'
    minute_ago = str((NOW - timedelta(minutes=1)).timestamp())
    expected = {
        f"durable_workflow_enqueued_count{{{default}}}": "2",
        f"durable_workflow_enqueued_count{{{mail}}}": "1",
        f"durable_workflow_oldest_enqueued_timestamp_seconds{{{default}}}": minute_ago,
        'durable_workflow_pending_count{workflow_name="shop.checkout"}': "1",
        'durable_workflow_oldest_pending_timestamp_seconds{workflow_name="shop.checkout"}': str(
            long_ago.timestamp()
        ),
        "durable_workflow_delayed_count": "1",
        "durable_workflow_waiting_count": "2",
        "durable_approval_open_count": "1",
        "durable_schedule_overdue_count": "1",
        'durable_executor_count{status="HEALTHY",application_version="v2"}': "2",
        'durable_executor_slots_count{status="HEALTHY",application_version="v2"}': "8",
        'durable_executor_count{status="DEAD",application_version=""}': "1",
        'durable_queue_paused{queue_name="mail"}': "1",
        'durable_queue_paused{queue_name="default"}': "0",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert sum(name.startswith("durable_executor_count") for name in found) == 2


@pytest.mark.django_db
def test_a_backlog_is_counted_up_to_a_limit(frozen, monkeypatch):
    """However many runs wait, a scrape looks at so many of each queue."""
    monkeypatch.setattr(gauges, "COUNTED", 2)
    for priority in (1, 2, 3):
        made(Status.ENQUEUED, priority=priority)
        made(Status.DELAYED)
        made(Status.WAITING, wake_at=NOW)
    with ops():
        found = samples(scraped())
    labels = 'workflow_name="shop.checkout",queue_name="default"'
    assert found[f"durable_workflow_enqueued_count{{{labels}}}"] == "2"
    assert found["durable_workflow_delayed_count"] == found["durable_workflow_waiting_count"] == "2"


@pytest.mark.django_db
def test_what_happened_in_the_last_minute(frozen):
    """269. The last whole minute by the clock: rates a second and longest spans, under the seed's names."""
    before, after = NOW - timedelta(minutes=2), NOW - timedelta(seconds=10)
    moments = {"created_at": OF_LAST_MINUTE, "started_at": OF_LAST_MINUTE + timedelta(seconds=3)}
    ended = OF_LAST_MINUTE + timedelta(seconds=15)
    for status in (Status.SUCCESS, Status.SUCCESS, Status.ERROR, Status.CANCELLED):
        run = made(status, finished_at=ended, **moments)
        with_steps(run, "charge", "ship", fails=status == Status.ERROR)
    made(Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED, finished_at=ended, created_at=before, started_at=before)
    made(Status.SUCCESS, finished_at=after, created_at=after, started_at=after)
    made(Status.SUCCESS, finished_at=before, created_at=before, started_at=before)
    made(Status.PENDING, queue_name=None, **moments)
    made(Status.PENDING, created_at=before, started_at=OF_LAST_MINUTE)
    with ops():
        text = scraped()
    found = samples(text)
    queued = '{workflow_name="shop.checkout",queue_name="default"}'
    called = '{workflow_name="shop.checkout",queue_name=""}'
    expected = {
        f"durable_workflow_started_rate{queued}": 4 / 60,
        f"durable_workflow_started_rate{called}": 1 / 60,
        f"durable_workflow_dequeued_rate{queued}": 5 / 60,
        f"durable_workflow_success_rate{queued}": 2 / 60,
        f"durable_workflow_failed_rate{queued}": 2 / 60,
        f"durable_workflow_cancelled_rate{queued}": 1 / 60,
        f"durable_workflow_max_queue_wait_seconds{queued}": 3.0,
        f"durable_workflow_max_total_latency_seconds{queued}": 15.0,
        'durable_step_success_rate{function_name="charge"}': 4 / 60,
        'durable_step_success_rate{function_name="ship"}': 3 / 60,
        'durable_step_failed_rate{function_name="ship"}': 1 / 60,
        'durable_step_max_duration_seconds{function_name="charge"}': 0.8,
    }
    assert {name: float(found[name]) for name in expected} == pytest.approx(expected, abs=1e-5)
    assert f"durable_workflow_dequeued_rate{called}" not in found
    assert 'durable_step_failed_rate{function_name="charge"}' not in found
    timed = [line for line in text.splitlines() if line.startswith("durable_workflow_success_rate")]
    assert [line.split()[-1] for line in timed] == [STAMP]


@pytest.mark.django_db
def test_a_busy_minute_is_measured_at_its_end(frozen, monkeypatch):
    """More rows than are worth counting: the rate is that of the part that was looked at."""
    monkeypatch.setattr(rates, "SIZES", (1, 2))
    end = NOW.replace(second=0)
    for seconds in (50, 40, 20, 10):  # before the minute's end
        moment = end - timedelta(seconds=seconds)
        made(Status.SUCCESS, created_at=moment, started_at=moment, finished_at=moment)
    with ops():
        found = samples(scraped())
    queued = '{workflow_name="shop.checkout",queue_name="default"}'
    assert float(found[f"durable_workflow_success_rate{queued}"]) == pytest.approx(2 / 40)
    assert float(found[f"durable_workflow_started_rate{queued}"]) == pytest.approx(2 / 40)


@pytest.mark.django_db
def test_many_who_ask_cost_as_much_as_one(django_assert_num_queries):
    """A process answers with the same figures for a while, and the names are the project's to choose."""
    clock.freeze(NOW + timedelta(days=1))
    try:
        with ops(CACHE=timedelta(hours=1), PREFIX="dbos_conductor_v1_", APPLICATION="shop"):
            text = scraped()
            with django_assert_num_queries(0):
                assert scraped() == text
    finally:
        clock.release()
    assert 'dbos_conductor_v1_queue_paused{application="shop",queue_name="default"} 0' in text
    assert 'dbos_conductor_v1_workflow_delayed_count{application="shop"} 0' in text
