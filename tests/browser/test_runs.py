"""Runs: watched while they work, forked, cancelled by the dozen."""

import re

from playwright.sync_api import expect

from tests.browser.screens import PATIENCE, Screen
from tests.test_demo.house import House

RUNS = "/admin/durable_app/workflow/"
ENQUEUE_LATER = """
from durable_app import SetEnqueueOptions, SetWorkflowID, enqueue
from demo_project.reports.workflows import nightly_report
for number in range(12):
    with SetWorkflowID(f"later-{number:02d}"), SetEnqueueOptions(delay_seconds=9999):
        enqueue("default", nightly_report, None, None)
"""


def order(visitor: Screen) -> str:
    """Order a widget; return the order's number."""
    visitor.open("/")
    visitor.follow("Classic Widget")
    visitor.press("Buy")
    visitor.press("Place order")
    visitor.page.wait_for_url(re.compile(r"/orders/[0-9A-Z]{10}/"))
    return visitor.page.url.rstrip("/").rpartition("/")[2]


def pay(visitor: Screen) -> None:
    """Pay what was ordered, and wait until it is dispatched."""
    visitor.page.get_by_role("link", name="Pay").click()
    visitor.press("Pay")
    visitor.sees("dispatched")


def test_a_checkout_is_watched_while_it_works(visitor: Screen, operator: Screen) -> None:
    """The customer pays in one window; in the other the timeline grows, and nobody reloads it."""
    number = order(visitor)
    operator.open(RUNS)
    operator.follow(f"order-{number}")
    operator.page.locator("[data-durable-live] select").select_option("2")
    lines = operator.page.locator(".durable-timeline a.durable-line")
    before = lines.count()
    pay(visitor)
    expect(operator.page.locator("h1").last).to_contain_text("success", timeout=3 * PATIENCE)
    assert lines.count() > before
    operator.picture("run")


def test_a_run_is_forked_from_a_step(visitor: Screen, operator: Screen) -> None:
    """The page says what is taken over and what runs again; the fork is another run, and says so."""
    number = order(visitor)
    pay(visitor)
    operator.open(RUNS)
    operator.follow(f"order-{number}")
    operator.follow("Fork…")
    operator.page.get_by_role("radio").last.check()
    operator.picture("fork")
    operator.press("Yes: Fork")
    operator.sees("forked")
    operator.follow("Family")
    expect(operator.page.locator("#content")).to_contain_text(f"order-{number}")


def test_many_runs_are_cancelled_at_once(site: House, operator: Screen) -> None:
    """Chosen with one click, confirmed on a page that says how many are meant."""
    site.run("shell", "-v0", "-c", ENQUEUE_LATER)
    operator.open(f"{RUNS}?q=later-")
    operator.page.locator("#action-toggle").check()
    operator.page.locator("select[name=action]").select_option("cancel")
    operator.page.get_by_role("button", name="Run", exact=False).first.click()
    operator.sees("12 runs are meant")
    operator.press("Yes: Cancel")
    operator.sees("12 runs were cancelled.")
    found = site.rows("SELECT DISTINCT status FROM durable_app_workflow WHERE workflow_id LIKE 'later-%%'")
    assert found == [("CANCELLED",)]
