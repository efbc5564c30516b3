"""How queues are measured: put in, drained, picked up while idle, answered, and waited for."""

import os
import time
from collections.abc import Callable

from benchmarks import reports, workers
from benchmarks.contestants.queues import QueueContestant
from benchmarks.samples import Sample, measure
from benchmarks.statement_counter import StatementCounter

JOBS_A_SECOND = 1_000
"""How long a drained line is, for each second that a trial may take."""

WARM = 0.1
"""Share of the line that is not measured: workers connect, prepare statements and fill caches."""

FEWEST = 10
"""Jobs picked up in one trial at least, however slow that is."""

REST = 0.05
"""Seconds that a queue is left alone before the next job."""

LOOK = 0.005
"""Seconds between two looks how many jobs are left."""

PATIENCE = 60.0


class StandstillError(Exception):
    """Jobs were left, and nothing came of it."""


def enqueue_singly(contestant: QueueContestant, seconds: float) -> Sample:
    """Put jobs into the queue, one after another, from one thread; nobody takes them out."""

    def turn() -> list[float]:
        began = time.perf_counter()
        contestant.enqueue()
        return [time.perf_counter() - began]

    return measure(turn, units_per_run=1, seconds=seconds)


def enqueue_in_bulk(contestant: QueueContestant, seconds: float) -> Sample:
    """Put jobs into the queue, as many at once as a trial drains."""
    count = int(JOBS_A_SECOND * seconds)

    def turn() -> list[float]:
        began = time.perf_counter()
        contestant.enqueue_many(count)
        return [time.perf_counter() - began]

    return measure(turn, units_per_run=count, seconds=seconds)


def drain(contestant: QueueContestant, seconds: float, *, processes: int, in_bulk: bool = False) -> Sample:
    """Let worker processes empty a long line; measured from a tenth of it to its end."""
    count = int(JOBS_A_SECOND * seconds)
    if in_bulk:
        contestant.enqueue_many(count)
    else:
        for _ in range(count):
            contestant.enqueue()
    with workers.running(contestant.worker, *["jobs"] * processes) as pids:
        left = _left_at_most(contestant, int(count * (1 - WARM)))
        began, cpu_began = time.perf_counter(), workers.cpu_seconds(pids)
        _left_at_most(contestant, 0)
        elapsed = time.perf_counter() - began
        return Sample(units=left, seconds=elapsed, cpu_seconds=workers.cpu_seconds(pids) - cpu_began)


def _left_at_most(contestant: QueueContestant, most: int) -> int:
    give_up_at = time.monotonic() + PATIENCE
    while (left := contestant.left()) > most:
        if time.monotonic() > give_up_at:
            raise StandstillError(f"{left} jobs are left")
        time.sleep(LOOK)
    return left


def pick_up(contestant: QueueContestant, seconds: float) -> Sample:
    """Put single jobs into an idle queue; a latency ends with the job's first line."""
    with reports.collected() as inbox, workers.running(contestant.worker, "jobs") as pids:

        def turn() -> float:
            began = time.monotonic()
            contestant.enqueue_report()
            return inbox.next() - began

        return _one_by_one(turn, seconds, pids)


def answer(contestant: QueueContestant, seconds: float) -> Sample:
    """Put single jobs into an idle queue; a latency ends when this process holds the result."""
    with workers.running(contestant.worker, "jobs") as pids:

        def turn() -> float:
            began = time.monotonic()
            contestant.enqueue_and_wait()
            return time.monotonic() - began

        return _one_by_one(turn, seconds, pids)


def _one_by_one(turn: Callable[[], float], seconds: float, pids: list[int]) -> Sample:
    for _ in range(3):
        turn()  # not counted: the workers start, connect and fill caches
    sample, cpu_began = Sample(), workers.cpu_seconds(pids)
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at or len(sample.latencies) < FEWEST:
        time.sleep(REST)
        sample.latencies.append(turn())
    sample.units, sample.seconds = len(sample.latencies), sum(sample.latencies)
    sample.cpu_seconds = workers.cpu_seconds(pids) - cpu_began
    return sample


def idle(contestant: QueueContestant, seconds: float) -> Sample:
    """Leave a worker alone that has just worked, and count the statements that it sends."""
    with (
        reports.collected() as inbox,
        StatementCounter(os.environ["DATABASE_URL"]) as counter,
        workers.running(contestant.worker, "jobs", url=counter.url) as pids,
    ):
        contestant.enqueue_report()
        inbox.next()
        time.sleep(1.0)
        began, count_began, cpu_began = time.perf_counter(), counter.count, workers.cpu_seconds(pids)
        time.sleep(max(seconds, 5.0))  # many a service looks only every few seconds
        elapsed = time.perf_counter() - began
        return Sample(
            units=counter.count - count_began,
            seconds=elapsed,
            cpu_seconds=workers.cpu_seconds(pids) - cpu_began,
        )


def play(contestant: QueueContestant, seconds: float, *, game: str) -> Sample:
    """Let two jobs in two worker processes answer each other; a latency is a round trip."""
    with workers.running(contestant.worker, "left", "right") as pids:
        cpu_began = workers.cpu_seconds(pids)
        latencies = contestant.play(game, seconds)
        return Sample(
            units=len(latencies),
            seconds=sum(latencies),
            cpu_seconds=workers.cpu_seconds(pids) - cpu_began,
            latencies=latencies,
        )
