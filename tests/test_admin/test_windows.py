"""The window of the list of runs: who is shown how much, and that nothing is lost by it."""

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.test import Client
from django.utils.html import escape

from durable_app import clock
from durable_app.models import BulkOperation, Status, Worker, Workflow
from tests.test_admin.pages import LIST, inspected, made, queue, worker
from tests.test_admin.test_list import ids
from tests.test_admin.test_overview import URL as OVERVIEW

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs() -> dict[str, Workflow]:
    """Write a run of each age; the newest first. Numbers are in the order of creation."""
    ages = {"old": 40, "month": 20, "week": 3, "day": 0.5, "new": 0.001}
    found = {}
    for name, days in ages.items():
        at = clock.now() - timedelta(days=days)
        found[name] = made(workflow_id=f"{name}-1", created_at=at, queue_name="q")
    return found


def names(response: Any) -> set[str]:
    return {one.removesuffix("-1") for one in ids(response)}


def present(response: Any) -> list[str]:
    """Return which of the windows is marked as the one that is on."""
    return [str(label) for label, _link, is_chosen in response.context_data["cl"].window.choices if is_chosen]


def looked(client: Client, query: dict[str, str] | None = None) -> Any:
    """Return the list as somebody sees it."""
    return client.get(LIST, query)


def link(response: Any, label: str) -> str:
    [found] = [
        url for name, url, _is_chosen in response.context_data["cl"].window.choices if str(name) == label
    ]
    return f"{LIST}{found}"


EVERY = {"old", "month", "week", "day", "new"}


@pytest.mark.usefixtures("runs")
def test_the_plain_list_is_of_the_last_day_and_says_so(boss: Client) -> None:
    """A3. Until something else is chosen; what else there is, is a link away."""
    response = looked(boss)
    assert names(response) == {"day", "new"}
    assert present(response) == ["24h"]
    text = response.content.decode()
    assert "Created within the last 24 hours." in text
    assert escape("?status=active&window=all") in text
    inspected(response)


@pytest.mark.usefixtures("runs")
def test_a_choice_is_kept_for_its_user_and_nobody_else(boss: Client, viewer: Client) -> None:
    """A3. Each window has its runs; the link that is left says the window and no more."""
    expected = {
        "15m": {"new"}, "1h": {"new"}, "24h": {"day", "new"}, "7d": EVERY - {"old", "month"},
        "30d": EVERY - {"old"}, "all": EVERY,
    }  # fmt: skip
    page = looked(boss)
    for label, wanted in expected.items():
        answer = boss.get(link(page, label))
        assert (answer.status_code, answer.headers["Location"]) == (302, f"?window={label}")
        assert names(boss.get(f"{LIST}?window={label}")) == wanted
        again = looked(boss)
        assert (names(again), present(again)) == (wanted, [label])
    assert names(viewer.get(LIST)) == {"day", "new"}


@pytest.mark.usefixtures("runs")
def test_a_link_that_only_says_its_window_changes_nobodys_choice(boss: Client) -> None:
    """A3. Somebody else's link is not what one has chosen."""
    assert names(boss.get(f"{LIST}?window=all")) == EVERY
    assert names(looked(boss)) == {"day", "new"}
    assert boss.get(f"{LIST}?window=1y&keep=1").headers["Location"] == "?window=1y"
    assert boss.get(f"{LIST}?window=1y").status_code == 400
    assert names(looked(boss)) == {"day", "new"}


def test_a_window_that_there_is_no_more_is_forgotten(boss: Client) -> None:
    """Whatever is wrong with it: what a session holds may be from another release."""
    session = boss.session
    session["durable_app.window"] = "1y"
    session.save()
    assert present(looked(boss)) == ["24h"]


@pytest.mark.usefixtures("runs")
def test_links_with_a_condition_and_without_a_window_are_of_any_age(boss: Client) -> None:
    """A3. Bookmarks, and links of others; the orders by their end, too."""
    for query in ("queue=q", "q=queue:q", "status=finished", "o=finished", "family=top"):
        response = boss.get(f"{LIST}?{query}")
        assert names(response) == EVERY, query
        assert present(response) == ["all"]


@pytest.mark.parametrize("text", ["old-1", "old", "id:old-1"])
@pytest.mark.usefixtures("runs")
def test_an_id_is_found_at_any_age(boss: Client, text: str) -> None:
    """A3. Whole or its beginning; in the list, in its count, and by what acts on all that match."""
    query = {"q": text, "window": "24h"}
    response = looked(boss, query)
    assert names(response) == {"old"}
    assert "An id is looked for at any age." in response.content.decode()
    assert present(response) == ["all"]
    assert boss.get(f"{LIST}count/", query).json()["count"] == 1
    assert "1 runs are meant" in boss.get(f"{LIST}bulk/delete/", query).content.decode()
    exported = boss.post(f"{LIST}export/?q={text}&window=24h", {"format": "csv"})
    assert b"old-1" in exported.getvalue()


@pytest.mark.usefixtures("runs")
def test_a_range_is_typed_and_holds(boss: Client) -> None:
    """A3. Also for ids: it is a condition, no way to look. It is not kept."""
    now = clock.now()
    since, until = now - timedelta(days=25), now - timedelta(days=1)
    query = {"since": since.isoformat()[:19], "until": until.isoformat()[:19]}
    response = looked(boss, query)
    assert names(response) == {"month", "week"}
    window = response.context_data["cl"].window
    assert window.since == query["since"]
    assert window.sentence == f"Created from {window.since} to {window.until}".replace("T", " ")
    assert present(response) == []
    assert names(looked(boss, {"until": query["until"]})) == {"old", "month", "week"}
    assert names(looked(boss, {"since": query["since"]})) == EVERY - {"old"}
    assert ids(looked(boss, {**query, "q": "old-1"})) == set()
    assert names(looked(boss)) == {"day", "new"}
    assert names(looked(boss, {"since": "", "until": ""})) == {"day", "new"}
    assert boss.get(f"{LIST}count/", query).json()["count"] == 2


@pytest.mark.parametrize(
    "query", ["since=yesterday", "until=2026-13-01", "since=0001-01-01T00:00%2B14:00", "since=%00",
              "since=2026-01-01&window=24h"],
)  # fmt: skip
def test_what_is_no_range_is_400(boss: Client, query: str) -> None:
    """Whatever is wrong with it."""
    for url in (LIST, f"{LIST}count/", f"{LIST}export/", f"{LIST}bulk/cancel/"):
        assert boss.get(f"{url}?{query}").status_code == 400, url


def test_what_has_not_ended_is_hard_to_lose(boss: Client) -> None:
    """A3. The filters of active states, and the orders by their end, look at any age."""
    stuck = made(Status.WAITING, created_at=datetime.fromisoformat("2020-01-01T00:00:00+00:00"))
    page = looked(boss)
    assert ids(page) == set()
    cl = page.context_data["cl"]
    assert stuck.workflow_id in ids(boss.get(LIST + cl.window.active_url))
    specs = {spec.parameter_name: list(spec.choices(cl)) for spec in cl.filter_specs}
    by_status = {one["display"]: one["query_string"] for one in specs["status"]}
    for label in ("All active", f"— {Status.WAITING.label}"):
        assert stuck.workflow_id in ids(boss.get(LIST + by_status[label])), label
    assert "window=24h" in by_status["All failed"]
    assert all("window=all" in one["query_string"] for one in specs["ended"][1:])
    for _label, order, _is_chosen in cl.order_links[1:]:
        assert "window=all" in order


@pytest.mark.usefixtures("runs")
def test_an_empty_list_offers_all_ages(boss: Client) -> None:
    """A3. And the link leads to what was hidden."""
    page = looked(boss, {"q": "name:shop.checkout", "window": "15m", "queue": "q", "until": ""})
    assert names(page) == {"new"}
    assert "Look for runs of any age" not in page.content.decode()
    Workflow.objects.filter(workflow_id="new-1").delete()
    page = looked(boss, {"q": "name:shop.checkout", "window": "15m", "queue": "q"})
    assert "Created within the last 15 minutes: no run matches. <a" in page.content.decode()
    assert names(boss.get(LIST + page.context_data["cl"].window.any_age_url)) == EVERY - {"new"}
    assert "Look for runs of any age" not in boss.get(f"{LIST}?q=name:nothing").content.decode()


@pytest.mark.usefixtures("runs")
def test_what_acts_on_all_that_match_means_what_is_seen(boss: Client) -> None:
    """A3. The plain list's links say its window: count, export and bulk operations have the same runs."""
    page = looked(boss)
    urls = {str(label): url for label, url in page.context_data["bulk_links"]}
    urls |= {name: page.context_data[f"{name}_url"] for name in ("count", "export_list")}
    for name, url in urls.items():
        assert parse_qs(urlsplit(url).query) == {"window": ["24h"]}, name
    assert boss.get(urls["count"]).json()["count"] == 2
    assert "2 runs are meant" in boss.get(urls["Delete"]).content.decode()
    boss.post(urls["Delete"], {})
    assert BulkOperation.objects.get().matched == 2
    assert page.context_data["own_url"] == "?window=24h"
    text = boss.post(urls["export_list"], {"format": "csv"}).getvalue().decode()
    assert set(re.findall(r"\b([a-z]+)-1\b", text)) == {"day", "new"}


def test_checked_runs_are_meant_even_if_they_match_no_more(boss: Client) -> None:
    """A3. A run leaves a window, or a state, while somebody looks at it: it is told of, not passed over."""
    ended = made(Status.SUCCESS, created_at=clock.now() - timedelta(hours=1))
    query = "?status=active&window=15m"
    data = {"action": "cancel", ACTION_CHECKBOX_NAME: [ended.pk], "select_across": "0"}
    assert "1 runs are meant; it is possible for 0" in boss.post(LIST + query, data).content.decode()


def test_every_figure_elsewhere_leads_to_as_many_runs_whatever_their_age(boss: Client) -> None:
    """A2, A7, A8. The links say their window, so that the number and the rows agree."""
    long_ago = clock.now() - timedelta(days=90)
    worker("w", queues=["mail"])
    queue("mail", concurrency=5)
    for status in (Status.PENDING, Status.ENQUEUED, Status.DELAYED):
        made(status, created_at=long_ago, queue_name="mail", worker_id="w", app_version="1")
    made(Status.ERROR, created_at=long_ago, queue_name="mail")
    expected = {
        "PENDING": 1,
        "ENQUEUED": 1,
        "DELAYED": 1,
        "failed": 1,
        "ERROR": 1,
        "finished": 1,
        "active": 3,
    }
    seen = set()
    pages = (OVERVIEW, "/admin/durable_app/queue/", "/admin/durable_app/worker/versions/",
             f"/admin/durable_app/worker/{Worker.objects.get().pk}/change/")  # fmt: skip
    for page in pages:
        for _tag, attrs in inspected(boss.get(page)).elements:
            address = urlsplit(attrs.get("href", ""))
            if address.path != LIST or not address.query:
                continue
            if "queue=default" in address.query:
                continue  # where there are none
            query = {name: value for name, [value] in parse_qs(address.query).items()}
            assert query["window"] == "all", address
            if query["status"] in expected:
                assert len(ids(boss.get(attrs["href"]))) == expected[query["status"]], address
                seen.add(query["status"])
    assert seen == set(expected)
