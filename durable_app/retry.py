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
        if self.max_attempts < 1:
            raise InvalidOptionError(f"max_attempts must be at least 1, not {self.max_attempts}")
        if not (math.isfinite(self.interval) and self.interval >= 0):
            raise InvalidOptionError(f"interval_seconds must be zero or more, not {self.interval}")
        if not (math.isfinite(self.backoff) and self.backoff > 0):
            raise InvalidOptionError(f"backoff_rate must be above zero, not {self.backoff}")

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


ONCE = Retry(max_attempts=1)
