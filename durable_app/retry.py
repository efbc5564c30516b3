"""How often a failed step is tried again, and after which pause."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from asgiref.sync import iscoroutinefunction

from durable_app.errors import InvalidOptionError

Predicate = Callable[[BaseException], bool | Awaitable[bool]]

LONGEST_PAUSE = 3600.0
"""Seconds; the cap of every pause between two tries, as the seed system has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """A step's retry policy; without one a step is tried once."""

    max_attempts: int = 3
    interval: float = 1.0
    """Seconds before the second try."""
    backoff: float = 2.0
    should_retry: Predicate | None = None

    def __post_init__(self) -> None:
        if type(self.max_attempts) is not int or self.max_attempts < 1:
            raise InvalidOptionError(
                f"max_attempts is a whole number and must be at least 1, not {self.max_attempts!r}"
            )
        if not (is_finite(self.interval) and self.interval >= 0):
            raise InvalidOptionError(f"interval_seconds must be zero or more, not {self.interval!r}")
        if not (is_finite(self.backoff) and self.backoff > 0):
            raise InvalidOptionError(f"backoff_rate must be above zero, not {self.backoff!r}")
        if self.should_retry is not None and not callable(self.should_retry):
            raise InvalidOptionError(f"should_retry is a function of the error, not {self.should_retry!r}")

    def delay_before(self, attempt: int) -> float:
        """Return the seconds to wait before the given try (2 is the first repetition)."""
        try:
            return min(self.interval * self.backoff ** (attempt - 2), LONGEST_PAUSE)
        except OverflowError:
            return LONGEST_PAUSE

    @property
    def asks_asynchronously(self) -> bool:
        """Whether ``should_retry`` is a coroutine function."""
        return self.should_retry is not None and iscoroutinefunction(self.should_retry)


def is_finite(value: object) -> bool:
    """Return whether a value is a number, and neither infinite nor none at all."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


ONCE = Retry(max_attempts=1)
