"""Limits at the store: never above, whoever claims, in whatever order; free places are used."""

import threading
from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from durable_app import InvalidOptionError
from durable_app.limits import Limits
from durable_app.models import Status, Workflow
from durable_app.store import lifecycle, limited, queues, workers
from tests.helpers import in_thread
from tests.test_queues.rows import claimer, finish, park, put, queue, taken, unpark

pytestmark = pytest.mark.django_db(transaction=True)


def running(**where: Any) -> int:
    return Workflow.objects.filter(status=Status.PENDING, **where).count()


def test_concurrency_holds_over_all_workers():
    """181. Two workers share three places; a place that gets free is used at once."""
    queue(concurrency=3)
    runs = put(6)
    assert taken(2, worker="one") == runs[:2]
    assert taken(9, worker="two") == runs[2:3]
    assert taken(9, worker="one") == []
    finish(runs[0])
    assert taken(9, worker="two") == runs[3:4]


def test_worker_concurrency_holds_in_each_worker():
    """182. Each worker has two places, whatever the others do."""
    queue(worker_concurrency=2)
    runs = put(6)
    assert taken(9, worker="one") == runs[:2]
    assert taken(9, worker="one") == []
    assert taken(9, worker="two") == runs[2:4]
    finish(runs[2])
    assert taken(9, worker="one") == []
    assert taken(9, worker="two") == runs[4:5]


def test_both_limits_hold_together():
    """181, 182. Three places, at most two of them in one worker."""
    queue(concurrency=3, worker_concurrency=2)
    put(9)
    assert [len(taken(9, worker=name)) for name in ("one", "two", "three")] == [2, 1, 0]


def race(workers_: int, claim: Callable[[str], list[int]]) -> list[int]:
    """Let so many workers claim at once until nothing is left; return what was running after each claim."""
    line_up = threading.Barrier(workers_)

    def work(name: str) -> list[int]:
        line_up.wait()
        seen: list[int] = []
        held: list[int] = []
        while Workflow.objects.filter(status=Status.ENQUEUED).exists():
            mine = claim(name)
            seen.append(running())
            finish(*held)
            held = mine
        return seen

    shares = [in_thread(work, f"worker {number}") for number in range(workers_)]
    return list(chain.from_iterable(share.result(60) for share in shares))


def test_workers_that_claim_at_the_same_moment_stay_below_the_limit():
    """181, F32. Eight workers count and claim at once: never more than five runs."""
    queue(concurrency=5)
    put(300)
    seen = race(8, lambda name: taken(3, worker=name))
    assert max(seen) == 5


def test_a_run_that_waits_gives_its_place_away():
    """181. Parked, it is not running; woken, it needs a place again, and comes before what has not begun."""
    queue(concurrency=1)
    first, second, third = put(3)
    assert taken() == [first]
    park(first)
    assert taken() == [second]
    unpark(first)
    assert taken() == []
    finish(second)
    assert taken() == [first]
    finish(first)
    assert taken() == [third]


def test_what_goes_on_comes_before_what_starts_even_if_that_is_more_urgent():
    """179. A run that has begun is not left half done for one that has not."""
    queue(concurrency=1)
    (begun,) = put(priority=5)
    assert taken() == [begun]
    park(begun)
    put(priority=1)
    unpark(begun)
    assert taken() == [begun]


def test_cancelling_a_running_run_frees_its_place():
    """104. The next one may be taken at once."""
    queue(concurrency=1)
    first, second = put(2)
    assert taken() == [first]
    lifecycle.cancel([Workflow.objects.get(pk=first).workflow_id])
    assert taken() == [second]


def test_a_dead_workers_places_are_freed_with_its_runs():
    """181, F33. Only when its runs are taken back, for until then they may be executing."""
    queue(concurrency=2)
    runs = put(3)
    assert taken(worker="dead") == runs[:2]
    assert taken(worker="one") == []
    workers.recover(by_lease=True)  # no such worker is registered: its lease is over
    assert taken(worker="one") == runs[:2]
    assert taken(worker="one") == []


def test_a_full_queue_does_not_hold_up_another():
    """184. Each has its own count."""
    queue("full", concurrency=1)
    queue("roomy", concurrency=5)
    put(3, queue="full")
    put(3, queue="roomy")
    assert len(taken(name="full")) == 1
    assert taken(name="full") == []
    assert len(taken(name="roomy")) == 3


def test_code_that_this_process_has_not_does_not_stand_in_the_way():
    """199, F35. Unknown runs at the head of a limited queue are passed over."""
    queue(concurrency=2)
    put(50, name="rows.unknown")
    known = put(3)
    assert taken() == known[:2]


@pytest.mark.parametrize("before", [{"concurrency": 5}, {}])
def test_a_limit_is_changed_while_runs_execute(before):
    """203. A lower limit lets those go on that run, and nothing start until they are few enough."""
    queue(**before, worker_concurrency=5)
    runs = put(20)
    assert len(taken(4)) == 4
    queues.change("line", lambda found: Limits(concurrency=2))
    assert taken() == []
    finish(*runs[:2])
    assert taken() == []
    finish(runs[2])
    assert len(taken()) == 1
    queues.change("line", lambda found: Limits(concurrency=4))
    assert len(taken()) == 2
    queues.change("line", lambda found: Limits(worker_concurrency=20))
    assert len(taken()) == 20 - 7


def test_changes_at_the_same_moment_are_all_made():
    """203. Each is made on top of the other: none is lost."""
    queue(concurrency=1)

    def one_more() -> None:
        for _ in range(10):
            queues.change("line", lambda found: Limits(concurrency=(found.concurrency or 0) + 1))

    for change in [in_thread(one_more) for _ in range(4)]:
        change.result(60)
    found = queues.get("line")
    assert found is not None
    assert found.limits.concurrency == 41


@pytest.mark.parametrize(
    "limits",
    [
        {"concurrency": 0},
        {"concurrency": -1},
        {"concurrency": 1.5},
        {"concurrency": True},
        {"concurrency": "3"},
        {"concurrency": 2**31},
        {"worker_concurrency": 0},
        {"worker_concurrency": 3, "concurrency": 2},
        {"partition_concurrency": 3, "concurrency": 2},
        {"partition_worker_concurrency": 3, "concurrency": 2},
        {"partition_worker_concurrency": 3, "worker_concurrency": 2},
        {"partition_worker_concurrency": 3, "partition_concurrency": 2},
        {"partition_queue": "yes"},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits):
    """182, 186, 205. A ValueError that names the limit."""
    with pytest.raises(InvalidOptionError, match=next(iter(limits))) as caught:
        Limits(**limits)
    assert isinstance(caught.value, ValueError)


def test_partitions_with_the_same_number_of_places_as_their_queue_are_allowed():
    """186. Not above it, is the rule."""
    limits = Limits(concurrency=2, worker_concurrency=2, partition_concurrency=2)
    assert Counter([limits.is_partitioned, limits.is_unlimited]) == Counter([True, False])


def test_threads_and_event_loop_share_one_line():
    """179, 184. What each has room for is taken in the queue's order, whichever kind of run comes first."""
    queue(concurrency=3)
    runs = [put(name=name)[0] for name in ("coroutine", "coroutine", "thread", "thread")]
    wanted = [limited.Wanted(["thread"], 8), limited.Wanted(["coroutine"], 8)]
    found = limited.claim(claimer(), "line", wanted).runs
    assert sorted(one.run for one in found) == runs[:3]


def test_a_kind_of_run_without_room_holds_up_no_other():
    """184. The event loop is full: at the next look the threads' runs behind its runs are taken."""
    queue(concurrency=3)
    coroutines = put(5, name="coroutine")
    threads = put(2, name="thread")
    wanted = [limited.Wanted(["thread"], 8), limited.Wanted(["coroutine"], 1)]
    first = limited.claim(claimer(), "line", wanted)
    assert [one.run for one in first.runs] == coroutines[:1]
    assert first.again is not None
    assert first.again < 0.1
    full = [limited.Wanted(["thread"], 8), limited.Wanted(["coroutine"], 0)]
    assert [one.run for one in limited.claim(claimer(), "line", full).runs] == threads
