"""The reports: a schedule that code declares, triggered, filled in and paused from its page."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.helpers import wait_until
from tests.test_demo.house import House

ZONE = ZoneInfo("Europe/Berlin")
LATEST = (
    "SELECT day, orders, dispatched, revenue, best_seller FROM reports_dailyreport ORDER BY day DESC LIMIT 1"
)
RUNS = "SELECT workflow_id, status FROM durable_app_workflow WHERE schedule_name = 'nightly-report'"


def days(house: House) -> list[date]:
    return [as_date(day) for (day,) in house.rows("SELECT day FROM reports_dailyreport ORDER BY day")]


def as_date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def is_idle(house: House) -> bool:
    return all(status == "SUCCESS" for _, status in house.rows(RUNS))


@pytest.fixture
def declared(house: House) -> None:
    """Let a worker write the declaration down."""
    house.staff()
    house.watch("/reports/", lambda now: "Europe/Berlin" in now.text)


def test_a_trigger_reports_on_today(house):
    """The orders of the day until now, in the zone of the schedule."""
    house.staff()
    house.buy()
    house.press("/reports/", action="trigger")
    wait_until(lambda: house.rows(LATEST) and is_idle(house))
    day, orders, dispatched, revenue, best_seller = house.rows(LATEST)[0]
    assert as_date(day) == datetime.now(ZONE).date()
    assert orders >= dispatched >= 1
    assert Decimal(str(revenue)) >= Decimal("49.99")
    assert best_seller == "Classic Widget"


def test_a_week_is_filled_in_once(house, declared):
    """Each midnight has one run and one row; pressing the button again starts nothing."""
    house.press("/reports/", action="backfill")
    runs = {run for run, _ in house.rows(RUNS) if "trigger" not in run}
    assert len(runs) >= 7
    house.press("/reports/", action="backfill")
    assert {run for run, _ in house.rows(RUNS) if "trigger" not in run} == runs
    house.staff()
    wait_until(lambda: is_idle(house))
    found = days(house)
    assert len(found) == len(set(found)) >= 7
    assert all(run.endswith(("T00:00:00+01:00", "T00:00:00+02:00")) for run in runs)


def test_a_paused_schedule_says_so_and_resumes(house, declared):
    """The page's buttons are the verbs of the same names."""
    assert "paused</span>" in house.press("/reports/", action="pause").text
    assert "active</span>" in house.press("/reports/", action="resume").text
