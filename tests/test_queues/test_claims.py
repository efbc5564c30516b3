"""Claims at the store: order, turns of the queues, and what they cost."""

import threading
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from durable_app import clock
from durable_app.models import Queue, Status, Workflow
from durable_app.store import claims, queues
from durable_app.store.claims import Claimer
from tests.helpers import in_thread
from tests.test_queues.rows import NAME, claimer, put, queue, take, take_free, taken

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_claim_marks_the_run_with_all_that_its_execution_needs():
    """178. Status, worker, attempt, start, deadline and version are set by the claim itself."""
    queue()
    (run,) = put(timeout=timedelta(minutes=1))
    before = clock.now()
    (claimed,) = claims.claim(Claimer(worker_id="one", app_version="v2"), [NAME], 1, ["line"])
    row = Workflow.objects.get(pk=run)
    assert (row.status, row.worker_id, row.attempt) == (Status.PENDING, "one", 1)
    assert row.app_version == "v2"
    assert row.started_at is not None
    assert row.started_at >= before
    assert row.deadline_at == claimed.deadline_at
    assert row.deadline_at == row.started_at + timedelta(minutes=1)


@pytest.mark.parametrize("limits", [{}, {"concurrency": 1000}])
def test_each_run_is_claimed_by_exactly_one_worker(limits):
    """178. Eight workers that claim at once share 120 runs: none twice, none left."""
    queue(**limits)
    runs = put(120)
    line_up = threading.Barrier(8)

    def work(name: str) -> list[int]:
        line_up.wait()
        found: list[int] = []
        while Workflow.objects.filter(status=Status.ENQUEUED).exists():
            found += taken(7, worker=name) if limits else take_free(7, worker=name)
        return found

    shares = [in_thread(work, f"worker {number}") for number in range(8)]
    claimed = list(chain.from_iterable(share.result(60) for share in shares))
    assert sorted(claimed) == runs


@pytest.mark.parametrize("limits", [{}, {"concurrency": 1000}])
def test_the_order_is_by_priority_and_then_by_insertion(limits):
    """179. A run without a priority comes before all that have one; equal ones are first in, first out."""
    queue(**limits)
    fifth, third, first, fourth, second = (put(priority=priority)[0] for priority in (9, 2, 0, 2, 0))
    claimed = [taken(1) if limits else take_free(1) for _ in range(5)]
    assert claimed == [[first], [second], [third], [fourth], [fifth]]


def test_queues_take_turns_whatever_stands_in_the_others():
    """184. An older and more urgent backlog in one queue does not stand before the runs of another."""
    queue("crowded")
    queue("quiet")
    crowd = put(50, queue="crowded")
    late = put(2, queue="quiet", priority=7)
    claimed = take_free(6, "crowded", "quiet")
    assert set(claimed) == {*crowd[:4], *late}


def test_a_claim_takes_no_more_than_its_limit_from_many_queues():
    """F31. The limit holds for all queues together."""
    for number in range(5):
        queue(f"line {number}")
        put(4, queue=f"line {number}")
    assert len(take_free(3, *(f"line {number}" for number in range(5)))) == 3
    assert Workflow.objects.filter(status=Status.PENDING).count() == 3


def statements(context: CaptureQueriesContext) -> list[str]:
    return [one["sql"] for one in context.captured_queries]


def test_a_queue_without_limits_pays_nothing_for_those_that_have_some():
    """The claim from unlimited queues counts nothing, logs nothing and locks no queue: one statement."""
    queue("limited", concurrency=1, limiter={"limit": 1, "period": 60})
    queue("free")
    put(3, queue="free")
    with CaptureQueriesContext(connection) as context:
        assert len(take_free(2, "free")) == 2
    found = statements(context)
    assert not [one for one in found if "durable_app_queuestart" in one or "COUNT(" in one.upper()]
    if connection.vendor == "postgresql":
        assert len(found) == 1


@pytest.mark.parametrize("change", ["limited", "paused", "deleted"])
def test_what_has_changed_since_the_worker_looked_counts(change: str):
    """203. The claim itself sees that a queue is not free any more, and takes nothing from it."""
    queue("free")
    queue("changed")
    put(3, queue="changed")
    free = put(3, queue="free")
    if change == "limited":
        queue("changed", concurrency=1)
    elif change == "paused":
        queues.pause("changed", None, "")
    else:
        queues.delete("changed")
    assert sorted(take_free(9, "free", "changed")) == free


def test_looking_for_work_is_one_statement_however_many_queues_there_are():
    """Every claim begins with it: all queues, their limits, and which have something ready."""
    for number in range(20):
        queue(f"line {number}", concurrency=1)
    put(queue="line 7")
    with CaptureQueriesContext(connection) as context:
        found = {state.name: state.has_ready for state in queues.all_queues()}
    assert len(context) == 1
    assert [name for name, ready in found.items() if ready and name != "default"] == ["line 7"]


def test_an_empty_limited_queue_takes_no_lock():
    """A worker that finds nothing writes nothing: one statement that reads."""
    queue(concurrency=1)
    with CaptureQueriesContext(connection) as context:
        assert take().runs == []
    assert len(context) == 1


@pytest.mark.postgres(reason="SQLite has one writer at a time: there the lock is the database's")
def test_a_claim_from_a_locked_queue_does_not_wait_but_looks_again_soon():
    """Another worker fills it: this one goes on with other queues."""
    queue(concurrency=5)
    put(3)
    locked, over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Queue.objects.filter(pk="line").select_for_update())
            locked.set()
            assert over.wait(60)

    holder = in_thread(hold)
    assert locked.wait(60)
    found = take()
    over.set()
    holder.result(60)
    assert found.runs == []
    assert found.again is not None
    assert 0 < found.again < 0.1
    assert len(take().runs) == 3


# Plans


def explained(statement: str, given: dict[str, Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE durable_app_workflow")
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS OFF, TIMING OFF, COSTS OFF) {statement}", given)
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.postgres(reason="SQLite's planner has other words")
def test_a_long_backlog_in_one_queue_does_not_slow_the_claim_of_another():
    """184, F35. An index scan a queue, by its name and in its order: no sort over what waits."""
    queue("crowded")
    queue("quiet")
    put(5000, queue="crowded")
    put(3, queue="quiet")
    given = {
        "names": [NAME],
        "queues": ["quiet", "crowded"],
        "any_version": True,
        "version": "",
        "unversioned": True,
        "limit": 5,
        "worker": "one",
        "now": clock.now(),
    }
    plan = explained(claims.CLAIM, given)
    assert "Index Scan using durable_workflow_claim" in plan, plan
    assert "Seq Scan on durable_app_workflow" not in plan, plan
    rows = [int(part.split()[0].split(".")[0]) for part in plan.split("rows=")[1:]]
    assert max(rows) <= 20, plan  # of 5,003 none but those that are taken was read


@pytest.mark.postgres(reason="SQLite's planner has other words")
def test_what_goes_on_is_found_behind_a_long_backlog_of_what_has_not_begun():
    """A woken run of a queue whose rate is used up is found by an index of such runs alone."""
    put(5000)
    again = put(started_at=clock.now())
    rows = claims.ready(claimer(), [NAME]).filter(queue_name="line", started_at__isnull=False)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE durable_app_workflow")
    plan = rows.order_by("priority", "pk").values_list("pk")[:5].explain()
    assert "durable_workflow_again" in plan, plan
    queue(limiter={"limit": 1, "period": 60})
    assert taken(1) == again
    assert len(taken(9)) == 1
    assert taken(9) == []
