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

ENQUEUE_LONG = """
from durable_app import SetEnqueueOptions, SetWorkflowAttributes, SetWorkflowID, enqueue
from demo_project.reports.workflows import nightly_report
with SetWorkflowID("long-" + "I" * 200), SetEnqueueOptions(delay_seconds=9999):
    with SetWorkflowAttributes({"n" * 200: "L" * 10_000}):
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


def test_long_names_fit_on_a_phone(site: House, operator: Screen) -> None:
    """No page is wider than the window; a table that is wider than its place fades where it goes on."""
    site.run("shell", "-v0", "-c", ENQUEUE_LONG)
    operator.page.set_viewport_size({"width": 390, "height": 800})
    for path in (f"{RUNS}?q=long-&cols=attributes,worker,version", f"{RUNS}?q=status:{'n' * 300}"):
        operator.page.goto(f"{operator.site}{path}")
        assert not is_too_wide(operator)
    operator.troubles.clear()  # a search that nobody can mean is a 400
    operator.open(f"{RUNS}?q=long-&cols=attributes,worker,version")
    box = operator.page.locator(".results")
    expect(box).to_have_class(re.compile("goes-on"))
    box.evaluate("it => it.scrollTo(it.scrollWidth, 0)")
    expect(box).not_to_have_class(re.compile("goes-on"))
    operator.page.locator("#result_list a.durable-id").click()
    expect(operator.page.locator(".durable-fold em")).to_be_visible()
    assert not is_too_wide(operator)
    operator.page.locator(".durable-fold summary").click()
    assert not is_too_wide(operator)


def is_too_wide(screen: Screen) -> bool:
    """Return whether a page must be scrolled sideways."""
    return bool(screen.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def test_a_view_is_saved_and_found_again(operator: Screen) -> None:
    """Under its name, above the list; the one that is looked at is marked."""
    operator.open(f"{RUNS}?status=failed&window=all")
    operator.page.get_by_text("Save this view").click()
    operator.page.get_by_label("Name").fill("All that failed")
    operator.page.get_by_role("button", name="Save", exact=True).click()
    operator.sees("is saved")
    operator.open(RUNS)
    operator.follow("All that failed")
    expect(operator.page.locator(".durable-view a[aria-current]")).to_have_text("All that failed")
    operator.press("Delete the view All that failed")
    operator.sees("is deleted")
    expect(operator.page.get_by_role("link", name="All that failed")).to_have_count(0)
