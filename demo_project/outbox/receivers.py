"""What the shop says of its orders becomes events, in the transaction in which it is said."""

from typing import Any

from django.dispatch import receiver

from demo_project.orders.signals import order_placed, payment_answered
from demo_project.outbox.workflows import publish


@receiver(order_placed, dispatch_uid="outbox.order_placed")
def publish_order(number: str, sku: str, quantity: int, **kwargs: Any) -> None:
    """An order was placed."""
    publish(f"order.placed-{number}", "order.placed", {"number": number, "sku": sku, "quantity": quantity})


@receiver(payment_answered, dispatch_uid="outbox.payment_answered")
def publish_answer(number: str, answer: str, **kwargs: Any) -> None:
    """The customer has confirmed or cancelled the payment."""
    publish(f"payment.answered-{number}", "payment.answered", {"number": number, "answer": answer})
