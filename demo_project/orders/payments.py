"""The steps that talk to the payment provider over HTTP.

The provider fails now and then, and sometimes after it has done what it was asked for. So each
step is tried again, always under the same idempotency key: the provider does a thing once, however
often it is asked.
"""

import json
from decimal import Decimal
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from demo_project.orders.errors import PaymentDeclined, ProviderUnavailable
from demo_project.orders.options import payment_provider_url
from durable_app import step, workflow_id

PATIENCE_SECONDS = 5


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, ProviderUnavailable)


@step(retries_allowed=True, max_attempts=6, interval_seconds=0.3, should_retry=_is_temporary)
def request_payment(order_number: str, amount: Decimal) -> str:
    """Ask the provider for a payment; return its id there."""
    body = {"reference": order_number, "amount_cents": int(amount * 100)}
    return str(_post("/payments", "request", body)["id"])


@step(retries_allowed=True, max_attempts=6, interval_seconds=0.3, should_retry=_is_temporary)
def charge_payment(provider_id: str) -> None:
    """Take the money."""
    _post(f"/payments/{provider_id}/charge", "charge", {})


@step(retries_allowed=True, max_attempts=20, interval_seconds=0.3, should_retry=_is_temporary)
def cancel_payment(provider_id: str) -> str:
    """Give the money back, or drop the payment; return which: "refunded" or "voided"."""
    return str(_post(f"/payments/{provider_id}/cancel", "cancel", {})["status"])


def _post(path: str, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": f"{workflow_id()}:{operation}",
    }
    try:
        status, answer = _exchange(path, headers, json.dumps(body))
    except (OSError, HTTPException, ValueError) as error:
        raise ProviderUnavailable(f"The payment provider did not answer: {error!r}") from error
    if status == 402:
        raise PaymentDeclined(answer["error"])
    if status >= 500:
        raise ProviderUnavailable(f"The payment provider answered {status}: {answer['error']}")
    if status >= 400:
        raise RuntimeError(f"The payment provider refuses our request {path}: {status} {answer}")
    return answer


def _exchange(path: str, headers: dict[str, str], body: str) -> tuple[int, dict[str, Any]]:
    address = urlsplit(payment_provider_url())
    connection = HTTPConnection(address.netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
