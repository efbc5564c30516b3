"""The demo project as a visitor, an operator and an auditor have it: real processes, real pages, raw rows."""

import re
from collections.abc import Callable
from typing import Any

from django.db.utils import ConnectionHandler

from demo_project.tour.browser import Browser, Page
from demo_project.tour.children import Child, Children, free_port
from demo_project.tour.errors import DemoFailed
from tests.databases import from_url
from tests.helpers import wait_until

NUMBER = re.compile(r"/orders/([2-9A-HJKMNP-Z]{10})/")
ADDRESS = re.compile(r"http://127\.0\.0\.1:[1-9]\d*")


class House:
    """The site with everybody else's servers; workers are hired by each test."""

    def __init__(self, children: Children, database_url: str) -> None:
        self.children = children
        self.books = ConnectionHandler({"default": from_url(database_url)})["default"]
        self._hired = 0
        self._instructions: dict[str, str] = {}
        children.environment |= {
            "DJANGO_SETTINGS_MODULE": "demo_project.settings",
            "DATABASE_URL": database_url,
            "DEBUG": "1",
        }

    def open(self) -> None:
        """Prepare the database and start the servers; their addresses go to all who start later."""
        self.run("migrate", "-v0")
        self.run("shell", "-c", "from demo_project.orders.catalogue import load_products as load; load()")
        environment = self.children.environment
        ledger = str(self.children.logs / "ledger.jsonl")
        environment["PAYMENT_PROVIDER_URL"] = self._serve("payment_provider", "--ledger", ledger)
        environment["WEBHOOK_URL"] = self._serve("webhook_receiver")
        environment["LANGUAGE_MODEL_URL"] = self._serve("language_model", "--pace", "0.04")
        address = f"127.0.0.1:{free_port(0)}"
        self.children.start("site", "-m", "django", "runserver", "--noreload", address)
        self.browser = Browser(f"http://{address}")
        wait_until(self._is_open, what="the site")

    def _is_open(self) -> bool:
        self.children.check()
        try:
            self.browser.open("/")
        except DemoFailed:
            return False
        return True

    def run(self, *command: str) -> str:
        """Run a command of Django's to its end; return what it printed."""
        child = self.children.start("command", "-m", "django", *command)
        status = child.process.wait(60)
        self.children.bury("command")
        assert status == 0, child.last_words()
        return child.log.read_text()

    def _serve(self, package: str, *arguments: str) -> str:
        """Start a server on a free port; return the address that it prints."""
        child = self.children.start(package, "-m", f"demo_project.{package}", "--port", "0", *arguments)
        addresses = wait_until(
            lambda: ADDRESS.findall(child.log.read_text()), what=f"the address of {package}"
        )
        return str(addresses[0])

    # workers

    def staff(self, count: int = 2, **environment: str) -> list[Child]:
        """Have so many workers on duty, with these variables; who is there already may stay."""
        present = self.workers()
        if len(present) != count or environment != self._instructions:
            self.dismiss()
            present = [self.hire(**environment) for _ in range(count)]
        self._instructions = environment
        return present

    def hire(self, **environment: str) -> Child:
        """Start a worker."""
        self._hired += 1
        before = dict(self.children.environment)
        self.children.environment |= environment
        try:
            return self.children.start(
                f"worker-{self._hired}",
                *("-m", "django", "durable_worker", "--no-reload", "--graceful-timeout", "2"),
            )
        finally:
            self.children.environment = before

    def kill(self, victim: Child) -> None:
        """End a worker with SIGKILL."""
        victim.kill()
        self.children.bury(victim.name)

    def dismiss(self) -> None:
        """End all workers."""
        for child in self.workers():
            child.process.terminate()
        for child in self.workers():
            child.process.wait(30)
        self.children.bury("worker-")

    def workers(self) -> list[Child]:
        return [child for child in self.children._started if child.name.startswith("worker-")]

    # visitors

    def press(self, address: str, **answers: str) -> Page:
        """Open a page and send its last form."""
        return self.browser.submit(self.browser.open(address), **answers)

    def watch(self, address: str, until: Callable[[Page], Any]) -> Page:
        """Open a page again and again until it says something; return it."""
        seen = self.browser.open(address)

        def look() -> bool:
            nonlocal seen
            self.children.check()
            seen = self.browser.open(address)
            return bool(until(seen))

        try:
            wait_until(look, 60, address)
        except AssertionError as error:
            raise AssertionError(f"{error} The page says:\n{seen.text}") from None
        return seen

    def buy(self, product: str = "Classic Widget") -> str:
        """Order and pay as a customer does; return the order's number once it is dispatched."""
        offer = self.browser.follow(self.browser.open("/"), product)
        placed = self.browser.submit(self.browser.submit(offer, quantity="1"))
        found = NUMBER.search(placed.url)
        assert found, placed.text
        progress = f"{placed.url}progress/"
        asking = self.watch(progress, lambda now: now.link("Pay"))
        self.browser.submit(self.browser.follow(asking, "Pay"), answer="paid")
        self.watch(progress, lambda now: now.says.finished)
        return found[1]

    # books

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the demo's database."""
        with self.books.cursor() as cursor:
            cursor.execute(sql, parameters)
            return [tuple(row) for row in cursor.fetchall()]
