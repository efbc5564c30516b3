"""When a worker has done enough: processes that end now and then leak nothing for long."""

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """After what a worker drains and ends; None for never."""

    runs: int | None = None
    """Runs executed; a run that parked and goes on counts again."""
    memory: int | None = None
    """Bytes of memory that the process occupies."""
    lifetime: timedelta | None = None

    @property
    def is_endless(self) -> bool:
        """Whether nothing but a signal ends the worker."""
        return self == Quota()

    def spent(self, executed: int, began: float) -> str:
        """Return what is used up, for a sentence; empty if nothing is.

        ``began`` is when the worker did, by ``time.monotonic``.
        """
        if self.runs is not None and executed >= self.runs:
            return f"it has executed {executed} runs"
        if self.lifetime is not None and time.monotonic() - began >= self.lifetime.total_seconds():
            return f"it has lived for {self.lifetime.total_seconds():g} seconds"
        if self.memory is not None and (occupied := memory()) > self.memory:
            return f"it occupies {occupied // MEBIBYTE} MiB"
        return ""


def memory() -> int:
    """Return the bytes of memory that this process occupies; on other systems than Linux the most so far."""
    try:
        import resource  # noqa: PLC0415  (Windows has none)

        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    except ImportError:
        return 0
