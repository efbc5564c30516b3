"""What to take back when a workflow fails half-way."""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec

P = ParamSpec("P")


class Compensations:
    """Undo actions, run newest first.

    The list is not stored: a replay of the workflow fills it again, in the same order.
    """

    def __init__(self) -> None:
        self._actions: list[Callable[[], object]] = []

    def add(self, action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Remember how to undo what is about to happen, or has just happened."""
        self._actions.append(partial(action, *args, **kwargs))

    def run(self) -> None:
        """Undo everything."""
        while self._actions:
            self._actions.pop()()
