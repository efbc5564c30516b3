"""Partitions at the store: limits for each key, every key gets its turn, however many there are."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from durable_app import clock
from durable_app.models import Status, Workflow
from durable_app.store import partitions
from durable_app.store.partitions import Pick, interleaved
from tests.helpers import in_thread
from tests.test_queues.rows import finish, park, put, queue, take, taken, unpark

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def frozen() -> Iterator[None]:
    clock.freeze()
    yield
    clock.release()


def keys(runs: list[int]) -> list[str | None]:
    """Return the runs' partition keys, sorted."""
    return sorted(Workflow.objects.filter(pk__in=runs).values_list("partition_key", flat=True))


def running() -> dict[str | None, int]:
    rows = Workflow.objects.filter(status=Status.PENDING)
    return dict(Counter(rows.values_list("partition_key", flat=True)))


def test_the_limit_holds_for_each_key():
    """185. Keys need no declaration; one that is full holds no other up."""
    queue(partition_concurrency=2)
    for key in "abc":
        put(4, partition_key=key)
    assert keys(taken()) == list("aabbcc")
    assert taken() == []
    finish(Workflow.objects.filter(partition_key="b", status=Status.PENDING).values_list("pk", flat=True)[0])
    assert keys(taken()) == ["b"]


def test_runs_without_a_key_are_not_taken():
    """185. They wait, and hold up nobody."""
    queue(partition_queue=True)
    put(5)
    (keyed,) = put(partition_key="a")
    assert taken() == [keyed]
    assert taken() == []


def test_queue_and_partition_limits_combine():
    """186. Five places in all, at most two of them for one key."""
    queue(concurrency=5, partition_concurrency=2)
    for key in "abcd":
        put(3, partition_key=key)
    assert len(taken()) == 5
    assert max(running().values()) == 2
    assert taken() == []


def test_the_limit_in_each_worker_holds_for_each_key():
    """185. One of each key in each worker."""
    queue(partition_worker_concurrency=1)
    for key in "ab":
        put(3, partition_key=key)
    assert keys(taken(worker="one")) == list("ab")
    assert taken(worker="one") == []
    assert keys(taken(worker="two")) == list("ab")


def test_the_rate_holds_for_each_key(frozen: None):
    """185, 183. One key's starts do not count against another's; all count against the queue's."""
    queue(partition_limiter={"limit": 1, "period": 10}, limiter={"limit": 3, "period": 10})
    for key in "ab":
        put(3, partition_key=key)
    assert keys(taken()) == list("ab")
    put(3, partition_key="c")
    put(3, partition_key="d")
    assert len(taken()) == 1
    clock.advance(timedelta(seconds=10))
    assert len(taken()) == 3


def test_a_key_whose_rate_is_used_up_goes_on_with_what_has_begun(frozen: None):
    """185. A woken run needs no start."""
    queue(partition_limiter={"limit": 1, "period": 10})
    first, _ = put(2, partition_key="a")
    assert taken() == [first]
    park(first)
    assert taken() == []
    unpark(first)
    assert taken() == [first]


def test_within_a_key_the_order_is_the_queues():
    """179, 185. By priority and insertion."""
    queue(partition_concurrency=1)
    third, second, first = (put(partition_key="a", priority=priority)[0] for priority in (7, 1, 0))
    order = []
    for _ in range(3):
        (run,) = taken()
        finish(run)
        order.append(run)
    assert order == [first, second, third]


def test_a_key_with_a_long_backlog_leaves_room_for_the_others():
    """185. Keys take turns within one claim: one each, then a second each."""
    queue(partition_queue=True, concurrency=4)
    put(50, partition_key="crowd")
    put(1, partition_key="late")
    put(1, partition_key="later")
    assert keys(taken()) == ["crowd", "crowd", "late", "later"]


def test_no_key_starves_among_thousands():
    """185. A worker with room for 10 comes by each of 2,500 keys once, before any gets a second turn."""
    queue(partition_concurrency=1)
    for _ in range(2):
        Workflow.objects.bulk_create(
            Workflow(
                workflow_id=f"{number}-{_}",
                name="rows.run",
                queue_name="line",
                status=Status.ENQUEUED,
                inputs="{}",
                partition_key=f"key {number:04}",
                created_at=clock.now(),
                updated_at=clock.now(),
            )
            for number in range(2500)
        )
    last_key, seen = "", Counter[str | None]()
    for _ in range(25):
        found = take(100, last_key=last_key)
        last_key = found.last_key
        rows = [one.run for one in found.runs]
        seen.update(keys(rows))
        finish(*rows)
    assert len(seen) == 2500
    assert set(seen.values()) == {1}


def test_full_keys_do_not_hide_the_free_ones_behind_them():
    """185, F35. More than a thousand keys are full: the few that are not are found in the same claim."""
    queue(partition_concurrency=1)
    now = clock.now()
    for status in (Status.PENDING, Status.ENQUEUED):
        Workflow.objects.bulk_create(
            Workflow(
                workflow_id=f"{status}-{number}",
                name="rows.run",
                queue_name="line",
                status=status,
                inputs="{}",
                partition_key=f"key {number:04}",
                created_at=now,
                updated_at=now,
            )
            for number in range(1200)
        )
    free = put(partition_key="zz 1") + put(partition_key="zz 2")
    assert sorted(taken(5)) == free


def test_looking_for_keys_costs_a_statement_for_hundreds():
    """185. However many runs stand behind a key, and however many keys are passed over."""
    queue(partition_concurrency=1)
    for number in range(150):
        put(3, partition_key=f"key {number:03}")
    with CaptureQueriesContext(connection) as context:
        found = list(partitions.keys_after("line", "key 100"))
    assert len(context) == 2  # those after it, and from the beginning
    assert len(found) == len(set(found)) == 150
    assert found[0] == "key 101"
    assert found[-1] == "key 100"


@pytest.mark.postgres(reason="SQLite asks for one key after the other, which is no trip to a server")
def test_a_claim_from_many_partitions_is_a_few_statements():
    """185. Under the queue's lock, so it must not be one statement a key."""
    queue(partition_concurrency=1)
    for number in range(100):
        put(2, partition_key=f"key {number:03}")
    with CaptureQueriesContext(connection) as context:
        assert len(taken(100)) == 100
    assert len(context) <= 12


@pytest.mark.postgres(reason="SQLite's planner has other words")
def test_keys_are_found_by_index_whatever_stands_behind_them():
    """F35. One index lookup a key: 5,000 runs of one key cost no more than one."""
    put(5000, partition_key="crowd")
    put(1, partition_key="quiet")
    given: dict[str, Any] = {"queue": "line", "after": "", "limit": 200}
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE durable_app_workflow")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {partitions._KEYS_AFTER}", given)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "durable_workflow_partition" in plan, plan
    assert "Seq Scan on durable_app_workflow" not in plan, plan
    assert max(int(part.split()[0].split(".")[0]) for part in plan.split("rows=")[1:]) <= 5, plan


def test_the_limit_holds_for_each_key_while_workers_race():
    """185, F32. Six workers claim at once: never two runs of one key."""
    queue(partition_concurrency=1)
    for key in "abcde":
        put(12, partition_key=key)
    line_up = threading.Barrier(6)

    def work(name: str) -> list[int]:
        line_up.wait()
        seen = [0]
        while Workflow.objects.filter(status=Status.ENQUEUED).exists():
            mine = taken(3, worker=name)
            seen += running().values()
            finish(*mine)
        return seen

    shares = [in_thread(work, f"worker {number}") for number in range(6)]
    assert max(chain.from_iterable(share.result(60) for share in shares)) == 1
    assert Workflow.objects.filter(status=Status.SUCCESS).count() == 60


def test_lines_are_interleaved_within_the_budget():
    """The choice itself: turn by turn, runs that start up to their number, all up to the room."""
    a = [Pick(1, "a", starts=False), Pick(2, "a", starts=True)]
    b = [Pick(3, "b", starts=True), Pick(4, "b", starts=True)]
    assert [pick.run for pick in interleaved([a, b], room=9, starts=9)] == [1, 3, 2, 4]
    assert [pick.run for pick in interleaved([a, b], room=3, starts=9)] == [1, 3, 2]
    assert [pick.run for pick in interleaved([a, b], room=9, starts=1)] == [1, 3]
    assert interleaved([a, b], room=0, starts=9) == []
