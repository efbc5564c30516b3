"""What a queue allows: plain values, checked when they are made."""

import math
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from durable_app.errors import InvalidOptionError
from durable_app.identifiers import ID_LENGTH, is_storable

DEFAULT_QUEUE = "default"
"""Where runs stand that were put into no queue; it is always served, even without a row."""

RESERVED = ("_durable_", "_dbos_")
"""Prefixes of names that are not the project's to use."""

HIGHEST_COUNT = 2**31 - 1

LONGEST_PERIOD = timedelta(days=36_500)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateLimit:
    """At most ``limit`` starts in any window of ``period``."""

    limit: int
    period: timedelta

    def __post_init__(self) -> None:
        _check_count("limiter: limit", self.limit)
        if not timedelta(0) < self.period <= LONGEST_PERIOD:
            raise InvalidOptionError(
                f"limiter: period must be longer than zero and at most a hundred years, not {self.period}",
                "limiter",
            )

    @classmethod
    def of(cls, given: Any) -> "RateLimit | None":
        """Return the limit that ``{"limit": 50, "period": 60}`` means; the period is in seconds.

        Raises InvalidOptionError for a missing, unknown or senseless entry.
        """
        if given is None or isinstance(given, RateLimit):
            return given
        if not isinstance(given, dict) or given.keys() != {"limit", "period"}:
            raise InvalidOptionError(f"a limiter is a dict of 'limit' and 'period', not {given!r}")
        return cls(limit=given["limit"], period=_span("limiter: period", given["period"]))

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
    """Whether runs are taken only with a partition key, even if no limit holds for each."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("concurrency") and value is not None:
                _check_count(field.name, value)
        if not isinstance(self.partition_queue, bool):
            raise InvalidOptionError(
                f"partition_queue is True or False, not {self.partition_queue!r}", "partition_queue"
            )
        for inner, outer in _WITHIN:
            self._check_within(inner, outer)
        self._check_rates(self.partition_limiter, self.limiter)

    def _check_within(self, inner: str, outer: str) -> None:
        narrow, wide = getattr(self, inner), getattr(self, outer)
        if narrow is not None and wide is not None and narrow > wide:
            raise InvalidOptionError(f"{inner} ({narrow}) must not be above {outer} ({wide})", inner, outer)

    def _check_rates(self, narrow: RateLimit | None, wide: RateLimit | None) -> None:
        """Refuse more starts for one partition than the whole queue has in a window at least as long."""
        if narrow and wide and narrow.limit > wide.limit and narrow.period <= wide.period:
            raise InvalidOptionError(
                f"partition_limiter ({narrow.as_dict()}) must not be above limiter ({wide.as_dict()})",
                "partition_limiter",
                "limiter",
            )

    @property
    def is_partitioned(self) -> bool:
        """Whether runs need a partition key, and each key is served by itself."""
        return self.partition_queue or any(
            (self.partition_concurrency, self.partition_worker_concurrency, self.partition_limiter)
        )

    @property
    def is_unlimited(self) -> bool:
        """Whether runs of the queue need not be counted."""
        return self == Limits()

    def as_dict(self) -> dict[str, Any]:
        """Return what is limited, as users write it; without what is not."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value.as_dict() if isinstance(value, RateLimit) else value
            for name, value in values.items()
            if value
        }


_WITHIN = (
    ("worker_concurrency", "concurrency"),
    ("partition_concurrency", "concurrency"),
    ("partition_worker_concurrency", "concurrency"),
    ("partition_worker_concurrency", "worker_concurrency"),
    ("partition_worker_concurrency", "partition_concurrency"),
)


def _check_count(what: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= HIGHEST_COUNT:
        raise InvalidOptionError(
            f"{what} must be a whole number from 1 to 2**31 - 1, not {value!r}", what.split(":")[0]
        )


def _span(what: str, given: Any) -> timedelta:
    """Return a span, given as such or in seconds; raises InvalidOptionError."""
    if isinstance(given, timedelta):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise InvalidOptionError(f"{what} is a number of seconds or a timedelta, not {given!r}")
    return timedelta(seconds=min(max(given, -1.0), LONGEST_PERIOD.total_seconds()))


def checked_interval(given: float | timedelta | None) -> timedelta | None:
    """Return how often a queue is to be looked at, or raise InvalidOptionError."""
    if given is None:
        return None
    interval = _span("a polling interval", given)
    if interval <= timedelta(0):
        raise InvalidOptionError(f"a polling interval must be above zero, not {given}")
    return interval


def checked_queue_name(name: Any) -> str:
    """Return a queue's name, or raise InvalidOptionError."""
    if not isinstance(name, str) or not name.strip() or len(name) > ID_LENGTH or not is_storable(name):
        raise InvalidOptionError(
            f"a queue's name is a text of 1 to {ID_LENGTH} characters, not {name!r}", "queue_name"
        )
    if name.startswith(RESERVED):
        raise InvalidOptionError(
            f"queue names that start with {' or '.join(RESERVED)} are reserved", "queue_name"
        )
    return name
