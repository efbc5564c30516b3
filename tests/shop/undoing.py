"""Workflows that undo what they have done, with traces in a ledger, for the tests that kill their workers."""

from durable_app import compensate, recv, workflow
from tests.shop.crash import plain


def travel(ledger: str) -> None:
    for what in ("flight", "hotel"):
        compensate(plain, ledger, f"unbook-{what}")
        plain(ledger, f"book-{what}")


@workflow
def failing_trip(ledger: str) -> None:
    travel(ledger)
    raise RuntimeError("no seat left")


@workflow
def waiting_trip(ledger: str) -> None:
    travel(ledger)
    recv("go", 3600)
