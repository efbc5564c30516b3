"""Approvals, queues and schedules; what one may not do."""

from playwright.sync_api import Browser, expect

from tests.browser.screens import Screen
from tests.browser.test_runs import RUNS, order, pay
from tests.test_demo.house import House


def test_a_person_approves(visitor: Screen, operator: Screen) -> None:
    """The assistant asks before it refunds; the answer from the inbox lets it go on."""
    number = order(visitor)
    pay(visitor)
    visitor.open("/assistant/")
    visitor.page.fill("#question", f"I want a refund for {number}")
    visitor.press("Ask")
    visitor.sees("May the assistant do this?")
    operator.open("/admin/durable_app/approval/")
    operator.follow(f"May the assistant refund_order {number}?")
    operator.picture("approval")
    operator.press("Approve")
    visitor.sees("Approved by a person")
    visitor.sees("Answered.")


def test_a_paused_queue_says_so_on_the_run_that_waits(site: House, visitor: Screen, operator: Screen) -> None:
    """Pausing and resuming are one click each; the run's page names who paused."""
    operator.open("/admin/durable_app/queue/")
    operator.press("Pause default")
    operator.sees("Resume")
    operator.picture("queues")
    number = order(visitor)
    operator.open(RUNS)
    operator.follow(f"order-{number}")
    expect(operator.page.locator("#content")).to_contain_text("The queue 'default' is paused (by operator)")
    operator.open("/admin/durable_app/queue/")
    operator.press("Resume default")
    pay(visitor)


def test_a_schedule_is_triggered(site: House, operator: Screen) -> None:
    """The run of the trigger is there at once."""
    operator.open("/admin/durable_app/schedule/")
    expect(operator.page.locator("#result_list, .durable-table").first).to_contain_text("nightly-report")
    operator.picture("schedules")
    operator.press("Trigger")
    if operator.page.get_by_role("button", name="Yes: Trigger").count():
        operator.press("Yes: Trigger")
    operator.open(f"{RUNS}?q=schedule:nightly-report")
    expect(operator.page.locator("#content")).to_contain_text("nightly_report")


def test_a_viewer_is_offered_nothing_and_gets_nothing(
    site: House, chromium: Browser, visitor: Screen
) -> None:
    """Buttons say which permission is missing; a request made by hand is denied, and audited."""
    number = order(visitor)
    with Screen(chromium, site.browser.site, "viewer") as viewer:
        viewer.log_in("viewer")
        viewer.open(RUNS)
        viewer.follow(f"order-{number}")
        cancel = viewer.page.locator(".durable-buttons [aria-disabled=true]", has_text="Cancel")
        expect(cancel).to_have_attribute("title", "You need the permission “cancel_workflow”.")
        answer = viewer.page.request.get(viewer.page.url.replace("change/", "verb/cancel/"))
        assert answer.status == 403
    pay(visitor)
