"""``manage.py durable NOUN VERB``: what operators do in the admin, typed."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from durable_app.errors import DurableError
from durable_app.management.cli import others, queues, runs, schedules, seeding
from durable_app.management.cli.arguments import Verb
from durable_app.management.cli.terminal import FORMATS, Failure, Terminal

NOUNS = (
    runs.NOUN,
    queues.NOUN,
    schedules.NOUN,
    others.WORKFLOW,
    others.WORKER,
    others.APPROVAL,
    others.VERSION,
)

ALONE = (seeding.VERB,)
"""Verbs that need no noun."""

INTERRUPTED = 130


class Command(BaseCommand):
    help = "Looks at runs, queues, schedules and workers, and does something to them."

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
            stdin=sys.stdin,
            form=options["output"],
            is_quiet=options["quiet"],
        )
        try:
            options["run"](terminal, options)
        except DurableError as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt:
            raise Failure("Interrupted.", INTERRUPTED) from None


def _add(parsers: Any, verb: Verb) -> None:
    one = parsers.add_parser(verb.name, help=verb.help, description=verb.help)
    one.add_argument("-o", "--output", choices=FORMATS, default="table", help="Default: table.")
    one.add_argument("--quiet", action="store_true", help="Say nothing but results.")
    verb.arguments(one)
    one.set_defaults(run=verb.run)
