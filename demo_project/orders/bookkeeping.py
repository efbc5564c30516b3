"""The transactions: each commits its rows and its checkpoint together, and so happens once."""

from decimal import Decimal

from django.db.models import F

from demo_project.orders.errors import CarrierRefused, OutOfStock
from demo_project.orders.models import Milestone, Order, Payment, Product
from durable_app import transaction

HEAVIEST_PARCEL_KG = Decimal(30)


@transaction
def reserve_stock(product_sku: str, quantity: int) -> None:
    """Take the items off the shelf, unless there are too few."""
    taken = Product.objects.filter(sku=product_sku, stock__gte=quantity).update(stock=F("stock") - quantity)
    if not taken:
        raise OutOfStock("Sorry, somebody else was faster: there is not enough left.")


@transaction
def release_stock(order_number: str, product_sku: str, quantity: int) -> None:
    """Put the items back."""
    Product.objects.filter(sku=product_sku).update(stock=F("stock") + quantity)
    for order in Order.objects.filter(number=order_number):
        order.reach(Milestone.Kind.STOCK_RELEASED)


@transaction
def create_order(order_number: str, product_sku: str, quantity: int) -> Decimal:
    """Write the order down at today's price; return what is to be paid."""
    product = Product.objects.get(sku=product_sku)
    order = Order.objects.create(
        number=order_number, product=product, quantity=quantity, unit_price=product.price
    )
    order.reach(Milestone.Kind.RESERVED)
    return order.total


@transaction
def cancel_order(order_number: str) -> None:
    """Close the order as cancelled."""
    order = _set_status(order_number, Order.Status.CANCELLED)
    order.reach(Milestone.Kind.CANCELLED)


@transaction
def record_payment(order_number: str, provider_id: str, amount: Decimal) -> None:
    """Write down what the provider was asked for."""
    order = Order.objects.get(number=order_number)
    Payment.objects.create(order=order, provider_id=provider_id, amount=amount)
    order.reach(Milestone.Kind.PAYMENT_REQUESTED)


@transaction
def mark_paid(order_number: str) -> None:
    """The provider has charged the customer."""
    Payment.objects.filter(order__number=order_number).update(status=Payment.Status.CHARGED)
    _set_status(order_number, Order.Status.PAID).reach(Milestone.Kind.PAID)


@transaction
def mark_money_returned(order_number: str, outcome: str) -> None:
    """The provider has refunded the payment, or dropped it before any charge."""
    Payment.objects.filter(order__number=order_number).update(status=outcome)
    if outcome == Payment.Status.REFUNDED:
        Order.objects.get(number=order_number).reach(Milestone.Kind.MONEY_RETURNED)


@transaction
def book_carrier(order_number: str) -> None:
    """Have the parcel picked from the shelf, if the carrier takes anything as heavy."""
    order = Order.objects.select_related("product").get(number=order_number)
    if order.weight_kg > HEAVIEST_PARCEL_KG:
        raise CarrierRefused(
            f"Our carrier takes parcels up to {HEAVIEST_PARCEL_KG} kg; "
            f"this one weighs {order.weight_kg.normalize():f} kg."
        )
    order.reach(Milestone.Kind.PICKED)


@transaction
def advance_parcel(order_number: str, kind: str) -> None:
    """Note how far the parcel has come."""
    Order.objects.get(number=order_number).reach(Milestone.Kind(kind))


@transaction
def mark_dispatched(order_number: str) -> None:
    """The parcel has left the house."""
    _set_status(order_number, Order.Status.DISPATCHED).reach(Milestone.Kind.DISPATCHED)


def _set_status(order_number: str, status: Order.Status) -> Order:
    order = Order.objects.get(number=order_number)
    order.status = status
    order.save(update_fields=["status"])
    return order
