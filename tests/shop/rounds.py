"""An endless run for the tests that kill its workers; well, one of a few rounds."""

from durable_app import continue_as_new, workflow
from tests.shop.crash import plain


@workflow
def rounds(ledger: str, left: int = 3) -> list[str]:
    """Leave a trace in each round, and go on as new; return what the last round recorded."""
    token = plain(ledger, f"round{left}")
    if left:
        continue_as_new(ledger, left - 1)
    return [token]
