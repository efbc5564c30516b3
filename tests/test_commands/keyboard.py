"""Typing commands: what comes on stdout and on stderr, and the exit code."""

import io
import json
from dataclasses import dataclass
from typing import Any

from django.core.management import CommandError, call_command


class Screen(io.StringIO):
    """A stream that a person looks at, or types into."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command has said."""

    out: str
    err: str
    code: int

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def durable(*arguments: str, stdin: str | io.StringIO = "", watched: bool = False) -> Said:
    """Type ``manage.py durable``; ``watched`` says that stderr is a terminal."""
    given = io.StringIO(stdin) if isinstance(stdin, str) else stdin
    return typed("durable", *arguments, watched=watched, stdin=given)


def typed(command: str, *arguments: str, watched: bool = False, **options: Any) -> Said:
    """Type a command of ours."""
    out, err = io.StringIO(), Screen() if watched else io.StringIO()
    try:
        call_command(command, *arguments, stdout=out, stderr=err, no_color=True, **options)
    except CommandError as failure:
        return Said(out=out.getvalue(), err=f"{err.getvalue()}{failure}", code=failure.returncode)
    return Said(out=out.getvalue(), err=err.getvalue(), code=0)
