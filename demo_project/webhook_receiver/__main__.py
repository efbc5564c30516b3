"""Run the receiver until it is stopped."""

import argparse
import contextlib
import os

from demo_project.webhook_receiver.server import WebhookReceiver


def main() -> None:
    """Serve, and say where."""
    parser = argparse.ArgumentParser(
        prog="webhook_receiver",
        description="A receiver of webhooks that fails on purpose.",
        epilog="The environment's WEBHOOK_SECRET is what it shares with the shop.",
    )
    parser.add_argument("--port", type=int, default=8002, help="0 takes any free port")
    options = parser.parse_args()
    secret = os.environ.get("WEBHOOK_SECRET", "demo-only")
    with WebhookReceiver(options.port, secret) as receiver, contextlib.suppress(KeyboardInterrupt):
        print(f"Webhook receiver at {receiver.url}", flush=True)  # noqa: T201  (a program's own output)
        receiver.serve_forever()


if __name__ == "__main__":
    main()
