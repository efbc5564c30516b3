"""How a command fails: with a sentence and an exit code, never with a traceback."""

import contextlib
import os
import sys
from collections.abc import Iterator

from django.core.management.base import CommandError
from django.db import Error

from durable_app.errors import (
    DurableError,
    InvalidAnswerError,
    InvalidArgumentsError,
    InvalidOptionError,
    InvalidWorkflowIDError,
    NonExistentApprovalError,
    NonExistentQueueError,
    NonExistentScheduleError,
    NonExistentVersionError,
    NonExistentWorkflowError,
    PermissionDeniedError,
    WorkflowFunctionNotFoundError,
)
from durable_app.management.cli.formats import visible
from durable_app.store import database

FAILED = 1
USAGE = 2
REFUSED = 3
NOT_FOUND = 4
PARTIAL = 5
INTERRUPTED = 130
BROKEN_PIPE = 141
"""Exit codes; with 2 argparse, too, says that the command line is wrong."""

_CODES: dict[type[DurableError], int] = {
    InvalidAnswerError: USAGE,
    InvalidArgumentsError: USAGE,
    InvalidOptionError: USAGE,
    InvalidWorkflowIDError: USAGE,
    PermissionDeniedError: REFUSED,
    NonExistentApprovalError: NOT_FOUND,
    NonExistentQueueError: NOT_FOUND,
    NonExistentScheduleError: NOT_FOUND,
    NonExistentVersionError: NOT_FOUND,
    NonExistentWorkflowError: NOT_FOUND,
    WorkflowFunctionNotFoundError: NOT_FOUND,
}


class Failure(CommandError):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(visible(sentence), returncode=code)


def code_of(error: BaseException | None) -> int:
    """Return the exit code of what went wrong."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what may go wrong in a command into a failure that says so."""
    try:
        yield
    except DurableError as error:
        raise Failure(str(error), code_of(error)) from error
    except Error as error:
        raise Failure(f"The database {database.alias()!r} fails: {error}") from error
    except KeyboardInterrupt:
        raise Failure("Interrupted.", INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has enough. What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(BROKEN_PIPE) from None
