"""The one ``now()``: the database's time, carried forward by a clock that no host can set.

``synchronize()`` is told the database's time now and then; between two calls the process's
boot-time clock (which runs on during suspend, and which nobody can step) advances it. Tests replace
the clock with ``freeze()`` and move it with ``advance()``.
"""

import time
from datetime import UTC, datetime, timedelta

from django.utils import timezone

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def boot_seconds() -> float:
    """Return seconds of a clock that never steps and does not stop in suspend."""
    return time.clock_gettime(_BOOT_CLOCK) if _BOOT_CLOCK is not None else time.monotonic()


class _Clock:
    """Where the process believes the database's time to be."""

    def __init__(self) -> None:
        self.anchor: float | None = None
        """Database time, in epoch seconds, when the boot clock read zero."""
        self.synchronized_at = float("-inf")
        self.frozen: datetime | None = None

    def now(self) -> datetime:
        if self.frozen is not None:
            return self.frozen
        if self.anchor is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self.anchor + boot_seconds(), UTC)


_clock = _Clock()


def now() -> datetime:
    """Return the current time as an aware datetime in UTC."""
    return _clock.now()


def shown(time: datetime) -> str:
    """Return a time for people: in the project's time zone, and which that is."""
    return f"{timezone.localtime(time):%Y-%m-%d %H:%M:%S %Z}"


def synchronize(database_time: datetime) -> None:
    """Take over the database's current time."""
    boot = boot_seconds()
    _clock.anchor = database_time.timestamp() - boot
    _clock.synchronized_at = boot


def is_stale(max_age: float = 30.0) -> bool:
    """Return whether the last synchronization is more than ``max_age`` seconds old."""
    return boot_seconds() - _clock.synchronized_at > max_age


def is_frozen() -> bool:
    """Return whether a test holds the clock."""
    return _clock.frozen is not None


def freeze(at: datetime | None = None) -> None:
    """Stop the clock (tests only)."""
    _clock.frozen = at or now()


def advance(span: timedelta) -> None:
    """Move a frozen clock (tests only)."""
    _clock.frozen = now() + span


def release() -> None:
    """Let a frozen clock run again (tests only)."""
    _clock.frozen = None
