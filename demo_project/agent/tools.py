"""What the assistant can do: each tool is a step, a transaction or a workflow of its own."""

import json
from collections.abc import Callable
from typing import Any

from demo_project.ingestion.search import search
from demo_project.orders import bookkeeping, payments
from demo_project.orders.models import Order, Payment
from durable_app import SetWorkflowID, start_workflow, step, workflow


def _specification(name: str, description: str, **parameters: str) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": schema},
    }


SPECIFICATIONS = [
    _specification("find_order", "Look an order up.", number="The order's number"),
    _specification("search_manuals", "Search the manuals.", question="What to look for"),
    _specification(
        "refund_order", "Return the money of an order.", number="The order's number", reason="Why"
    ),
]

DANGEROUS = frozenset({"refund_order"})
"""What a person must approve."""


@step
def find_order(number: str) -> dict[str, Any]:
    """Look an order up."""
    order = Order.objects.select_related("product").filter(number=number).first()
    if order is None:
        return {"error": f"There is no order {number}."}
    money = Payment.objects.filter(order=order).first()
    is_refunded = money is not None and money.status == Payment.Status.REFUNDED
    return {
        "product": order.product.name,
        "quantity": order.quantity,
        "total": f"€{order.total:,.2f}",
        "status": "refunded" if is_refunded else order.get_status_display(),
    }


@step
def search_manuals(question: str) -> dict[str, Any]:
    """Find the passages nearest to a question."""
    return {"passages": [{"title": hit.title, "text": hit.text} for hit in search(question, limit=2)]}


def refund_order(number: str, reason: str) -> dict[str, Any]:
    """Return the money, once for each order, whoever asks for it however often."""
    with SetWorkflowID(f"refund-{number}"):
        refund = start_workflow(refund_payment, number, reason)
    return refund.get_result()


@workflow
def refund_payment(number: str, reason: str) -> dict[str, Any]:
    """Have the provider return the money, and write it down."""
    provider_id = charged_payment(number)
    if provider_id is None:
        return {"error": "nothing was charged for it, or it was returned before."}
    outcome = payments.cancel_payment(provider_id)
    bookkeeping.mark_money_returned(number, outcome)
    return {"outcome": outcome, "reason": reason}


@step
def charged_payment(number: str) -> str | None:
    """Return the provider's id of what was charged for an order, None if nothing was."""
    charged = Payment.objects.filter(order__number=number, status=Payment.Status.CHARGED).first()
    return charged.provider_id if charged else None


TOOLS: dict[str, Callable[..., dict[str, Any]]] = {
    "find_order": find_order,
    "search_manuals": search_manuals,
    "refund_order": refund_order,
}


def arguments_of(call: dict[str, Any]) -> dict[str, str]:
    """Return the arguments of a call as the tool takes them; raises ValueError if a model made them up."""
    function = call["function"]
    specification = next(
        (one["function"] for one in SPECIFICATIONS if one["function"]["name"] == function["name"]), None
    )
    if specification is None:
        raise ValueError(f"There is no tool {function['name']!r}.")
    given = json.loads(function["arguments"])
    required = specification["parameters"]["required"]
    if not isinstance(given, dict) or sorted(given) != sorted(required):
        raise ValueError(f"{function['name']} takes {', '.join(required)}.")
    return {name: str(value) for name, value in given.items()}
