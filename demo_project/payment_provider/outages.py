"""How the provider fails on purpose: the same way for every payment, so a demo can rely on it."""

import threading
from collections import Counter
from enum import Enum, auto


class Outage(Enum):
    """What goes wrong with one request."""

    NONE = auto()
    UNAVAILABLE = auto()  # answers 503 and does nothing
    ANSWER_LOST = auto()  # does what was asked, then hangs up without an answer


PLAN = {
    "request": (Outage.UNAVAILABLE, Outage.UNAVAILABLE),
    "charge": (Outage.UNAVAILABLE, Outage.ANSWER_LOST),
    "cancel": (Outage.UNAVAILABLE,),
}


class Outages:
    """Counts the requests of each idempotency key: the first ones fail as planned."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, operation: str, key: str) -> Outage:
        """Return what happens to this request."""
        with self._lock:
            number = self._seen[key]
            self._seen[key] += 1
        planned = PLAN[operation]
        return planned[number] if number < len(planned) else Outage.NONE
