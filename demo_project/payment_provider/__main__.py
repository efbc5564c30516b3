"""Run the provider until it is stopped."""

import argparse
import contextlib
from pathlib import Path

from demo_project.payment_provider.server import PaymentProvider


def main() -> None:
    """Serve, and say where."""
    parser = argparse.ArgumentParser(
        prog="payment_provider", description="A payment provider that fails on purpose."
    )
    parser.add_argument("--port", type=int, default=8001, help="0 takes any free port")
    parser.add_argument("--ledger", type=Path, default=Path("var/ledger.jsonl"), help="the file of its books")
    options = parser.parse_args()
    with (
        PaymentProvider(options.port, options.ledger) as provider,
        contextlib.suppress(KeyboardInterrupt),
    ):
        print(f"Payment provider at {provider.url}", flush=True)  # noqa: T201  (a program's own output)
        provider.serve_forever()


if __name__ == "__main__":
    main()
