"""Queues over REST: how full they are, their limits, pausing."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from durable_app import register_queue
from durable_app.models import AuditEvent, Queue, Status
from tests.test_admin.pages import made
from tests.test_admin.test_list import reads
from tests.test_api.conftest import problem
from tests.test_queues.rows import queue


@pytest.mark.django_db
def test_queues_as_they_are(viewer):
    """All queues with their counts, also one that only a run names; one by its name."""
    queue("mail", concurrency=3, limiter={"limit": 5, "period": 60})
    made(Status.ENQUEUED, queue_name="mail")
    made(Status.PENDING, queue_name="mail")
    made(Status.DELAYED, queue_name="elsewhere")
    with CaptureQueriesContext(connection) as queries:
        found = {one["name"]: one for one in viewer.get("/queues").json()["results"]}
    assert len(reads(queries)) <= 8
    mail = found["mail"]
    assert (mail["waiting"], mail["running"], mail["delayed"]) == (1, 1, 0)
    assert mail["limits"]["limiter"] == {"limit": 5, "period_ms": 60_000}
    assert mail["oldest_at"].endswith("Z")
    assert (found["elsewhere"]["is_served"], found["elsewhere"]["delayed"]) == (False, 1)
    assert found["default"]["is_served"]
    assert viewer.get("/queues/mail").json() == mail
    problem(viewer.get("/queues/nowhere"), 404, "queue-not-found")
    problem(viewer.get("/queues/default", all="1"), 400, "validation-error")


@pytest.mark.django_db
def test_limits_are_changed_by_those_who_have_seen_them(operator, viewer):
    """All or none, audited old and new; a stale ETag is 412 and changes nothing."""
    queue("mail", concurrency=3, limiter={"limit": 5, "period": 60})
    seen = operator.get("/queues/mail").headers["ETag"]
    problem(viewer.patch("/queues/mail", {"concurrency": 4}), 403, "permission-denied")
    changed = operator.patch(
        "/queues/mail",
        {
            "concurrency": 9,
            "limiter": None,
            "partition_limiter": {"limit": 1, "period_ms": 500},
            "reason": "x",
        },
        If_Match=seen,
    )
    limits = changed.json()["limits"]
    assert (limits["concurrency"], limits["limiter"]) == (9, None)
    assert limits["partition_limiter"] == {"limit": 1, "period_ms": 500}
    assert changed.headers["ETag"] != seen
    events = AuditEvent.objects.filter(target_kind="queue").order_by("pk")
    assert [one.outcome for one in events] == ["denied", "done"]
    assert events[1].details["before"] == {"concurrency": 3, "limiter": {"limit": 5, "period": 60.0}}
    assert events[1].reason == "x"
    stale = operator.patch("/queues/mail", {"concurrency": 1}, If_Match=seen)
    problem(stale, 412, "precondition-failed")
    assert stale.headers["ETag"] == changed.headers["ETag"]
    assert (
        operator.patch("/queues/mail", {"concurrency": 8}, If_Match=stale.headers["ETag"]).status_code == 200
    )
    assert operator.patch("/queues/mail", {"concurrency": 7}).json()["limits"]["concurrency"] == 7


@pytest.mark.django_db
def test_limits_that_do_not_fit_together_are_both_pointed_at(operator):
    """25. And a pause that would end before it begins."""
    register_queue("tuned", concurrency=2)
    found = problem(operator.patch("/queues/tuned", {"worker_concurrency": 3}), 400, "validation-error")
    assert [one["pointer"] for one in found["errors"]] == ["/worker_concurrency", "/concurrency"]
    past = operator.post("/queues/tuned/pause", {"until": "2020-01-01T00:00:00Z"})
    assert [one["pointer"] for one in problem(past, 400, "validation-error")["errors"]] == ["/until"]


@pytest.mark.django_db
def test_senseless_limits_change_nothing(operator):
    """Each is told where it is wrong."""
    queue("mail", concurrency=3)
    for body, pointer in (
        ({"concurrency": 0}, "/concurrency"),
        ({"concurrency": "4"}, "/concurrency"),
        ({"concurrency": True}, "/concurrency"),
        ({"concurency": 4}, "/concurency"),
        ({"limiter": {"limit": 1}}, "/limiter/period_ms"),
        ({"limiter": {"limit": 1, "period_ms": 0}}, "/limiter/period_ms"),
        ({"limiter": {"limit": 1, "period_ms": 5, "x": 1}}, "/limiter/x"),
        ({"limiter": [1]}, "/limiter"),
        ({}, ""),
    ):
        found = problem(operator.patch("/queues/mail", body), 400, "validation-error")
        assert [one["pointer"] for one in found["errors"]] == [pointer], body
    problem(operator.patch("/queues/mail", {"worker_concurrency": 4}), 400, "validation-error")
    problem(operator.patch("/queues/nowhere", {"concurrency": 4}), 404, "queue-not-found")
    assert Queue.objects.get(name="mail").concurrency == 3


@pytest.mark.django_db
def test_a_queue_is_paused_and_resumed(operator, viewer, anonymous):
    """With a reason and an end; who may only look is denied, and that is recorded."""
    queue("mail")
    paused = operator.post(
        "/queues/mail/pause", {"until": "2090-01-01T00:00:00+02:00", "reason": "tax"}
    ).json()
    assert paused["is_paused"]
    assert paused["paused_until"] == "2089-12-31T22:00:00Z"
    assert paused["pause_reason"].startswith("tax")
    problem(viewer.post("/queues/mail/resume"), 403, "permission-denied")
    problem(anonymous.post("/queues/mail/resume"), 403, "not-authenticated")
    assert AuditEvent.objects.filter(verb="resume", outcome="denied", target_id="mail").count() == 1
    assert not operator.post("/queues/mail/resume").json()["is_paused"]
    problem(operator.post("/queues/nowhere/pause"), 404, "queue-not-found")
    problem(operator.post("/queues/mail/pause", {"until": "2090-01-01"}), 400, "validation-error")
    problem(operator.post("/queues/mail/pause", "[1"), 400, "malformed-body")
