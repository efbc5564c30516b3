"""Queues in the admin: how full they are, what holds them up, and the verbs on them.

Every name begins with "qp": what other tests declare is in the list, too.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from durable_app import clock
from durable_app.admin.queues.admin import QueueAdmin
from durable_app.admin.queues.drawing import BUCKET, BUCKETS, first_bucket, hours
from durable_app.errors import QueryTimeoutError
from durable_app.limits import Limits, RateLimit
from durable_app.models import AuditEvent, Queue, QueueStart, Status
from durable_app.registry import DeclaredQueue
from durable_app.store import activity, occupancy, queues
from durable_app.store.activity import Ended
from tests.test_admin.pages import inspected, made
from tests.test_admin.test_list import reads
from tests.test_admin.test_worker_pages import present

pytestmark = pytest.mark.django_db

LIST = "/admin/durable_app/queue/"

MINUTE = timedelta(minutes=1)


def queue(name: str, **limits: Any) -> str:
    queues.register(name, Limits(**limits), update=True)
    return name


def declared(name: str, **limits: Any) -> str:
    said = DeclaredQueue(
        limits=Limits(**limits), polling_interval=None, priority_enabled=True, location="shop.py:1"
    )
    queues.declare(name, said, update=True)
    return name


def page_of(name: str) -> str:
    return reverse("admin:durable_app_queue_change", args=[quote(name)])


def verb_page(name: str, verb: str) -> str:
    return reverse("admin:durable_app_queue_verb", args=[quote(name), verb])


def row_of(client: Client, name: str) -> Any:
    """Return a queue as the list shows it."""
    response: Any = client.get(LIST, {"q": name})
    assert response.status_code == 200
    [row] = [one for one in response.context_data["rows"] if one.found.queue.name == name]
    return row


def started(name: str, *ago: timedelta) -> None:
    for span in ago:
        QueueStart.objects.create(queue=name, started_at=clock.now() - span)


def crowded(name: str) -> None:
    """Fill a queue with all that its page shows."""
    queue(
        name,
        concurrency=5,
        worker_concurrency=2,
        partition_concurrency=1,
        limiter=RateLimit(limit=2, period=MINUTE),
    )
    worker = present(f"{name}-worker")
    for status in (Status.ENQUEUED, Status.DELAYED, Status.PENDING, Status.SUCCESS, Status.ERROR):
        made(status, queue_name=name, partition_key="k", worker=worker)
    started(name, timedelta(0), timedelta(seconds=40))


# looking


def test_the_pages_cost_few_queries_however_many_queues_there_are(staff: Any) -> None:
    """A11.8. Eight for the list and fifteen for a page at most, for one whose permissions are asked for."""
    client = staff("view_queue", "view_workflow", "view_worker", "pause_queue", "cancel_workflow")
    for number in range(4):
        crowded(f"qp-busy-{number}")
        queues.pause(f"qp-busy-{number}", None, "")
    for url, budget in ((LIST, 8), (page_of("qp-busy-0"), 15)):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        assert len(reads(queries)) <= budget, "\n".join(reads(queries))


def test_a_queue_is_shown_as_full_as_it_is(boss: Client) -> None:
    """A7. Gauge, rate, what left it within the hour, and links to the runs that are counted."""
    crowded("qp-full")
    row = row_of(boss, "qp-full")
    found = row.found
    assert (found.waiting, found.delayed, found.running) == (1, 1, 1)
    assert (row.gauge.width, row.gauge.is_full) == ("20.0%", False)
    assert (row.rate.used, row.rate.limit, row.rate.is_full) == (2, 2, True)
    assert timedelta(seconds=15) < found.next_start_at - clock.now() <= timedelta(seconds=20)
    assert (row.hour.total, row.hour.failed) == (2, 1)
    assert row.is_attended
    text = boss.get(LIST, {"q": "qp-full"}).content.decode()
    assert "/admin/durable_app/workflow/?window=all&amp;queue=qp-full&amp;status=ENQUEUED" in text
    assert "2 in each worker" in text

    page: Any = boss.get(page_of("qp-full"))
    [line] = page.context_data["partitions"]
    assert (line["key"], line["waiting"], line["running"]) == ("k", 1, 1)
    [server] = [one for one in page.context_data["servers"] if one.name == "qp-full-worker"]
    assert (server.running, server.is_full) == (1, False)
    assert any("Its rate limit is reached" in one for one in page.context_data["hold_ups"])
    for look in (page, boss.get(LIST)):
        inspected(look)


def test_a_name_without_a_queue_is_visible_and_can_be_created(boss: Client) -> None:
    """A7. Runs that wait for nobody are told of; a queue for them is one verb away."""
    made(Status.ENQUEUED, queue_name="qp-typo")
    assert not row_of(boss, "qp-typo").found.is_served
    assert "No such queue" in boss.get(LIST, {"q": "qp-typo"}).content.decode()
    text = boss.get(page_of("qp-typo")).content.decode()
    assert "There is no queue of this name" in text
    assert verb_page("qp-typo", "create") in text
    assert verb_page("qp-typo", "pause") not in text
    boss.post(verb_page("qp-typo", "pause"))
    assert AuditEvent.objects.latest("pk").outcome == "failed"

    boss.post(verb_page("qp-typo", "create"))
    assert Queue.objects.get(pk="qp-typo").limits == Limits()
    boss.post(verb_page("qp-typo", "create"))
    assert list(AuditEvent.objects.order_by("-pk").values_list("outcome", flat=True)[:2]) == [
        "refused",
        "done",
    ]
    for nothing in ("qp-nothing", "\0", "x" * 300):
        assert boss.get(page_of(nothing)).status_code == 404


def test_a_backlog_that_nobody_serves_is_told(boss: Client) -> None:
    """A2, A7. A worker for other queues, one that was asked to stop and a dead one do not count."""
    queue("qp-left")
    made(Status.ENQUEUED, queue_name="qp-left")
    present("qp-other", queues=["mail"])
    present("qp-leaving", asked_to="stop")
    present("qp-dead", expires_at=clock.now() - MINUTE)
    assert row_of(boss, "qp-left").is_stuck
    assert "no live worker serves it" in boss.get(page_of("qp-left")).content.decode()
    present("qp-all")
    assert not row_of(boss, "qp-left").is_stuck


def test_hostile_and_odd_names_are_only_text(boss: Client) -> None:
    """In every place that shows them, and as links that work."""
    for name in ('qp/"><script>alert(1)</script>', "qp ?&=%#+ü:_5F", "qp'\\\n…", "qp" + "x" * 250):
        queue(name, concurrency=1)
        queues.pause(name, None, "<img onerror=1>")
        made(Status.ENQUEUED, queue_name=name)
        for url in (page_of(name), verb_page(name, "configure"), f"{LIST}{quote(name)}/history/"):
            response = boss.get(url)
            assert response.status_code == 200, url
            inspected(response)
        boss.post(verb_page(name, "resume"))
        assert not row_of(boss, name).found.queue.is_paused
    assert "<script>alert" not in boss.get(LIST).content.decode()


def test_the_list_is_searched_filtered_and_paged_by_name(boss: Client, settings: Any) -> None:
    """A7. In the order of names; what no page of ours links to is 400."""
    settings.DURABLE = {"ADMIN": {"PAGE_SIZE": 2}}
    for name in ("qp-a", "qp-b", "qp-c"):
        queue(name)
    made(Status.ENQUEUED, queue_name="qp-b")
    queues.pause("qp-c", None, "")

    def names(response: Any) -> list[str]:
        return [row.found.queue.name for row in response.context_data["rows"]]

    first: Any = boss.get(LIST, {"q": "QP-"})
    assert names(first) == ["qp-a", "qp-b"]
    second: Any = boss.get(LIST + first.context_data["next_url"])
    assert (names(second), second.context_data["next_url"]) == (["qp-c"], "")
    assert names(boss.get(LIST + second.context_data["first_url"])) == names(first)
    assert names(boss.get(LIST, {"q": "qp-", "show": "waiting"})) == ["qp-b"]
    assert names(boss.get(LIST, {"q": "qp-", "show": "paused"})) == ["qp-c"]
    for wrong in ({"show": "x"}, {"name": "qp-a"}):
        assert boss.get(LIST, wrong).status_code == 400


def test_only_the_changing_part_is_sent_to_a_page_that_refreshes(boss: Client) -> None:
    """A3. Of the list and of a page."""
    queue("qp-live")
    for url, region in ((LIST, "queues"), (page_of("qp-live"), "queue")):
        whole = boss.get(url).content.decode()
        part = boss.get(url, headers={"X-Durable-Fragment": region}).content.decode()
        assert f'data-durable-region="{region}"' in whole
        assert "<html" not in part
        assert "qp-live" in part


def test_a_site_without_runs_has_no_links_to_them(db: None) -> None:
    """A0. On a project's own site, with its own choice of entries."""
    queue("qp-alone")
    made(Status.ENQUEUED, queue_name="qp-alone")
    request = RequestFactory().get("/")
    request.user = User.objects.create_superuser("root")
    admin = QueueAdmin(Queue, AdminSite(name="alone"))
    [row] = [one for one in admin.rows(request, occupancy.occupancies(), []) if one.found.waiting]
    assert row.found.queue.name == "qp-alone"
    assert row.urls["waiting"] == ""


def test_counting_that_takes_too_long_is_said(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A11.5. On a page, not as a 500."""
    queue("qp-slow-look")

    def counted(*args: Any) -> Any:
        raise QueryTimeoutError(30)

    monkeypatch.setattr(activity, "ended", counted)
    for url in (LIST, page_of("qp-slow-look")):
        response = boss.get(url)
        assert response.status_code == 503
        assert "Counting takes too long" in response.content.decode()


# the store's figures


def test_a_lowered_rate_limit_waits_for_as_many_starts_as_it_allows(db: None) -> None:
    """Behind three starts and a limit of two, the next one starts when the second newest has left."""
    queue("qp-rate", limiter=RateLimit(limit=2, period=MINUTE))
    queue("qp-slow", limiter=RateLimit(limit=1, period=timedelta(hours=1)))
    started("qp-rate", timedelta(seconds=50), timedelta(seconds=30), timedelta(seconds=10), 2 * MINUTE)
    started("qp-slow", 2 * MINUTE)
    found = {one.queue.name: one for one in occupancy.occupancies()}
    rate, slow = found["qp-rate"], found["qp-slow"]
    assert (rate.starts, slow.starts) == (2, 1)
    assert rate.next_start_at is not None
    assert slow.next_start_at is not None
    assert timedelta(seconds=25) < rate.next_start_at - clock.now() <= timedelta(seconds=30)
    assert timedelta(minutes=57) < slow.next_start_at - clock.now() <= timedelta(minutes=58)
    alone = occupancy.occupancy("qp-rate")
    assert alone is not None
    assert (alone.starts, alone.next_start_at) == (rate.starts, rate.next_start_at)


def test_the_longest_lines_come_first(db: None) -> None:
    """A7. By backlog, the first ten."""
    queue("qp-lines", partition_concurrency=1)
    for number in range(12):
        for _ in range(1 + (number == 7)):
            made(Status.ENQUEUED, queue_name="qp-lines", partition_key=f"k{number:02}")
    found = occupancy.longest_partitions("qp-lines", 10)
    assert [one.key for one in found][:3] == ["k07", "k00", "k01"]
    assert len(found) == 10
    assert (found[0].waiting, found[0].running) == (2, 0)


def test_the_last_hour_is_drawn_to_its_highest_bar() -> None:
    """A7. Failed ones at the bottom of a bar; nothing outside of the hour."""
    since = first_bucket(clock.now())

    def ended(number: int, status: str, count: int) -> Ended:
        return Ended(since=since + BUCKET * number, queue_name="qp", status=status, count=count)

    ends = [ended(0, "SUCCESS", 3), ended(0, "ERROR", 1), ended(11, "CANCELLED", 2), ended(12, "SUCCESS", 9)]
    found = hours(["qp", "qp-none"], ends, since)
    assert (found["qp"].total, found["qp"].failed, found["qp-none"].total) == (6, 1, 0)
    first, last = found["qp"].bars[0], found["qp"].bars[-1]
    assert (first.height, first.top, first.failed_height, first.failed_top) == ("24.0", "0.0", "6.0", "18.0")
    assert (last.height, last.cancelled) == ("12.0", 2)
    assert len(found["qp"].bars) == BUCKETS
