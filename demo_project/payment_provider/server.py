"""The provider's HTTP interface.

    POST /payments               open a payment of {"reference", "amount_cents"}, or 402: too much
    POST /payments/<id>/charge   take the money
    POST /payments/<id>/cancel   refund it, or drop what was never charged
    GET  /ledger?reference=...   what was booked, and how every request was answered

Every POST carries an ``Idempotency-Key``.
"""

import json
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from demo_project.payment_provider.ledger import Entry, Ledger, UnknownPayment
from demo_project.payment_provider.outages import Outage, Outages

LIMIT_CENTS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One POST and how it was answered; ``status`` is 0 where the answer was lost."""

    key: str
    operation: str
    status: int


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


class PaymentProvider(ThreadingHTTPServer):
    """The server with its books."""

    daemon_threads = True

    def __init__(self, port: int, ledger_file: Path) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.ledger = Ledger(ledger_file)
        self.outages = Outages()
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        """Return where the provider is to be found."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: PaymentProvider

    def do_GET(self) -> None:
        """Show the books."""
        address = urlsplit(self.path)
        reference = parse_qs(address.query).get("reference", [""])[0]
        if address.path != "/ledger":
            self._answer(HTTPStatus.OK, {"service": "payment provider"})
            return
        entries = self.server.ledger.entries(reference)
        keys = {entry.key.rpartition(":")[0] for entry in entries}
        requests = [seen for seen in self.server.requests if seen.key.rpartition(":")[0] in keys]
        self._answer(
            HTTPStatus.OK,
            {
                "entries": [asdict(entry) for entry in entries],
                "requests": [asdict(seen) for seen in requests],
            },
        )

    def do_POST(self) -> None:
        """Do what is asked, or fail as planned."""
        try:
            operation, payment_id = self._operation()
            key = self._key()
            body = self._body()
        except Refusal as refusal:
            self._refuse(refusal)
            return
        outage = self.server.outages.next(operation, key)
        status = self._perform(outage, operation, payment_id, key, body)
        self.server.requests.append(Request(key=key, operation=operation, status=status))

    def _perform(
        self, outage: Outage, operation: str, payment_id: str, key: str, body: dict[str, Any]
    ) -> int:
        try:
            if outage is Outage.UNAVAILABLE:
                raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Overloaded, try again (failing on purpose).")
            entry = self._book(operation, payment_id, key, body)
        except Refusal as refusal:
            return self._refuse(refusal)
        if outage is Outage.ANSWER_LOST:
            self.close_connection = True
            return 0
        return self._answer(HTTPStatus.OK, {"id": entry.payment_id, "status": entry.status})

    def _book(self, operation: str, payment_id: str, key: str, body: dict[str, Any]) -> Entry:
        try:
            if operation == "request":
                return self.server.ledger.request(key, str(body["reference"]), _within_limit(body))
            if operation == "charge":
                return self.server.ledger.charge(key, payment_id)
            return self.server.ledger.cancel(key, payment_id)
        except UnknownPayment:
            raise Refusal(HTTPStatus.NOT_FOUND, f"No payment {payment_id}.") from None
        except (KeyError, TypeError, ValueError) as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"Not a payment request: {error!r}") from error

    def _operation(self) -> tuple[str, str]:
        """Return what is asked for, and of which payment."""
        match urlsplit(self.path).path.strip("/").split("/"):
            case ["payments"]:
                return "request", ""
            case ["payments", payment_id, "charge" | "cancel" as operation]:
                return operation, payment_id
        raise Refusal(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def _key(self) -> str:
        if key := self.headers.get("Idempotency-Key"):
            return key
        raise Refusal(HTTPStatus.BAD_REQUEST, "Send an Idempotency-Key.")

    def _body(self) -> dict[str, Any]:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body = json.loads(text)
        except ValueError:
            raise Refusal(HTTPStatus.BAD_REQUEST, "Send JSON.") from None
        if not isinstance(body, dict):
            raise Refusal(HTTPStatus.BAD_REQUEST, "Send a JSON object.")
        return body

    def _refuse(self, refusal: Refusal) -> int:
        return self._answer(refusal.status, {"error": str(refusal)})

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> int:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
        return int(status)


def _within_limit(body: dict[str, Any]) -> int:
    amount_cents = int(body["amount_cents"])
    if amount_cents <= 0:
        raise ValueError("amount_cents must be positive")
    if amount_cents > LIMIT_CENTS:
        raise Refusal(HTTPStatus.PAYMENT_REQUIRED, "Your bank declined the payment: it is above €1,000.")
    return amount_cents
