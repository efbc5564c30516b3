"""The overview: what it counts, what it warns of, where its figures lead, and what it costs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from durable_app import InvalidOptionError, clock
from durable_app.admin import chart
from durable_app.admin.overview import OverviewAdmin
from durable_app.control.actors import Actor, Policy
from durable_app.errors import QueryTimeoutError
from durable_app.insight.overview import Bin, bin_of, class_of, overview
from durable_app.models import (
    Approval,
    Overview,
    QueueStart,
    Status,
    Wait,
)
from tests.test_admin.pages import inspected, made, queue, schedule, worker
from tests.test_admin.test_list import reads

pytestmark = pytest.mark.django_db

URL = "/admin/durable_app/overview/"
DAY = timedelta(days=1)


@pytest.fixture
def shop() -> None:
    """Write a bit of everything."""
    now = clock.now()
    worker("web")
    worker("idle", asked_to="quiet")
    worker("silent", expires_at=now - DAY)
    worker("over", stopped_at=now)
    queue("mail", concurrency=4, limiter_limit=10, limiter_period=timedelta(minutes=1))
    QueueStart.objects.create(queue="mail", started_at=now)
    QueueStart.objects.create(queue="mail", started_at=now - timedelta(minutes=5))
    made(Status.PENDING, queue_name="mail")
    made(Status.PENDING, queue_name=None)
    for minutes in (3, 90):
        made(Status.ENQUEUED, queue_name="mail", enqueued_at=now - timedelta(minutes=minutes))
    made(Status.DELAYED)
    made(Status.WAITING, wake_at=now + DAY)
    parked = made(Status.WAITING)
    Wait.objects.create(key="result:x", workflow=parked)
    Wait.objects.create(key="result:y", workflow=parked)
    Approval.objects.create(workflow=parked, position=1, title="Really?", created_at=now)
    ended = made(Status.SUCCESS, finished_at=now - timedelta(hours=2), queue_name="mail")
    Approval.objects.create(workflow=ended, position=1, title="Too late", created_at=now)
    made(Status.SUCCESS, finished_at=now - timedelta(days=3))
    for number in range(3):
        made(Status.ERROR, finished_at=now - timedelta(minutes=number), attributes={"tenant": "a"})
    made(Status.ERROR, name="mail.send", error='{"name":"Remote \\"one\\"","message":"x"}')
    made(Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED)
    made(Status.CANCELLED)
    schedule("soon", "ACTIVE", now + timedelta(minutes=5))
    schedule("later", "ACTIVE", now + timedelta(hours=5))
    schedule("late", "ACTIVE", now - timedelta(hours=1))
    schedule("resting", "PAUSED", None)


@pytest.mark.usefixtures("shop")
def test_it_counts_what_is_and_what_was() -> None:
    """A2. Each run once, whatever it waits for; what ended before the window is not counted."""
    found = overview(DAY)
    counts = found.counts
    assert (counts.running, counts.waiting, counts.delayed, counts.parked) == (2, 2, 1, 2)
    assert (counts.succeeded, counts.failed, counts.cancelled, counts.approvals) == (1, 5, 1, 1)
    assert counts.oldest_at is not None
    assert found.at - counts.oldest_at > timedelta(minutes=89)
    assert sum(one.total for one in found.throughput) == 7
    assert overview(timedelta(days=7)).counts.succeeded == 2
    assert overview(timedelta(minutes=30)).counts.succeeded == 0

    mail = next(line for line in found.queues if line.name == "mail")
    assert (mail.waiting, mail.running, mail.concurrency, mail.starts) == (2, 1, 4, 1)
    assert (mail.exists, mail.has_worker, mail.is_paused) == (True, True, False)
    assert sum(mail.ended) == 1
    assert len(mail.ended) == len(found.throughput)

    failures = {(one.workflow, one.status, one.error): one.count for one in found.failures}
    assert failures == {
        ("shop.checkout", "ERROR", "shop.Declined"): 3,
        ("mail.send", "ERROR", 'Remote "one"'): 1,
        ("shop.checkout", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", ""): 1,
    }
    assert found.failures[0].count == 3
    assert not found.is_sampled

    assert [name for name, _at in found.schedules.due] == ["soon"]
    assert (found.schedules.missed, found.schedules.paused) == (("late",), ("resting",))
    workers = found.workers
    assert (workers.live, workers.quiet, workers.silent, workers.slots) == (2, 1, 1, 16)
    assert [one.code for one in found.banners] == ["missed_schedules"]


def test_of_nothing_there_is_an_overview_too(boss: Client) -> None:
    """A2. No rows, no banners, a chart without columns."""
    found = overview(timedelta(hours=1))
    assert found.banners == ()
    assert [line.name for line in found.queues] == ["default"]
    assert {one.total for one in found.throughput} == {0}
    assert boss.get(URL).status_code == 200


@pytest.mark.parametrize("hours", [0, -1, 24 * 400])
def test_a_senseless_window_is_an_error(hours: int) -> None:
    """A2. Zero, negative, above a year."""
    with pytest.raises(InvalidOptionError, match="window"):
        overview(timedelta(hours=hours))


def test_the_spans_of_a_window_follow_one_another() -> None:
    """A2. At most sixty and one, from the window's beginning to now."""
    for window in (timedelta(minutes=1), timedelta(hours=1), DAY, timedelta(days=7), timedelta(days=366)):
        found = overview(window)
        starts = [one.since for one in found.throughput]
        assert starts[0] <= found.at - window < starts[0] + found.bin
        assert starts[-1] <= found.at < starts[-1] + found.bin
        assert {after - before for before, after in zip(starts, starts[1:], strict=False)} <= {found.bin}
        assert len(starts) <= 61
    assert bin_of(DAY) == timedelta(minutes=30)


def test_an_error_tells_its_class_also_when_it_is_cut() -> None:
    """A2. The beginning is enough; what is no error of ours has none."""
    assert class_of('{"type":"a.B","message":"' + "x" * 100) == "a.B"
    assert class_of('{"name":"R"}') == "R"
    assert class_of('{"type":"unfinished') == ""
    assert class_of("Traceback") == class_of(None) == class_of("") == ""


class TenantA(Policy):
    """Shows the runs of one tenant."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.with_attributes({"tenant": "a"})


@pytest.mark.usefixtures("shop")
def test_it_counts_what_the_policy_shows(settings: Any, staff: Any) -> None:
    """A9. In every figure; without an actor all runs count."""
    settings.DURABLE = {"POLICY": f"{__name__}.TenantA"}
    made(Status.ENQUEUED, queue_name="unknown", attributes={"tenant": "b"})
    found = overview(DAY, Actor(kind="user", id="1", label="ann"))
    counts = found.counts
    assert (counts.running, counts.waiting, counts.delayed, counts.parked) == (0, 0, 0, 0)
    assert (counts.succeeded, counts.failed, counts.cancelled, counts.approvals) == (0, 3, 0, 0)
    assert [one.count for one in found.failures] == [3]
    assert "no_queue" not in {one.code for one in found.banners}
    assert "unknown" not in {line.name for line in found.queues}
    assert overview(DAY).counts.failed == 5
    assert "unknown" not in staff("view_workflow").get(URL).content.decode()


# The page


@pytest.mark.usefixtures("shop")
def test_every_figure_leads_to_the_runs_it_counts(boss: Client) -> None:
    """A2. The list behind a link holds as many; nothing is inline."""
    response: Any = boss.get(URL)
    page = inspected(response)
    context: Any = response.context_data
    expected = {figure.url: figure.value for figure in context["figures"]}
    expected |= {one["url"]: str(one["failure"].count) for one in context["failures"]}
    mail = next(one for one in context["queues"] if one["line"].name == "mail")
    expected |= {mail["waiting_url"]: "2", mail["running_url"]: "1", mail["ended_url"]: mail["ended"]}
    links = {attrs["href"] for tag, attrs in page.elements if tag == "a" and "href" in attrs}
    assert len(expected) == 7 + 3 + 3
    for url, value in expected.items():
        assert url in links
        shown: Any = boss.get(url)
        assert shown.status_code == 200, url
        assert str(len(shown.context_data["cl"].result_list)) == value, url

    text = response.content.decode()
    assert "Schedules are overdue" in text
    assert "Really?" not in text
    for one in context["failures"]:
        asked = boss.get(one["retry_url"])
        assert asked.status_code == 200
        assert f"{one['failure'].count} runs are meant" in asked.content.decode()


@pytest.mark.usefixtures("shop")
def test_it_costs_few_queries_however_much_there_is(staff: Any) -> None:
    """A11.8. At most fifteen, for a user whose permissions are asked for."""
    client = staff("view_workflow", "fork_workflow", "view_queue", "view_worker", "view_schedule")
    for number in range(6):
        queue(f"limited{number}", limiter_limit=5, limiter_period=timedelta(minutes=number + 1))
        made(Status.ENQUEUED, queue_name=f"limited{number}")
        made(Status.ERROR, name=f"fails{number}")
    with CaptureQueriesContext(connection) as queries:
        assert client.get(URL).status_code == 200
    assert len(reads(queries)) <= 15, "\n".join(reads(queries))


def test_the_window_is_chosen_by_a_link(boss: Client) -> None:
    """A2. Another one is 400; what is live is the body alone."""
    for window in ("1h", "24h", "7d"):
        chosen: Any = boss.get(URL, {"window": window})
        assert chosen.context_data["window"] == window
    wrong = boss.get(URL, {"window": "<script>"})
    assert wrong.status_code == 400
    inspected(wrong)
    part = boss.get(URL, headers={"X-Durable-Fragment": "overview"})
    assert b"<html" not in part.content
    assert b"Ended runs" in part.content
    assert "no-store" in part.headers["Cache-Control"]


def test_too_slow_is_said_on_a_page(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A11.5. 503 and a sentence, not a 500."""

    def slow(*args: Any) -> None:
        raise QueryTimeoutError(1)

    monkeypatch.setattr("durable_app.admin.overview.overview", slow)
    assert boss.get(URL).status_code == 503


@pytest.mark.usefixtures("shop")
def test_links_are_for_those_who_may_follow_them(staff: Any) -> None:
    """A9. Who may not see queues sees their figures here, and no link; verbs need their permission."""
    text = staff("view_workflow").get(URL).content.decode()
    assert "/admin/durable_app/workflow/?" in text
    for other in ("All queues", "All schedules", "All workers", "Retry all", "durable_app/approval"):
        assert other not in text
    assert staff("view_queue", name="ben").get(URL).status_code == 403
    assert Client().get(URL).status_code == 302


@pytest.mark.usefixtures("shop")
def test_a_site_without_the_other_entries_shows_figures_without_links(rf: Any) -> None:
    """A0. Registered alone."""
    from django.contrib.auth.models import User  # noqa: PLC0415

    site = AdminSite(name="admin")
    site.register(Overview, OverviewAdmin)
    request = rf.get(URL)
    request.user = User.objects.create_superuser("root")
    response = OverviewAdmin(Overview, site).changelist_view(request)
    assert {figure.url for figure in response.context_data["figures"]} == {""}
    assert {one["retry_url"] for one in response.context_data["failures"]} == {""}


def test_there_is_no_way_to_a_row_through_it(boss: Client) -> None:
    """A9. A proxy's own change page would show payloads to those who may not see them."""
    run = made()
    for end in (f"{run.pk}/change/", f"{run.pk}/delete/", f"{run.pk}/history/", "add/"):
        assert boss.get(f"{URL}{end}").status_code == 404
    assert reverse("admin:durable_app_overview_changelist") == URL


def test_hostile_names_do_nothing(boss: Client) -> None:
    """In a queue's, workflow's, error's and schedule's name."""
    evil = '"><script>alert(1)</script>'
    made(Status.ERROR, name=evil, error='{"type":"' + "<img src=x onerror=alert(1)>" + '","message":""}')
    made(Status.ENQUEUED, queue_name=evil, app_version=evil)
    schedule(evil, "PAUSED", None)
    worker(evil, app_version=evil)
    inspected(boss.get(URL))


@pytest.mark.usefixtures("shop")
def test_names_of_queues_lead_to_their_pages(boss: Client, viewer: Client) -> None:
    """A2. For those who may see queues; also to one that only has runs."""
    made(Status.ENQUEUED, queue_name="odd/name")
    page: Any = boss.get(URL)
    for line in page.context_data["queues"]:
        assert boss.get(line["url"]).status_code == 200, line["url"]
    page = viewer.get(URL)
    assert {line["url"] for line in page.context_data["queues"]} == {""}


# The chart


def test_columns_are_as_high_as_what_they_stand_for() -> None:
    """A2. Stacked without a gap; one failure among a thousand can be seen."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    bins = [
        Bin(since=start, succeeded=60, failed=20, cancelled=20),
        Bin(since=start, succeeded=0, failed=0, cancelled=0),
    ]
    drawn = chart.throughput(bins, timedelta(minutes=1))
    full, empty = drawn.columns
    assert [(piece.kind, piece.y, piece.height) for piece in full.pieces] == [
        ("is-ok", "48.0", "72.0"),
        ("is-bad", "24.0", "24.0"),
        ("is-idle", "0.0", "24.0"),
    ]
    assert empty.pieces == ()
    assert drawn.rows == [full]
    assert (full.x, empty.x, full.width) == ("5.000%", "55.000%", "40.000%")
    rare = chart.throughput([Bin(since=start, succeeded=999, failed=1, cancelled=0)], timedelta(minutes=1))
    assert rare.columns[0].pieces[1].height == "1.0"
    assert chart.throughput([], timedelta(minutes=1)).columns == ()


def test_the_axis_ends_at_a_round_number() -> None:
    """A2. Never below what is drawn."""
    assert [chart.round_above(count) for count in (0, 1, 2, 3, 5, 11, 21, 401, 4_001)] == [
        2, 2, 2, 4, 10, 20, 40, 1_000, 10_000,
    ]  # fmt: skip
    assert chart.gauge(1, None) == chart.gauge(1, 0) == ""
    assert (chart.gauge(5, 10), chart.gauge(20, 10)) == ("50.0%", "100.0%")
    assert chart.spark([0, 0]) == []
    assert [height for *_rest, height in chart.spark([1, 0, 2])] == ["10.0", "20.0"]
