"""The provider's books: a line of JSON for each thing it did, in a file that only grows."""

import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

REQUESTED, CHARGED, REFUNDED, VOIDED = "requested", "charged", "refunded", "voided"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Something the provider did, and the idempotency key it was asked under."""

    payment_id: str
    reference: str
    amount_cents: int
    status: str
    key: str
    booked_at: str


class UnknownPayment(LookupError):
    """There is no payment with this id."""


class Ledger:
    """Books every operation once for each key: asked again, it returns the entry it has."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._entries = [Entry(**json.loads(line)) for line in _lines(file)]

    def request(self, key: str, reference: str, amount_cents: int) -> Entry:
        """Open a payment."""
        with self._lock:
            return self._booked(key) or self._book(
                key,
                payment_id=f"pay_{secrets.token_hex(6)}",
                reference=reference,
                amount_cents=amount_cents,
                status=REQUESTED,
            )

    def charge(self, key: str, payment_id: str) -> Entry:
        """Take the money."""
        with self._lock:
            return self._booked(key) or self._move(key, payment_id, CHARGED)

    def cancel(self, key: str, payment_id: str) -> Entry:
        """Give the money back, or drop a payment that was never charged."""
        with self._lock:
            charged = self._last(payment_id).status == CHARGED
            return self._booked(key) or self._move(key, payment_id, REFUNDED if charged else VOIDED)

    def entries(self, reference: str) -> list[Entry]:
        """Return all that was booked for the merchant's reference."""
        return [entry for entry in self._entries if entry.reference == reference]

    def _booked(self, key: str) -> Entry | None:
        return next((entry for entry in self._entries if entry.key == key), None)

    def _last(self, payment_id: str) -> Entry:
        for entry in reversed(self._entries):
            if entry.payment_id == payment_id:
                return entry
        raise UnknownPayment(payment_id)

    def _move(self, key: str, payment_id: str, status: str) -> Entry:
        last = self._last(payment_id)
        return self._book(
            key,
            payment_id=payment_id,
            reference=last.reference,
            amount_cents=last.amount_cents,
            status=status,
        )

    def _book(self, key: str, *, payment_id: str, reference: str, amount_cents: int, status: str) -> Entry:
        entry = Entry(
            payment_id=payment_id,
            reference=reference,
            amount_cents=amount_cents,
            status=status,
            key=key,
            booked_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        with self._file.open("a", encoding="utf-8") as book:
            book.write(json.dumps(asdict(entry)) + "\n")
            book.flush()
            os.fsync(book.fileno())
        self._entries.append(entry)
        return entry


def _lines(file: Path) -> list[str]:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
