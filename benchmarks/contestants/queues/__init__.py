"""Queues: the trial's process puts jobs in, worker processes (`benchmarks.workers`) take them out."""

from typing import Protocol

BALL, GAME_OVER = 1, 0
"""What players send each other."""

PATIENCE = 20.0
"""Seconds until one who waits for the other player gives up."""


class QueueContestant(Protocol):
    """A system whose queue is open; which of its verbs a workload needs decides who takes part."""

    worker: str
    """What its worker processes execute, as "module:function"."""

    def enqueue(self) -> None:
        """Put one job that does nothing into the queue, durably."""

    def enqueue_many(self, count: int) -> None:
        """Put so many at once, by the fastest way that the system has."""

    def left(self) -> int:
        """Return how many of them are not known to have ended."""

    def enqueue_report(self) -> None:
        """Put a job into the queue whose first line reports that it began."""

    def enqueue_and_wait(self) -> None:
        """Put a job into the queue and wait for its result here."""

    def play(self, game: str, seconds: float) -> list[float]:
        """Let a job in each of two workers answer the other; return the seconds of each round trip.

        ``game`` is "messages" or "events". The workers were started with "left" and "right".
        """
