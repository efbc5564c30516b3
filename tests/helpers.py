"""What the tests share: they wait for conditions, never for time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout: float = 45.0, what: str = "") -> T:
    """Return the first true value of ``condition``; fail if none came within ``timeout`` seconds."""
    give_up_at = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > give_up_at:
            name = what or getattr(condition, "__name__", repr(condition))
            raise AssertionError(f"Waited {timeout} s in vain for {name}; the last answer was {found!r}.")
        time.sleep(0.02)
