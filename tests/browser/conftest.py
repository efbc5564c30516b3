"""Chromium, headless, on the running demo: nobody may see an error in its console."""

import contextlib
import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from demo_project.tour.browser import Browser as Visitor
from demo_project.tour.children import free_port
from demo_project.tour.errors import DemoFailed
from tests.browser.screens import ACCOUNTS, Screen
from tests.helpers import wait_until
from tests.test_demo.conftest import demo_database, house, shared_house  # noqa: F401  (fixtures)
from tests.test_demo.house import House
from tools.browser import installed

QUIET = [  # what a browser does by itself needs a network
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

MAKE_ACCOUNTS = """
from django.contrib.auth.models import Permission, User
for name, codenames in {accounts!r}.items():
    user = User.objects.create_user(name, password=name, is_staff=True, is_superuser=codenames is None)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames or []))
"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Return the system's browser."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright's loop lives in the tests' thread
    program = installed()  # none: the one that Playwright fetched
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def staffed_house(chromium: Browser, shared_house: House) -> House:  # noqa: F811
    """Return the demo with a worker and the accounts of those who look at it."""
    shared_house.run("shell", "-v0", "-c", MAKE_ACCOUNTS.format(accounts=ACCOUNTS))
    shared_house.staff(1)
    return shared_house


@pytest.fixture
def site(staffed_house: House, house: House) -> House:  # noqa: F811
    """Return the demo, once its worker has declared the schedules; its logs are shown if a test fails."""
    wait_until(lambda: house.rows("SELECT 1 FROM durable_app_schedule"))
    return house


@pytest.fixture
def visitor(chromium: Browser, site: House, request: pytest.FixtureRequest) -> Iterator[Screen]:
    """Return a window on the shop."""
    with Screen(chromium, site.browser.site, f"visitor-{request.node.name}") as screen:
        yield screen


@pytest.fixture
def operator(chromium: Browser, site: House, request: pytest.FixtureRequest) -> Iterator[Screen]:
    """Return a window on the admin, for one who may do everything."""
    with Screen(chromium, site.browser.site, f"operator-{request.node.name}") as screen:
        screen.log_in("operator")
        yield screen


@pytest.fixture(scope="session")
def unfold_site(staffed_house: House) -> str:
    """Return the address of the same demo under django-unfold: another server, the same database."""
    address = f"127.0.0.1:{free_port(0)}"
    settings = ("--settings", "tests.browser.unfold_settings")
    staffed_house.children.start("unfold", "-m", "django", "runserver", "--noreload", address, *settings)
    browser = Visitor(f"http://{address}")

    def is_open() -> bool:
        staffed_house.children.check()
        with contextlib.suppress(DemoFailed):
            return bool(browser.open("/"))
        return False

    wait_until(is_open, what="the site under unfold")
    return browser.site
