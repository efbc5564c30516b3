"""The two workflows of the shop: ``checkout`` sells, ``dispatch_order`` sends.

Each is plain Python. A worker that dies anywhere in them is replaced by another one, which runs the
function again, finds the recorded outcome of every finished step, and goes on from there.
"""

from decimal import Decimal

from django.urls import reverse

from demo_project.orders import bookkeeping, payments
from demo_project.orders.compensation import Compensations
from demo_project.orders.errors import OrderFailed, PaymentNotMade
from demo_project.orders.models import Milestone
from demo_project.orders.options import payment_timeout
from durable_app import (
    AwaitedWorkflowCancelledError,
    MaxStepRetriesExceeded,
    recv,
    set_event,
    sleep,
    start_workflow,
    workflow,
)

PAID = "paid"
CANCELLED = "cancelled"

STAGES = (Milestone.Kind.PACKED, Milestone.Kind.LABELLED)
STAGE_SECONDS = 0.9


@workflow
def checkout(order_number: str, product_sku: str, quantity: int) -> str:
    """Sell a product: reserve, wait for the customer's payment, charge, send. Or undo it all."""
    undo = Compensations()
    try:
        amount = open_order(order_number, product_sku, quantity, undo)
        collect_payment(order_number, amount, undo)
        tell("Payment received. We are packing your order.")
        start_workflow(dispatch_order, order_number).get_result()
    except (OrderFailed, MaxStepRetriesExceeded, AwaitedWorkflowCancelledError) as problem:
        tell("We are undoing your order.")
        undo.run()
        tell(f"Order cancelled. {reason_of(problem)}")
        return CANCELLED
    tell("Your order is on its way.")
    return "dispatched"


def open_order(order_number: str, product_sku: str, quantity: int, undo: Compensations) -> Decimal:
    """Reserve the items and write the order down; return what it costs."""
    tell("Reserving your items.")
    bookkeeping.reserve_stock(product_sku, quantity)
    undo.add(bookkeeping.release_stock, order_number, product_sku, quantity)
    amount = bookkeeping.create_order(order_number, product_sku, quantity)
    undo.add(bookkeeping.cancel_order, order_number)
    return amount


def collect_payment(order_number: str, amount: Decimal, undo: Compensations) -> None:
    """Ask for the payment, wait until the customer confirms it, and charge."""
    tell("Your items are reserved. We are asking the payment provider.")
    provider_id = payments.request_payment(order_number, amount)
    undo.add(return_money, order_number, provider_id)
    bookkeeping.record_payment(order_number, provider_id, amount)
    set_event("payment_url", reverse("orders:payment", args=[order_number]))
    tell("Waiting for your payment.")
    await_customer()
    tell("Thank you. We are confirming your payment with the provider.")
    payments.charge_payment(provider_id)
    bookkeeping.mark_paid(order_number)


def await_customer() -> None:
    """Wait for the payment page's answer; it may take minutes and costs a row, not a thread."""
    answer = recv("payment", timeout_seconds=payment_timeout().total_seconds())
    if answer is None:
        raise PaymentNotMade("No payment came in time.")
    if answer != PAID:
        raise PaymentNotMade("You cancelled the payment.")


def return_money(order_number: str, provider_id: str) -> None:
    """Undo the payment, whether or not it was charged."""
    outcome = payments.cancel_payment(provider_id)
    bookkeeping.mark_money_returned(order_number, outcome)


@workflow
def dispatch_order(order_number: str) -> None:
    """Send the parcel, one stage after the other."""
    bookkeeping.book_carrier(order_number)
    for stage in STAGES:
        sleep(STAGE_SECONDS)
        bookkeeping.advance_parcel(order_number, stage.value)
    sleep(STAGE_SECONDS)
    bookkeeping.mark_dispatched(order_number)


def tell(sentence: str) -> None:
    """Publish where the order stands, for the order's page."""
    set_event("status", sentence)


def reason_of(problem: Exception) -> str:
    """Return a sentence for the customer; what broke inside the house stays there."""
    if isinstance(problem, OrderFailed):
        return str(problem)
    return "We could not complete it; whatever was charged has been returned."
