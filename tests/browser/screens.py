"""A window of the browser: it notes every error, and is never satisfied with a page that has one."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Response, expect

ACCOUNTS: dict[str, list[str] | None] = {
    "operator": None,
    "viewer": ["view_workflow", "view_queue", "view_schedule", "view_worker", "view_approval"],
}
"""Who is there, and the permissions of each: None means all. The passwords are the names."""

LAST = Path(".cache/pictures")
"""Where the last thing that each window saw is kept, for whoever looks for what went wrong."""

PICTURES = Path(os.environ.get("PICTURES", ".cache/pictures"))
"""Where pictures of the pages go: `make screenshots` sets it to the docs' folder."""

PATIENCE = 20_000
"""Milliseconds that a page may take to say something: workers, not pages, are waited for."""


class Screen:
    """A visitor's window, with cookies of its own."""

    def __init__(self, browser: Browser, site: str, name: str, **options: Any) -> None:
        self.name = name
        self.site = site
        self.troubles: list[str] = []
        options = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **options}
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.troubles.append(f"{self.page.url}: {error}"))
        self.page.on("response", self._check)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{self.page.url}: {message.text}")

    def _check(self, response: Response) -> None:
        if response.status >= 500:
            self.troubles.append(f"{response.url} answered {response.status}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.picture(self.name, LAST)
        self.context.close()
        assert self.troubles == []

    # what one does

    def open(self, path: str) -> None:
        """Go to a page of the site."""
        self.page.goto(path if path.startswith("http") else f"{self.site}{path}")

    def follow(self, name: str) -> None:
        """Click a link by what it says."""
        self.page.get_by_role("link", name=name).first.click()

    def press(self, name: str) -> None:
        """Press a button by what it says."""
        self.page.get_by_role("button", name=name).first.click()

    def log_in(self, name: str) -> None:
        """Log into the admin as one of the accounts."""
        self.open("/admin/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", name)
        self.page.click("[type=submit]")
        expect(self.page.locator("#user-tools, #header-inner").first).to_be_visible()

    # what one sees

    def sees(self, text: str) -> Locator:
        """Wait until the page says something; return where."""
        found = self.page.get_by_text(text).first
        expect(found).to_be_visible(timeout=PATIENCE)
        return found

    def refreshes_until(self, place: str, text: str) -> None:
        """Reload the page until a place of it says something."""
        deadline = 60
        while text not in self.page.locator(place).first.inner_text():
            deadline -= 1
            assert deadline, f"{self.page.url} does not say {text!r}"
            self.page.wait_for_timeout(500)
            self.page.reload()

    def faults(self) -> list[str]:
        """Return what axe finds wrong for who does not see or has no mouse, in what is not Django's own."""
        whole = {"include": [["#content"]], "exclude": [["#changelist-search"]]}
        found = Axe().run(self.page, context=whole).response["violations"]
        nodes = [(one["help"], node) for one in found for node in one["nodes"]]
        return [
            f"{self.page.url}: {what}: {node['html'][:200]} {node['failureSummary']}" for what, node in nodes
        ]

    def picture(self, name: str, folder: Path = PICTURES) -> None:
        """Keep what is seen as a picture."""
        self.page.screenshot(path=folder / f"{name}.png", full_page=False)
