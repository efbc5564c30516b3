"""Run the model until it is stopped."""

import argparse
import contextlib

from demo_project.language_model.server import LanguageModel


def main() -> None:
    """Serve, and say where."""
    parser = argparse.ArgumentParser(
        prog="language_model", description="A language model's stand-in that fails on purpose."
    )
    parser.add_argument("--port", type=int, default=8003, help="0 takes any free port")
    parser.add_argument("--pace", type=float, default=0.06, help="seconds between two tokens")
    options = parser.parse_args()
    with LanguageModel(options.port, options.pace) as model, contextlib.suppress(KeyboardInterrupt):
        print(f"Language model at {model.url}", flush=True)  # noqa: T201  (a program's own output)
        model.serve_forever()


if __name__ == "__main__":
    main()
