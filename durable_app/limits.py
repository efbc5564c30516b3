"""What a queue allows: plain values, checked when they are made."""

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from durable_app.errors import InvalidOptionError

DEFAULT_QUEUE = "default"
"""Where runs stand that were put into no queue."""

RESERVED = ("_durable_", "_dbos_")
"""Prefixes of names that are not the project's to use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimit:
    """At most ``limit`` starts in any window of ``period``."""

    limit: int
    period: timedelta

    def __post_init__(self) -> None:
        _check_count("limiter: limit", self.limit)
        if self.period <= timedelta(0):
            raise InvalidOptionError(f"limiter: period must be longer than zero, not {self.period}")

    @classmethod
    def of(cls, given: Any) -> "RateLimit | None":
        """Return the limit that ``{"limit": 50, "period": 60}`` means; the period is in seconds.

        Raises InvalidOptionError for a missing, unknown or senseless entry.
        """
        if given is None or isinstance(given, RateLimit):
            return given
        if not isinstance(given, dict) or given.keys() != {"limit", "period"}:
            raise InvalidOptionError(f"a limiter is a dict of 'limit' and 'period', not {given!r}")
        period = given["period"]
        if isinstance(period, int | float) and not isinstance(period, bool):
            period = timedelta(seconds=period)
        if not isinstance(period, timedelta):
            raise InvalidOptionError(f"limiter: period is a number of seconds, not {period!r}")
        return cls(limit=given["limit"], period=period)

    def as_dict(self) -> dict[str, float]:
        """Return the limit as users write it."""
        return {"limit": self.limit, "period": self.period.total_seconds()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """A queue's limits: over all workers, in each worker, over time; and the same for each partition."""

    concurrency: int | None = None
    worker_concurrency: int | None = None
    limiter: RateLimit | None = None
    partition_concurrency: int | None = None
    partition_worker_concurrency: int | None = None
    partition_limiter: RateLimit | None = None
    partition_queue: bool = False
    """Whether runs are taken only with a partition key, each key for itself."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("concurrency") and value is not None:
                _check_count(field.name, value)
        for inner, outer in _WITHIN:
            self._check_within(inner, outer)

    def _check_within(self, inner: str, outer: str) -> None:
        narrow, wide = getattr(self, inner), getattr(self, outer)
        if narrow is not None and wide is not None and narrow > wide:
            raise InvalidOptionError(f"{inner} ({narrow}) must not be above {outer} ({wide})")

    @property
    def is_partitioned(self) -> bool:
        """Whether some limit holds for each partition key."""
        return any((self.partition_concurrency, self.partition_worker_concurrency, self.partition_limiter))

    @property
    def is_unlimited(self) -> bool:
        """Whether runs of the queue need not be counted."""
        return self == Limits()


_WITHIN = (
    ("worker_concurrency", "concurrency"),
    ("partition_concurrency", "concurrency"),
    ("partition_worker_concurrency", "worker_concurrency"),
    ("partition_worker_concurrency", "partition_concurrency"),
)


def _check_count(what: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidOptionError(f"{what} must be a whole number of at least 1, not {value!r}")


def checked_queue_name(name: Any) -> str:
    """Return a queue's name, or raise InvalidOptionError."""
    if not isinstance(name, str) or not name.strip() or len(name) > 255:
        raise InvalidOptionError(f"a queue's name is a text of 1 to 255 characters, not {name!r}")
    if name.startswith(RESERVED):
        raise InvalidOptionError(f"queue names that start with {' or '.join(RESERVED)} are reserved")
    return name
