"""``durable seed``: made-up runs, to look at and to measure with."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from durable_app.management.cli.arguments import Verb, positive, span
from durable_app.management.cli.terminal import Terminal
from durable_app.store.seeding import BATCH, seed


def _arguments(parser: CommandParser) -> None:
    parser.add_argument("--runs", type=positive, default=1_000, metavar="N", help="Default: 1000.")
    parser.add_argument("--steps", type=positive, default=4, metavar="N", help="At most so many a run.")
    parser.add_argument(
        "--over", type=span, default=span("30d"), metavar="SPAN", help="Created over so long (30d)."
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="The same makes the same.")


def _seed(terminal: Terminal, options: dict[str, Any]) -> None:
    runs: int = options["runs"]
    batches: Iterator[int] = seed(runs, steps=options["steps"], span=options["over"], seed=options["seed"])
    for _made in terminal.counting(batches, -(-runs // BATCH), "batch"):
        pass
    terminal.say(f"{runs} runs were made up; no worker takes them. Their ids begin with seed-.")


VERB = Verb(name="seed", help="Make up runs in every state.", run=_seed, arguments=_arguments)
