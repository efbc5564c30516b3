"""A round through the rooms behind the shop: something is done in each, as a visitor would."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.utils import timezone

from demo_project.agent.models import Conversation
from demo_project.outbox.models import Event
from demo_project.reports.models import DailyReport
from demo_project.rooms import ROOMS
from demo_project.tour.browser import Browser, Page
from demo_project.tour.children import Children
from demo_project.tour.errors import DemoFailed
from demo_project.tour.terminal import Terminal

T = TypeVar("T")

PATIENCE_SECONDS = 60
LOOK_EVERY_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """The walk of a visitor who has just ordered something."""

    terminal: Terminal
    children: Children
    browser: Browser
    order_number: str

    def walk(self) -> None:
        """Visit every room; fail unless its workflow does what it should."""
        visits = {
            "ingestion": self.read_manuals,
            "reports": self.order_report,
            "agent": self.ask_assistant,
            "outbox": self.look_at_webhooks,
        }
        self.terminal.title("Behind the shop", "four more workflows, each with a page")
        for room in ROOMS:
            page = self.browser.open(room.url)
            self.terminal.done(f"{room.name}: {visits[room.app](page)}", page.url)

    def read_manuals(self, page: Page) -> str:
        """Have the folder read, a run a file, and watch."""
        self.browser.submit(page)
        last = self.until(lambda: self.finished(f"{page.url}progress/"), "the manuals to be read")
        return last.says.headline

    def order_report(self, page: Page) -> str:
        """Have today's report written without waiting for midnight."""
        asked_at = timezone.now()
        self.browser.submit(page, action="trigger")
        self.until(DailyReport.objects.filter(written_at__gte=asked_at).exists, "a report")
        report = DailyReport.objects.latest("written_at")
        return f"€{report.revenue:,.2f} sold on {report.day}"

    def ask_assistant(self, page: Page) -> str:
        """Ask about the order, and wait for the last word of the answer."""
        asked = self.browser.submit(page, question=f"Where is my order {self.order_number}?")
        self.until(lambda: self.finished(f"{asked.url}transcript/"), "the assistant")
        conversation = Conversation.objects.get(key=asked.url.rstrip("/").rpartition("/")[2])
        if self.order_number not in conversation.answer:
            raise DemoFailed(f"The assistant did not answer, but said: {conversation.answer}")
        return f"answered in {len(conversation.answer.split())} words"

    def look_at_webhooks(self, page: Page) -> str:
        """Wait until the receiver has heard all that happened to the order."""
        mine = Event.objects.filter(event_id__endswith=self.order_number)
        delivered = mine.filter(state=Event.State.DELIVERED)
        self.until(lambda: delivered.count() == 2, "the events of the order to be delivered")
        tries = sum(event.tries for event in mine)
        return f"2 events delivered in {tries} tries"

    def finished(self, address: str) -> Page | None:
        """Return the page if it says that all is over."""
        now = self.browser.open(address)
        self.terminal.progress(now.says.headline, now.says.percent)
        return now if now.says.finished else None

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """Return the first true answer."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := look()):
            self.children.check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"Waited {PATIENCE_SECONDS} s in vain for {what}.")
            time.sleep(LOOK_EVERY_SECONDS)
        return found
