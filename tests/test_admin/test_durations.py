"""How long runs take, by workflow: the card that comes after the overview's page."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from durable_app import InvalidOptionError, clock
from durable_app.control.actors import Actor, Policy
from durable_app.errors import QueryTimeoutError
from durable_app.insight.overview import paces
from durable_app.models import Status
from tests.test_admin.pages import inspected, made
from tests.test_admin.test_list import reads
from tests.test_admin.test_overview import DAY, URL

pytestmark = pytest.mark.django_db


class TenantA(Policy):
    """Shows the runs of one tenant."""

    def visible(self, actor: Actor, runs: Any) -> Any:
        return runs.with_attributes({"tenant": "a"})


DURATIONS = f"{URL}durations/"


def lasted(seconds: float, name: str = "slow.work", **fields: Any) -> None:
    """Write a run that succeeded a minute ago."""
    end = clock.now() - timedelta(minutes=1)
    made(name=name, started_at=end - timedelta(seconds=seconds), finished_at=end, **fields)


def test_durations_are_those_of_the_nearest_rank() -> None:
    """A2. Of twenty runs nineteen took no longer than p95; only what succeeded within the window counts."""
    for seconds in range(1, 41):
        lasted(seconds)
    lasted(7.25, name="fast.work")
    lasted(7000, name="slow.work", status=Status.ERROR)
    made(name="slow.work", started_at=clock.now() - DAY * 9, finished_at=clock.now() - DAY * 3)
    slow, fast = paces(DAY)
    assert (slow.name, slow.count) == ("slow.work", 40)
    assert (slow.median, slow.p95) == (timedelta(seconds=20), timedelta(seconds=38))
    assert (fast.count, fast.median, fast.p95) == (1, timedelta(seconds=7.25), timedelta(seconds=7.25))
    week = paces(timedelta(days=7))[0]
    assert (week.count, week.p95) == (41, timedelta(seconds=39))
    for number in range(12):
        lasted(1, name=f"other.{number}")
    assert len(paces(DAY)) == 10
    with pytest.raises(InvalidOptionError, match="window"):
        paces(timedelta(0))


def test_durations_come_after_the_page(boss: Client) -> None:
    """A2. The page asks for them by itself, or by a link; each count leads to its runs."""
    for seconds in (1, 2, 63):
        lasted(seconds)
    page = boss.get(URL, {"window": "7d"})
    places = [
        attrs["data-durable-late"] for _tag, attrs in inspected(page).elements if "data-durable-late" in attrs
    ]
    assert places == [f"{DURATIONS}?window=7d"]
    assert b"1 m 3 s" not in page.content
    whole: Any = boss.get(places[0])
    part: Any = boss.get(places[0], headers={"X-Durable-Fragment": "durations"})
    assert b"<html" in whole.content
    assert b"<html" not in part.content
    for response in (whole, part):
        inspected(response)
        assert b"1 m 3 s" in response.content
    [line] = part.context_data["lines"]
    assert (line.median, line.p95, line.count, line.width) == ("2.0 s", "1 m 3 s", "3", "100.00%")
    shown: Any = boss.get(line.url)
    assert len(shown.context_data["cl"].result_list) == 3
    assert boss.get(DURATIONS, {"window": "<b>"}).status_code == 400


def test_durations_are_counted_among_what_people_may_see(settings: Any, staff: Any) -> None:
    """A9. By the policy; in one statement besides the user's own."""
    settings.DURABLE = {"POLICY": f"{__name__}.TenantA"}
    lasted(1, name="seen.work", attributes={"tenant": "a"})
    lasted(2, name="unseen.work")
    client = staff("view_workflow")
    with CaptureQueriesContext(connection) as queries:
        text = client.get(DURATIONS).content.decode()
    assert len(reads(queries)) <= 5, "\n".join(reads(queries))
    assert "seen.work" in text
    assert "unseen.work" not in text
    assert staff("view_queue", name="ben").get(DURATIONS).status_code == 403


def test_durations_that_take_too_long_leave_the_page_as_it_is(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A2. The card says so."""

    def slow(*args: Any) -> None:
        raise QueryTimeoutError(1)

    monkeypatch.setattr("durable_app.admin.overview.paces", slow)
    response = boss.get(DURATIONS, headers={"X-Durable-Fragment": "durations"})
    assert response.status_code == 200
    assert b"Choose a shorter time" in response.content
