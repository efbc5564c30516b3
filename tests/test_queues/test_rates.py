"""Rate limits at the store: no window has more starts than the limit, by the database's time."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import pytest

from durable_app import InvalidOptionError, clock
from durable_app.limits import Limits, RateLimit
from durable_app.models import QueueStart, Status, Workflow
from durable_app.store import queues, workers
from tests.helpers import in_thread, wait_until
from tests.queue_ledger import most_in_any_window
from tests.test_queues.rows import finish, park, put, queue, take, taken, unpark

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)


@pytest.fixture
def frozen() -> Iterator[None]:
    clock.freeze()
    yield
    clock.release()


def starts() -> list[datetime]:
    return [run.started_at for run in Workflow.objects.all() if run.started_at]


def test_a_window_slides(frozen: None):
    """183. Three starts in ten seconds: each may be followed by another when it leaves the window."""
    queue(limiter={"limit": 3, "period": 10})
    put(20)
    assert len(taken()) == 3
    clock.advance(9 * SECOND)
    assert taken() == []
    clock.advance(SECOND)
    assert len(taken(1)) == 1
    clock.advance(SECOND)
    assert len(taken()) == 2
    clock.advance(8 * SECOND)
    assert taken() == []
    clock.advance(SECOND)
    assert len(taken()) == 1


def test_a_worker_is_told_when_the_next_start_is_allowed(frozen: None):
    """183. No poll too many, none too late."""
    queue(limiter={"limit": 2, "period": 10})
    put(5)
    assert take().again == 10
    clock.advance(4 * SECOND)
    found = take()
    assert (found.runs, found.again) == ([], 6)


def test_the_end_of_runs_changes_nothing_about_the_rate(frozen: None):
    """183. Starts are counted, not what runs."""
    queue(limiter={"limit": 2, "period": 10})
    put(5)
    finish(*taken())
    assert taken() == []


def test_starts_are_remembered_when_their_runs_are_gone(frozen: None):
    """183, F34. Deleting a run does not give its start back."""
    queue(limiter={"limit": 2, "period": 10})
    put(5)
    Workflow.objects.filter(pk__in=taken()).delete()
    assert taken() == []


def test_a_run_that_goes_on_is_no_start(frozen: None):
    """183. Woken and recovered runs are taken though the rate is used up; each started once."""
    queue(limiter={"limit": 1, "period": 10})
    (run, _) = put(2)
    assert taken() == [run]
    park(run)
    unpark(run)
    assert taken() == [run]
    workers.recover(by_lease=True)
    assert taken() == [run]
    assert QueueStart.objects.count() == 1


def test_a_claim_that_was_handed_back_was_no_start_but_the_next_one_is(frozen: None):
    """183. A worker that claimed ahead of its slots gives runs back: what begins later is counted then."""
    queue(limiter={"limit": 2, "period": 10})
    first, second, third = put(3)
    claimed = take(worker="busy").runs
    workers.hand_back([(one.run, one.attempt) for one in claimed])
    assert taken() == []  # the rate is used up, though nothing has begun
    clock.advance(10 * SECOND)
    assert taken() == [first, second]
    assert taken() == []
    clock.advance(10 * SECOND)
    assert taken() == [third]


def test_the_log_of_starts_does_not_grow(frozen: None):
    """183. What has left the window is forgotten with the next start; all of it with the limit."""
    queue(limiter={"limit": 5, "period": 10})
    put(30)
    for _ in range(4):
        assert len(taken()) == 5
        clock.advance(10 * SECOND)
    assert QueueStart.objects.count() == 5
    queues.change("line", lambda found: Limits(concurrency=100))
    assert QueueStart.objects.count() == 0


def test_concurrency_and_rate_hold_together(frozen: None):
    """181, 183. The narrower one of the moment decides."""
    queue(concurrency=2, limiter={"limit": 3, "period": 10})
    put(9)
    first = taken()
    assert len(first) == 2
    finish(*first)
    assert len(taken()) == 1
    assert taken() == []


def test_a_rate_is_changed_between_two_starts(frozen: None):
    """203. The log tells what the new limit has to count."""
    queue(limiter={"limit": 5, "period": 10})
    put(20)
    assert len(taken(4)) == 4
    queues.change("line", lambda found: Limits(limiter=RateLimit(limit=2, period=10 * SECOND)))
    assert taken() == []
    queues.change("line", lambda found: Limits(limiter=RateLimit(limit=6, period=10 * SECOND)))
    assert len(taken()) == 2


def test_no_window_has_more_starts_than_the_limit_while_workers_race():
    """183, F34. Six workers at once, over several windows: every window is counted."""
    queue(limiter={"limit": 4, "period": 0.3})
    put(24)
    line_up = threading.Barrier(6)

    def work(name: str) -> list[Any]:
        line_up.wait()
        found: list[Any] = []
        while Workflow.objects.filter(status=Status.ENQUEUED).exists():
            found += taken(3, worker=name)
        return found

    shares = [in_thread(work, f"worker {number}") for number in range(6)]
    assert len(list(chain.from_iterable(share.result(60) for share in shares))) == 24
    assert most_in_any_window(starts(), timedelta(seconds=0.3)) == 4


def test_a_start_counts_although_its_worker_died_right_after(frozen: None):
    """183, F34. Claimed and lost again and again: the rate holds, and the run goes on."""
    queue(limiter={"limit": 3, "period": 2})
    put(10)
    for _ in range(5):
        taken(worker="dying")
        workers.recover(by_lease=True)
    begun = Workflow.objects.filter(started_at__isnull=False)
    assert begun.count() == 3
    clock.advance(2 * SECOND)
    taken(worker="living")
    assert begun.count() == 6


@pytest.mark.parametrize(
    "limiter",
    [
        {},
        {"limit": 5},
        {"period": 5},
        {"limit": 5, "period": 5, "burst": 2},
        {"limit": 0, "period": 5},
        {"limit": True, "period": 5},
        {"limit": 2.5, "period": 5},
        {"limit": 5, "period": 0},
        {"limit": 5, "period": -1},
        {"limit": 5, "period": float("nan")},
        {"limit": 5, "period": float("inf")},
        {"limit": 5, "period": "minute"},
        {"limit": 5, "period": None},
        [5, 60],
        "5/m",
    ],
)
def test_a_limiter_that_makes_no_sense_is_refused(limiter):
    """183, 205. Both keys are mandatory, and nothing else is a rate."""
    with pytest.raises(InvalidOptionError, match="limiter"):
        RateLimit.of(limiter)


def test_a_rate_is_what_users_wrote():
    """183. In seconds, or as a timedelta; and back."""
    assert RateLimit.of({"limit": 5, "period": 0.5}) == RateLimit.of({"limit": 5, "period": SECOND / 2})
    found = RateLimit.of({"limit": 5, "period": 60})
    assert found is not None
    assert found.as_dict() == {"limit": 5, "period": 60}


def test_the_time_to_look_again_comes(frozen: None):
    """183. What ``take`` promises is kept: at that time, and not before, there is a start."""
    clock.release()
    queue(limiter={"limit": 1, "period": 0.2})
    put(2)
    first = take()
    assert first.again == pytest.approx(0.2)
    wait_until(lambda: taken(1))
    assert most_in_any_window(starts(), timedelta(seconds=0.2)) == 1
