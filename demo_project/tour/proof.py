"""The proof: what must be true of an order that survived a crash, read from everybody's books."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from demo_project.orders.models import Milestone, Order, Payment, Product
from demo_project.orders.timeline import JOURNEY
from demo_project.tour.runs import RecordedStep, Watch, steps_of
from durable_app.models import Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """Something that is to hold, and what was found."""

    text: str
    holds: bool
    found: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Purchase:
    """What was bought, and how things stood before and at the crash."""

    order_number: str
    product: Product
    quantity: int
    stock_before: int
    steps_at_crash: list[RecordedStep]


def facts_of(purchase: Purchase, watch: Watch, provider_url: str) -> Iterator[Fact]:
    """Yield every fact, those of the shop first."""
    yield _stock_fact(purchase)
    yield _order_fact(purchase)
    yield _payment_fact(purchase)
    yield _ledger_fact(purchase, provider_url)
    yield _milestones_fact(purchase)
    yield from _step_facts(purchase)
    yield _outcome_fact(watch)


def _stock_fact(purchase: Purchase) -> Fact:
    after = Product.objects.get(pk=purchase.product.pk).stock
    return Fact(
        text="The stock went down once",
        holds=purchase.stock_before - after == purchase.quantity,
        found=f"{purchase.stock_before} - {purchase.quantity} = {after}",
    )


def _order_fact(purchase: Purchase) -> Fact:
    orders = list(Order.objects.filter(number=purchase.order_number))
    return Fact(
        text="There is one order, and it is dispatched",
        holds=[order.status for order in orders] == [Order.Status.DISPATCHED],
        found=", ".join(order.status for order in orders) or "none",
    )


def _payment_fact(purchase: Purchase) -> Fact:
    payments = list(Payment.objects.filter(order__number=purchase.order_number))
    return Fact(
        text="There is one payment, and it is charged",
        holds=[payment.status for payment in payments] == [Payment.Status.CHARGED],
        found=", ".join(f"{payment.provider_id} {payment.status}" for payment in payments) or "none",
    )


def _ledger_fact(purchase: Purchase, provider_url: str) -> Fact:
    books = ask_provider(provider_url, purchase.order_number)
    booked = Counter(entry["status"] for entry in books["entries"])
    failed = [request for request in books["requests"] if request["status"] != 200]
    return Fact(
        text="The provider's own books show one charge",
        holds=booked == {"requested": 1, "charged": 1},
        found=f"{len(books['requests'])} requests, {len(failed)} of them failed on purpose; "
        f"charges: {booked['charged']}",
    )


def ask_provider(provider_url: str, order_number: str) -> dict[str, Any]:
    """Return what the provider has booked for the order."""
    address = f"{provider_url}/ledger?reference={order_number}"
    with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310  (our own http address)
        books: dict[str, Any] = json.load(response)
        return books


def _milestones_fact(purchase: Purchase) -> Fact:
    kinds = list(Milestone.objects.filter(order__number=purchase.order_number).values_list("kind", flat=True))
    return Fact(
        text="Every milestone was reached once, in order",
        holds=kinds == [kind.value for kind in JOURNEY],
        found=f"{len(kinds)} of {len(JOURNEY)}",
    )


def _step_facts(purchase: Purchase) -> Iterator[Fact]:
    steps = steps_of(purchase.order_number)
    kept = purchase.steps_at_crash
    later = [step for step in steps if step not in kept]
    yield Fact(
        text="Every step was recorded once",
        holds=len({(step.workflow_id, step.position) for step in steps}) == len(steps) > 0,
        found=f"{len(steps)} steps",
    )
    yield Fact(
        text="No step from before the crash ran again",
        holds=all(step in steps for step in kept) and bool(later),
        found=f"{len(kept)} untouched, {len(later)} ran after the crash",
    )


def _outcome_fact(watch: Watch) -> Fact:
    watch.look()
    return Fact(
        text="Both workflows succeeded",
        holds=list(watch.statuses.values()) == [Status.SUCCESS, Status.SUCCESS],
        found=", ".join(f"{name} {status}" for name, status in watch.statuses.items()),
    )
