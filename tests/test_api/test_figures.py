"""Statistics, audit and versions over REST."""

from datetime import timedelta

import pytest

from durable_app import clock
from durable_app.models import AuditEvent, Status
from durable_app.store import versions
from tests.test_admin.pages import made
from tests.test_api.conftest import problem
from tests.test_api.test_metrics import worker


@pytest.mark.django_db
def test_the_overview_and_its_figures_over_time(viewer, holder, django_assert_max_num_queries):
    """The admin's overview as JSON: spans in milliseconds, times in UTC."""
    made(Status.ENQUEUED)
    made(Status.ERROR)
    made(Status.SUCCESS)
    with django_assert_max_num_queries(40):
        found = viewer.get("/stats/overview", window_ms=3_600_000).json()
    assert (found["window_ms"], found["bin_ms"]) == (3_600_000, 60_000)
    assert (found["counts"]["waiting"], found["counts"]["failed"]) == (1, 1)
    assert [one["code"] for one in found["banners"]] == ["no_worker"]
    assert found["at"].endswith("Z")
    assert found["failures"][0]["error"] == "shop.Declined"
    series = viewer.get("/stats/timeseries", window_ms=3_600_000).json()
    assert series["bins"] == found["throughput"]
    assert sum(one["succeeded"] + one["failed"] for one in series["bins"]) == 2
    assert len(viewer.get("/stats/timeseries").json()["bins"]) in (49, 50)
    for path in ("/stats/overview", "/stats/timeseries"):
        problem(viewer.get(path, window_ms=0), 400, "validation-error")
        problem(viewer.get(path, window_ms=10**15), 400, "validation-error")
        problem(holder("view_queue", name=f"other {path}").get(path), 403, "permission-denied")


@pytest.mark.django_db
def test_the_audit_is_read_page_by_page(operator, viewer):
    """Newest first, by who, what, to which and when; secrets in the details are not shown."""
    now = clock.now()
    for number, verb in enumerate(("pause", "cancel", "cancel")):
        AuditEvent.objects.create(
            at=now - timedelta(hours=number),
            verb=verb,
            outcome="done",
            actor_kind="user",
            actor_label="ann" if number else "bob",
            target_kind="workflow",
            target_id=f"run-{number}",
            details={"token": "x", "n": number},
        )
    problem(viewer.get("/audit"), 403, "permission-denied")
    first = operator.get("/audit", page_size=2).json()
    rest = operator.get("/audit", page_size=2, cursor=first["next"]).json()
    rows = first["results"] + rest["results"]
    assert [one["target_id"] for one in rows] == ["run-2", "run-1", "run-0"]
    assert rows[0]["details"] == {"token": "•••", "n": 2}
    hour_ago = (now - timedelta(minutes=30)).isoformat()
    for wanted, count in (
        ({"verb": "cancel"}, 2),
        ({"actor": "bob"}, 1),
        ({"target_id": "run-1", "target_kind": "workflow"}, 1),
        ({"outcome": "denied"}, 0),
        ({"since": hour_ago}, 1),
        ({"until": hour_ago}, 2),
    ):
        assert len(operator.get("/audit", **wanted).json()["results"]) == count, wanted
    for wrong in ({"outcome": "maybe"}, {"since": "yesterday"}, {"user": "ann"}):
        problem(operator.get("/audit", **wrong), 400, "validation-error")


@pytest.mark.django_db
def test_versions_and_who_has_them(viewer):
    """The latest first, with how many live workers have each."""
    for name in ("v1", "v2"):
        versions.register(name)
    worker("one", app_version="v1")
    worker("two", app_version="v1", alive=False)
    found = viewer.get("/versions").json()["results"]
    assert [(one["name"], one["is_latest"], one["workers"]) for one in found] == [
        ("v2", True, 0),
        ("v1", False, 1),
    ]
