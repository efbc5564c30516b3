"""What the receiver has heard, and how it fails: the same way for every event, so a demo can rely on it."""

import hashlib
import hmac
import threading
import time
from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto

OLDEST_SECONDS = 300


class Answer(Enum):
    """What becomes of one delivery."""

    ACCEPTED = auto()
    HICCUP = auto()  # answers 500 and forgets what it heard
    ANSWER_LOST = auto()  # notes the event, then hangs up without an answer


PLAN = (Answer.ACCEPTED, Answer.HICCUP, Answer.ANSWER_LOST)
"""What happens to the first delivery of an event; later ones are accepted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """An event in the inbox, and how often it came: once too often if an answer was lost."""

    event_id: str
    kind: str
    times: int


class Inbox:
    """Notes events by their id, so that hearing one twice is hearing it once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tries: Counter[str] = Counter()
        self._accepted: Counter[str] = Counter()
        self._kinds: dict[str, str] = {}
        self._down_until = 0.0

    def take_down(self, seconds: float) -> None:
        """Answer nothing but 503 for a while."""
        self._down_until = time.monotonic() + seconds

    def down_for(self) -> float:
        """Return how many seconds the outage will go on; 0 if there is none."""
        return max(0.0, self._down_until - time.monotonic())

    def hear(self, event_id: str, kind: str) -> Answer:
        """Note an event, or fail as planned."""
        with self._lock:
            is_first = not self._tries[event_id]
            self._tries[event_id] += 1
            answer = planned_for(event_id) if is_first else Answer.ACCEPTED
            if answer is not Answer.HICCUP:
                self._kinds[event_id] = kind
                self._accepted[event_id] += 1
            return answer

    def heard(self) -> list[Heard]:
        """Return all that was noted."""
        with self._lock:
            return [
                Heard(event_id=event_id, kind=kind, times=self._accepted[event_id])
                for event_id, kind in self._kinds.items()
            ]


def planned_for(event_id: str) -> Answer:
    """Return what happens to an event's first delivery."""
    return PLAN[hashlib.sha256(event_id.encode()).digest()[0] % len(PLAN)]


def is_genuine(secret: str, header: str, body: bytes) -> bool:
    """Whether ``t=SECONDS,v1=HEX`` is the HMAC-SHA256 of ``SECONDS.BODY`` under the secret, and recent."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    sent_at, signature = parts.get("t", ""), parts.get("v1", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > OLDEST_SECONDS:
        return False
    expected = hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)
