"""The tour: open the shop, place an order, kill the worker in the middle, check all the books."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from demo_project.orders.models import Product
from demo_project.paths import BASE_DIR, VAR_DIR
from demo_project.rooms import ROOMS
from demo_project.tour import premises, proof
from demo_project.tour.browser import Browser, Page
from demo_project.tour.children import Children
from demo_project.tour.errors import DemoFailed
from demo_project.tour.proof import Purchase
from demo_project.tour.rounds import Round
from demo_project.tour.runs import Claim, RecordedStep, Watch, steps_of
from demo_project.tour.terminal import Terminal

QUANTITY = 2
KILL_STAGE_PERCENT = 70
PATIENCE_SECONDS = 90
LOOK_EVERY_SECONDS = 0.06
DISPATCH = "dispatch_order"


def run_demo(stream: TextIO, *, once: bool) -> None:
    """Show everything; then leave the shop open until Ctrl-C, unless it is to end by itself."""
    terminal = Terminal(stream)
    environment = {"DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"], "DEBUG": "1"}
    logs = VAR_DIR / "log"
    with (
        premises.alone(),
        Children(folder=BASE_DIR, logs=logs, environment=environment) as children,
    ):
        try:
            tour = Tour.begin(terminal, children)
            tour.show()
            if not once:
                tour.leave_open()
        finally:
            terminal.rest()


@dataclass(kw_only=True)
class Tour:
    """One run of the demo."""

    terminal: Terminal
    children: Children
    workers: premises.Workers
    places: premises.Premises
    browser: Browser
    login: str

    @classmethod
    def begin(cls, terminal: Terminal, children: Children) -> "Tour":
        """Prepare the database and start every process."""
        terminal.title("Opening the shop", premises.database_name())
        products = premises.prepare_database()
        login = premises.create_admin()
        terminal.done("Database migrated", f"{products} products on sale")
        places = premises.open_premises(children)
        terminal.done("Payment provider, failing on purpose", places.provider_url)
        terminal.done("Receiver of webhooks, failing on purpose", places.receiver_url)
        terminal.done("Language model, a stand-in", places.model_url)
        terminal.done("Site", places.site_url)
        workers = premises.Workers(children=children)
        for worker in (workers.hire(), workers.hire()):
            terminal.done(f"Worker {worker.name}", f"pid {worker.pid}")
        return cls(
            terminal=terminal,
            children=children,
            workers=workers,
            places=places,
            browser=Browser(places.site_url),
            login=login,
        )

    def show(self) -> None:
        """Order, pay, crash, recover, prove."""
        product = premises.choose_product()
        page, watch = self.place_order(product)
        self.pay(page, watch)
        victim = self.wait_for_dispatch(page, watch)
        crashed_at = time.monotonic()
        steps_at_crash = self.kill(victim, watch)
        self.wait_for_recovery(page, watch, victim, crashed_at)
        self.show_claims(watch)
        self.prove(
            Purchase(
                order_number=watch.order_number,
                product=product,
                quantity=QUANTITY,
                stock_before=product.stock,
                steps_at_crash=steps_at_crash,
            ),
            watch,
        )
        Round(
            terminal=self.terminal,
            children=self.children,
            browser=self.browser,
            order_number=watch.order_number,
        ).walk()

    def place_order(self, product: Product) -> tuple[Page, Watch]:
        """Walk from the shop's front page to a placed order, as a customer does."""
        self.terminal.title("Placing an order", f"{QUANTITY} × {product.name}, through the site")
        shop = self.browser.open("/")
        checkout = self.browser.submit(self.browser.follow(shop, product.name), quantity=str(QUANTITY))
        page = self.browser.submit(checkout)
        if "/orders/" not in page.url:
            raise DemoFailed(f"The site did not take the order: it stayed at {page.url}.")
        self.terminal.done("Order placed", page.url)
        return page, Watch(order_number=page.url.rstrip("/").rpartition("/")[2])

    def pay(self, page: Page, watch: Watch) -> None:
        """Wait until the order's page asks for the payment, then pay."""
        asking = self.follow(page, watch, lambda now: now.link("Pay") is not None)
        self.terminal.done("Stock reserved, order created", "one transaction each")
        self.terminal.done("Payment prepared by the provider", self.attempts(watch, "request"))
        self.browser.submit(self.browser.follow(asking, "Pay"), answer="paid")
        self.terminal.done("Customer has pressed “Pay”", "a message to the waiting workflow")

    def attempts(self, watch: Watch, operation: str) -> str:
        """Return how often the provider had to be asked, from its own log."""
        books = proof.ask_provider(self.places.provider_url, watch.order_number)
        answers = [
            "no answer" if request["status"] == 0 else str(request["status"])
            for request in books["requests"]
            if request["operation"] == operation
        ]
        return f"{len(answers)} tries: {', '.join(answers)}"

    def wait_for_dispatch(self, page: Page, watch: Watch) -> Claim:
        """Wait until a worker is in the middle of sending the parcel; return its claim."""
        self.follow(page, watch, lambda now: now.says.percent >= 40)
        self.terminal.done("Paid", self.attempts(watch, "charge"))
        self.follow(page, watch, lambda now: self.is_in_the_middle(now, watch))
        claim = watch.holder(DISPATCH)
        if claim is None:
            raise DemoFailed(f"The parcel is being sent, but no worker holds the run {DISPATCH}.")
        return claim

    def is_in_the_middle(self, now: Page, watch: Watch) -> bool:
        """Whether some stages of the dispatch are done, others are not, and a worker holds it."""
        if now.says.finished:
            raise DemoFailed("The order was finished before its worker could be killed.")
        return now.says.percent >= KILL_STAGE_PERCENT and watch.holder(DISPATCH) is not None

    def kill(self, victim: Claim, watch: Watch) -> list[RecordedStep]:
        """Kill the worker that holds the run; return the steps recorded until then."""
        child = self.children.find(pid=victim.pid)
        if child is None:
            raise DemoFailed(
                f"The order is run by {victim.worker} (pid {victim.pid}), which this demo did not "
                "start: is another demo or worker running on the same database?"
            )
        child.kill()
        self.children.bury(child.name)
        self.terminal.bad(f"kill -9 {victim.worker}", f"pid {victim.pid}, in the middle of {DISPATCH}")
        return steps_of(watch.order_number)

    def wait_for_recovery(self, page: Page, watch: Watch, victim: Claim, crashed_at: float) -> None:
        """Wait until another worker has taken over, and then until the order has arrived."""
        self.follow(page, watch, lambda now: _successor(watch, victim) is not None or now.says.finished)
        successor = _successor(watch, victim)
        if successor is None:
            raise DemoFailed("The order was finished, but nobody saw a worker take it over.")
        seconds = time.monotonic() - crashed_at
        self.terminal.done(f"{successor.worker} has taken over after {seconds:.1f} s", f"pid {successor.pid}")
        last = self.follow(page, watch, lambda now: now.says.finished)
        if last.says.percent < 100:
            raise DemoFailed(f"The order did not arrive. Its page says: {last.says.headline}")
        self.terminal.done("Order dispatched", f"the page says: {last.says.headline}")

    def follow(self, page: Page, watch: Watch, until: Callable[[Page], bool]) -> Page:
        """Read the order's page again and again, as its script does, and show what it says."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            now = self.browser.open(f"{page.url}progress/")
            watch.look()
            self.terminal.progress(now.says.headline, now.says.percent, watch.note())
            if until(now):
                return now
            self.children.check()
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"Nothing more has happened for {PATIENCE_SECONDS} s. "
                    f"The page says: {now.says.headline} The logs are in {self.children.logs}."
                )
            time.sleep(LOOK_EVERY_SECONDS)

    def show_claims(self, watch: Watch) -> None:
        """Show who executed what."""
        self.terminal.title("Who ran it", "each claim and each recovery is one more attempt")
        for name, claims in watch.claims.items():
            hands = " → ".join(f"{claim.worker} (attempt {claim.attempt})" for claim in claims)
            self.terminal.plain(f"    {name:<16} {hands}")

    def prove(self, purchase: Purchase, watch: Watch) -> None:
        """Read everybody's books; fail unless nothing ran twice."""
        self.terminal.title("Did anything run twice?")
        broken = []
        for fact in proof.facts_of(purchase, watch, self.places.provider_url):
            report = self.terminal.done if fact.holds else self.terminal.bad
            report(fact.text, fact.found)
            broken += [] if fact.holds else [fact.text]
        if broken:
            raise DemoFailed(f"This does not hold: {'; '.join(broken)}.")
        self.terminal.plain()
        self.terminal.plain("  Nothing ran twice, and nothing was lost.")

    def leave_open(self) -> None:
        """Keep the shop open until Ctrl-C; a worker that somebody kills is replaced."""
        self.terminal.title("The shop stays open")
        self.terminal.plain(f"    Shop       {self.places.site_url}/")
        for room in ROOMS:
            self.terminal.plain(f"    {room.name:<9}  {self.places.site_url}{room.url}")
        self.terminal.plain(f"    Admin      {self.places.site_url}/admin/   login: {self.login}")
        self.terminal.plain(f"    Logs       {self.children.logs}")
        self.terminal.plain("    Ctrl-C ends it.")
        self.workers.hire()
        try:
            while True:
                time.sleep(0.5)
                for worker in self.workers.replace_the_dead():
                    self.terminal.done(
                        f"Worker {worker.name} steps in for one that has gone", f"pid {worker.pid}"
                    )
                self.children.check()
        except KeyboardInterrupt:
            self.terminal.plain()
            self.terminal.plain("  Closing the shop.")


def _successor(watch: Watch, victim: Claim) -> Claim | None:
    holder = watch.holder(DISPATCH)
    return holder if holder is not None and holder.pid != victim.pid else None
