"""What the shop needs before it opens: tables, products, an admin, and its processes."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_lowercase

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DatabaseError, connection

from demo_project.orders.catalogue import load_products
from demo_project.orders.models import Order, Product
from demo_project.paths import VAR_DIR
from demo_project.tour.browser import Browser
from demo_project.tour.children import Child, Children, free_port
from demo_project.tour.errors import DemoFailed

ADMIN = "admin"
SAFE_PRODUCTS = ("clockwork-widget", "classic-widget", "spring-widget", "pocket-widget")
"""Neither too dear for the provider nor too heavy for the carrier."""
START_SECONDS = 30
SITE_PORT = 8000
PROVIDER_PORT = 8001
RECEIVER_PORT = 8002
MODEL_PORT = 8003


@dataclass(frozen=True, kw_only=True, slots=True)
class Premises:
    """The addresses of what was started."""

    site_url: str
    provider_url: str
    receiver_url: str
    model_url: str


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Refuse to run beside another demo: two would buy from one shelf, and count each other's."""
    with (VAR_DIR / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed("Another demo is running in this folder. End that one first.") from None
        yield


def database_name() -> str:
    """Return which database the demo runs on, for people."""
    where = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"SQLite, {where['NAME']}"
    return f"PostgreSQL, {where['NAME']} at {where['HOST'] or 'the local socket'}"


def prepare_database() -> int:
    """Bring the tables up to date and load the products; return how many there are."""
    try:
        call_command("migrate", interactive=False, verbosity=0)
        return load_products()
    except DatabaseError as error:
        raise DemoFailed(f"The database cannot be used ({database_name()}): {error}") from error


def choose_product() -> Product:
    """Return a product that no unfinished order may put back on its shelf in the meantime."""
    shelf = Product.objects.filter(sku__in=SAFE_PRODUCTS).order_by("-price")
    unfinished = (Order.Status.AWAITING_PAYMENT, Order.Status.PAID)
    product = shelf.exclude(orders__status__in=unfinished).first() or shelf.first()
    if product is None:
        raise DemoFailed("The catalogue is not in the database.")
    return product


def create_admin() -> str:
    """Make sure somebody can log in; return the login in words. Fit for a demo only."""
    users = get_user_model().objects
    user = users.filter(username=ADMIN).first()
    if user is None:
        users.create_superuser(username=ADMIN, email="", password=ADMIN)
        return f"{ADMIN} / {ADMIN}"
    if user.check_password(ADMIN):
        return f"{ADMIN} / {ADMIN}"
    return f"{ADMIN}, with the password you gave it"


def open_premises(children: Children) -> Premises:
    """Start the site and everybody else's servers, and wait until all answer."""
    provider_url = _start_provider(children)
    receiver_url = _start_server(children, "webhook-receiver", RECEIVER_PORT)
    model_url = _start_server(children, "language-model", MODEL_PORT)
    children.environment |= {
        "PAYMENT_PROVIDER_URL": provider_url,
        "WEBHOOK_URL": receiver_url,
        "LANGUAGE_MODEL_URL": model_url,
    }
    return Premises(
        site_url=_start_site(children),
        provider_url=provider_url,
        receiver_url=receiver_url,
        model_url=model_url,
    )


@dataclass(kw_only=True)
class Workers:
    """The workers on duty: worker-a, worker-b, and so on."""

    children: Children
    _hired: int = 0

    def hire(self) -> Child:
        """Start one more."""
        name = f"worker-{ascii_lowercase[self._hired % 26]}"
        self._hired += 1
        return self.children.start(
            name,
            *("-m", "django", "durable_worker", "--name", name),
            *("--no-reload", "--graceful-timeout", "3"),
        )

    def replace_the_dead(self) -> list[Child]:
        """Start a new worker for each that has gone."""
        return [self.hire() for _ in self.children.bury("worker-")]


def _start_provider(children: Children) -> str:
    return _start_server(
        children, "payment-provider", PROVIDER_PORT, "--ledger", str(VAR_DIR / "ledger.jsonl")
    )


def _start_server(children: Children, name: str, preferred: int, *arguments: str) -> str:
    """Start one of the servers that are packages of this project; return its address."""
    port = free_port(preferred)
    package = f"demo_project.{name.replace('-', '_')}"
    children.start(name, "-m", package, "--port", str(port), *arguments)
    return _when_answering(children, f"http://127.0.0.1:{port}")


def _start_site(children: Children) -> str:
    address = f"127.0.0.1:{free_port(SITE_PORT)}"
    children.start("site", "-m", "django", "runserver", "--noreload", address)
    return _when_answering(children, f"http://{address}")


def _when_answering(children: Children, url: str) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        children.check()
        try:
            Browser(url).open("/")
        except DemoFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return url
