"""What the parsers take, a line each verb: what docs/commands.md has to say."""

import argparse
from collections.abc import Iterator

from django.core.management.base import CommandParser

from durable_app.management.commands.durable import ALONE, NOUNS

COMMON = {"-h", "--help", "-o", "--output", "--quiet"}


def lines() -> Iterator[str]:
    """Yield the synopsis of each verb."""
    for noun in NOUNS:
        for verb in noun.verbs:
            yield synopsis(f"durable {noun.name} {verb.name}", verb.arguments)
    for verb in ALONE:
        yield synopsis(f"durable {verb.name}", verb.arguments)


def synopsis(name: str, add: object) -> str:
    """Return a verb with its arguments; the conditions on runs are one word."""
    parser = CommandParser(prog=name)
    add(parser)  # type: ignore[operator]
    conditions = {
        action.option_strings[0]
        for group in parser._action_groups
        if group.title is not None and group.title.startswith("conditions")
        for action in group._group_actions
    }
    words = [word(one) for one in parser._actions if not COMMON.union(conditions) & set(one.option_strings)]
    given = sorted(words, key=lambda one: one.startswith("["))
    return " ".join([name, *given, *(["[CONDITIONS]"] if conditions else [])])


def word(action: argparse.Action) -> str:
    """Return how an argument is written."""
    metavar = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return {"*": f"[{metavar} ...]", "+": f"{metavar} ...", "?": f"[{metavar}]"}.get(
            str(action.nargs), metavar
        )
    flag = action.option_strings[-1]
    if action.nargs == 0:
        written = flag
    elif action.nargs == "?":
        written = f"{flag} [{metavar}]"
    else:
        written = f"{flag} {metavar}"
    return written if action.required else f"[{written}]"
