"""``manage.py durable NOUN VERB``: what operators do in the admin, typed."""

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from durable_app.management.cli import (
    bulk,
    looking,
    measuring,
    others,
    queues,
    replaying,
    runs,
    schedules,
    seeding,
    upkeep,
    workflows,
)
from durable_app.management.cli.arguments import Noun, Verb
from durable_app.management.cli.failures import INTERRUPTED, Failure, explained
from durable_app.management.cli.terminal import FORMATS, Terminal

NOUNS: tuple[Noun, ...] = (
    runs.NOUN,
    bulk.NOUN,
    queues.NOUN,
    schedules.NOUN,
    workflows.NOUN,
    others.WORKER,
    others.APPROVAL,
    others.VERSION,
)

ALONE: tuple[Verb, ...] = (looking.DOCTOR, replaying.VERB, *upkeep.VERBS, *measuring.VERBS, seeding.VERB)
"""Verbs that need no noun."""

_DJANGOS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--settings", {}),
    ("--pythonpath", {}),
    ("--traceback", {"action": "store_true"}),
    ("--no-color", {"action": "store_true"}),
    ("--force-color", {"action": "store_true"}),
    ("--skip-checks", {"action": "store_true"}),
    ("--verbosity", {"type": int, "choices": (0, 1, 2, 3)}),
    ("-v", {"type": int, "choices": (0, 1, 2, 3), "dest": "verbosity"}),
)
"""What every command of Django's takes; ours take it behind the verb, too."""


class Command(BaseCommand):
    """Performs the verb of a noun."""

    help = "Looks at runs, queues, schedules and workers, and does something to them."
    requires_system_checks = ["durable_app"]
    stealth_options = ("stdin",)

    def add_arguments(self, parser: CommandParser) -> None:
        nouns = parser.add_subparsers(dest="noun", required=True, metavar="NOUN")
        for noun in NOUNS:
            verbs = nouns.add_parser(noun.name, help=noun.help).add_subparsers(
                dest="verb", required=True, metavar="VERB"
            )
            for verb in noun.verbs:
                _add(verbs, verb)
        for verb in ALONE:
            _add(nouns, verb)

    def handle(self, **options: Any) -> None:
        terminal = Terminal(
            stdout=self.stdout,
            stderr=self.stderr,
            stdin=options.get("stdin") or sys.stdin,
            form=options["output"],
            is_quiet=options["quiet"],
        )
        with explained():
            try:
                options["run"](terminal, options)
            except Failure as failure:
                if terminal.is_interrupted:
                    raise Failure(f"Interrupted. {failure}", INTERRUPTED) from failure
                raise
            if terminal.is_interrupted:
                raise Failure("Interrupted.", INTERRUPTED)


def _add(parsers: Any, verb: Verb) -> None:
    one = parsers.add_parser(verb.name, help=verb.help, description=verb.help)
    one.add_argument("-o", "--output", choices=FORMATS, default="table", help="Default: table.")
    one.add_argument("--quiet", action="store_true", help="Say nothing but results.")
    for flag, how in _DJANGOS:
        one.add_argument(flag, help=argparse.SUPPRESS, default=argparse.SUPPRESS, **how)
    verb.arguments(one)
    one.set_defaults(run=verb.run)
