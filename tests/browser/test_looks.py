"""How it all looks: in the stock admin and under django-unfold, light and dark."""

import pytest
from playwright.sync_api import Browser, expect
from pytest_django import DjangoDbBlocker

from tests.browser.screens import LAST, PICTURES, Screen
from tests.browser.test_runs import order, pay
from tests.helpers import wait_until
from tests.test_demo.house import House

ADMIN = "/admin/durable_app"

LISTS = ("overview", "workflow", "approval", "schedule", "queue", "worker", "bulkoperation", "auditevent")


@pytest.fixture(scope="session")
def places(chromium: Browser, staffed_house: House, django_db_blocker: DjangoDbBlocker) -> dict[str, str]:
    """Let the demo's assistant ask for a refund; return where each page is, by name."""
    with django_db_blocker.unblock():  # until the worker is at work
        wait_until(lambda: staffed_house.rows("SELECT 1 FROM durable_app_schedule"))
    with Screen(chromium, staffed_house.browser.site, "places") as visitor:
        number = order(visitor)
        pay(visitor)
        visitor.open("/assistant/")
        visitor.page.fill("#question", f"I want a refund for {number}")
        visitor.press("Ask")
        visitor.sees("May the assistant do this?")
    with django_db_blocker.unblock():
        asked = "SELECT id, workflow_id FROM durable_app_approval WHERE closed_at IS NULL ORDER BY id DESC"
        question, waits = staffed_house.rows(asked)[0]
        found = "SELECT id FROM durable_app_workflow WHERE workflow_id = %s"
        [(run,)] = staffed_house.rows(found, f"order-{number}")
        staffed_house.books.close()
    return {
        **{name: f"{name}/" for name in LISTS},
        "run": f"workflow/{run}/change/",
        "run-values": f"workflow/{run}/change/?tab=values",
        "run-waits": f"workflow/{waits}/change/",
        "run-history": f"workflow/{run}/history/",
        "confirm-fork": f"workflow/{run}/verb/fork/",
        "confirm-cancel": f"workflow/{waits}/verb/cancel/",
        "wrong": f"workflow/{waits}/verb/send/",
        "question": f"approval/{question}/change/",
        "form": "schedule/add/",
        "queue-page": "queue/default/change/",
        "versions": "worker/versions/",
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("theme", ["stock", "unfold"])
def test_every_page_in_light_and_dark(
    theme: str,
    scheme: str,
    site: House,
    chromium: Browser,
    places: dict[str, str],
    request: pytest.FixtureRequest,
) -> None:
    """A10. No page has an error in its console, breaks the policy, is cut off, or hides from a screen reader.

    Of what unfold draws itself nothing is asked.
    """
    address = request.getfixturevalue("unfold_site") if theme == "unfold" else site.browser.site
    faults: list[str] = []
    with Screen(chromium, address, f"{theme}-{scheme}", color_scheme=scheme) as screen:
        screen.log_in("operator")
        for name, path in places.items():
            screen.open(f"{ADMIN}/{path}")
            if name == "wrong":
                screen.page.fill("input[name=topic]", "topic")
                screen.page.fill("textarea[name=message]", "{")
                screen.press("Yes")
                expect(screen.page.locator(".errorlist")).to_be_visible()
            faults += looked_at(screen, name if theme == "stock" else f"unfold-{name}", scheme)
    assert "\n".join(faults) == ""


def looked_at(screen: Screen, name: str, scheme: str) -> list[str]:
    """Keep a picture of a page; return what is wrong with it."""
    expect(screen.page.locator("#content")).to_be_visible()
    screen.picture(f"{name}-{scheme}", PICTURES if name == "overview" else LAST)
    width = screen.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*screen.faults(), *([f"{name} is {width} px wider than the window"] if width > 0 else [])]
