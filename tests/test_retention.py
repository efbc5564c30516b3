"""Finished runs are deleted by age and number, never active ones; old active ones can be cancelled."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from durable_app import (
    InvalidOptionError,
    NotAllowedInWorkflowError,
    SetWorkflowID,
    acancel_workflows_created_before,
    aprune_workflows,
    cancel_workflows_created_before,
    clock,
    delete_workflow,
    prune_workflows,
    send,
    signals,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Event, EventHistory, Message, Status, Step, StreamEntry, Wait, Workflow
from durable_app.models.workflow import ACTIVE, TERMINAL
from durable_app.worker.maintenance import Retention
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, wait_until

DAY = timedelta(days=1)


@workflow(name="retention.leaf")
def leaf() -> None: ...


@workflow(name="retention.prunes")
def prunes() -> list[int]:
    return list(prune_workflows(older_than=DAY))


@step
def prune_in_step() -> int:
    return sum(prune_workflows(older_than=DAY))


@workflow(name="retention.prunes_in_step")
def prunes_in_step() -> int:
    return prune_in_step()


def make_run(name: str, days: float, status: str = "SUCCESS", **columns: Any) -> Workflow:
    """Make a run that was created, and if it is over has ended, so many days ago."""
    then = clock.now() - days * DAY
    values: dict[str, Any] = {
        "workflow_id": name,
        "name": "made",
        "status": status,
        "inputs": '{"args":[],"kwargs":{}}',
        "created_at": then,
        "updated_at": then,
        "finished_at": then if status in TERMINAL else None,
    }
    return Workflow.objects.create(**{**values, **columns})


def make_history(run: Workflow) -> None:
    at = run.created_at
    Step.objects.create(workflow=run, position=1, name="s", started_at=at, finished_at=at, attempt=1)
    Event.objects.create(workflow=run, key="k", value="1", updated_at=at)
    EventHistory.objects.create(workflow=run, key="k", position=1, value="1", set_at=at)
    StreamEntry.objects.create(workflow=run, key="k", offset=0, value="1", position=1, written_at=at)
    Message.objects.create(destination=run, value="1", sent_at=at)
    Wait.objects.create(workflow=run, key="cancel")


def left() -> list[str]:
    return list(Workflow.objects.order_by("pk").values_list("workflow_id", flat=True))


@pytest.mark.django_db
def test_what_ended_before_the_cutoff_goes_with_all_that_belongs_to_it() -> None:
    """284. Of every terminal status; steps, events, streams, messages with them; active runs stay."""
    for status in Status:
        make_history(make_run(f"old {status}", 3, status))
        make_history(make_run(f"new {status}", 0.5, status))
    assert sum(prune_workflows(older_than=DAY)) == len(TERMINAL)
    assert set(left()) == {f"old {s}" for s in ACTIVE} | {f"new {s}" for s in Status}
    for model in (Step, Event, EventHistory, StreamEntry, Wait):
        assert model._base_manager.count() == len(left())
    assert Message.objects.count() == len(left())


@pytest.mark.django_db
def test_a_cutoff_is_an_age_or_a_time() -> None:
    """284. What ended just then is not older."""
    runs = [make_run(str(days), days) for days in (3, 2, 1)]
    assert runs[1].finished_at is not None
    assert sum(prune_workflows(older_than=runs[1].finished_at)) == 1
    assert left() == ["2", "1"]
    assert sum(prune_workflows(older_than=timedelta(hours=36))) == 1
    assert sum(prune_workflows(older_than=timedelta(0))) == 1


@pytest.mark.django_db
def test_beyond_a_number_of_rows() -> None:
    """284. The newest of all are counted, finished or not; only finished ones go; the stricter rule wins."""
    for number in range(10):
        make_run(str(number), 10 - number, "PENDING" if number in (1, 8) else "SUCCESS")
    assert sum(prune_workflows(keep_newest=11)) == 0
    assert sum(prune_workflows(keep_newest=10)) == 0
    assert sum(prune_workflows(keep_newest=7)) == 2
    assert left() == ["1", "3", "4", "5", "6", "7", "8", "9"]
    assert sum(prune_workflows(keep_newest=5, older_than=4.5 * DAY)) == 3
    assert left() == ["1", "6", "7", "8", "9"]
    assert sum(prune_workflows(keep_newest=5, older_than=2.5 * DAY)) == 2
    assert sum(prune_workflows(keep_newest=0)) == 1
    assert left() == ["1", "8"]
    assert sum(prune_workflows(keep_newest=0)) == 0


@pytest.mark.django_db
def test_failed_runs_may_stay_longer() -> None:
    """284. They are looked at for longer than the others."""
    for status in TERMINAL:
        for days in (1, 5, 9):
            make_run(f"{status} {days}", days, status)
    assert sum(prune_workflows(older_than=4 * DAY, keep_failed=8 * DAY)) == 6
    assert sorted(left()) == sorted(
        [f"{status} 1" for status in TERMINAL]
        + ["ERROR 5", "MAX_RECOVERY_ATTEMPTS_EXCEEDED 5"]
    )  # fmt: skip
    assert sum(prune_workflows(older_than=4 * DAY, keep_failed=2 * DAY)) == 2, "never less than older_than"


@pytest.mark.django_db
def test_kin_of_active_runs_stay() -> None:
    """284, F70. A finished child may yet be asked for by its active parent, and a parent by its child."""
    make_run("parent", 9, "PENDING")
    make_run("child", 9, parent_workflow_id="parent")
    make_run("grandchild", 9, parent_workflow_id="child")
    make_run("done parent", 9)
    make_run("active child", 9, "WAITING", parent_workflow_id="done parent")
    make_run("orphan", 9, parent_workflow_id="gone")
    for limit in (1, 1000):
        list(prune_workflows(older_than=DAY, keep_newest=0, batch_size=limit))
        assert left() == ["parent", "child", "done parent", "active child"]
    Workflow.objects.update(status="SUCCESS", finished_at=clock.now() - 9 * DAY)
    assert sum(prune_workflows(older_than=DAY)) == 4


@pytest.mark.django_db
def test_batches() -> None:
    """284. Each is bounded, and comes to an end although some must stay; many share one moment."""
    same = clock.now() - 5 * DAY
    make_run("active", 9, "PENDING")
    for number in range(25):
        parent = "active" if number < 5 else None
        make_run(str(number), 5, finished_at=same, parent_workflow_id=parent)
    batches = prune_workflows(older_than=DAY, batch_size=10)
    assert Workflow.objects.count() == 26, "nothing happens before the first batch is asked for"
    assert next(batches) == 5
    assert Workflow.objects.count() == 21
    assert list(batches) == [10, 5]
    assert list(prune_workflows(older_than=DAY, batch_size=10)) == []
    assert list(prune_workflows(keep_newest=0, batch_size=3)) == []
    assert left() == ["active", "0", "1", "2", "3", "4"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "older_than, keep_newest or both"),
        ({"keep_failed": DAY}, "older_than, keep_newest or both"),
        ({"older_than": -DAY}, "older_than must not be below zero"),
        ({"older_than": "soon"}, "older_than is a datetime"),
        ({"older_than": DAY, "keep_failed": -DAY}, "keep_failed"),
        ({"keep_newest": -1}, "keep_newest"),
        ({"keep_newest": 1, "batch_size": 0}, "batch_size"),
    ],
)
def test_bad_input_is_refused_before_anything_goes(options: dict[str, Any], said: str) -> None:
    """284. At the call, not at the first batch."""
    with pytest.raises(InvalidOptionError, match=said):
        prune_workflows(**options)


@pytest.mark.django_db(transaction=True)
def test_a_workflow_prunes_in_a_step(worker: Worker) -> None:
    """284. What deletes by the clock cannot be replayed: in the body it is refused."""
    make_run("old", 3)
    with pytest.raises(NotAllowedInWorkflowError):
        start_workflow(prunes).get_result(timeout=60)
    assert start_workflow(prunes_in_step).get_result(timeout=60) == 1
    assert "old" not in left()


@pytest.mark.django_db(transaction=True)
def test_the_async_twins() -> None:
    """284, 285."""
    for number in range(5):
        make_run(f"done {number}", 3)
        make_run(f"active {number}", 3, "ENQUEUED")

    async def main() -> tuple[list[int], list[str]]:
        counts = [count async for count in aprune_workflows(older_than=DAY, batch_size=2)]
        cutoff = clock.now() - DAY
        batches = [ids async for ids in acancel_workflows_created_before(cutoff, batch_size=3)]
        return counts, [one for ids in batches for one in ids]

    counts, cancelled = asyncio.run(main())
    assert sum(counts) == 5
    assert cancelled == [f"active {number}" for number in range(5)]


# Many at once, and in the middle of other things


@pytest.mark.django_db(transaction=True)
def test_many_may_prune_at_once() -> None:
    """284. Together they delete each run once, and none waits for another for ever."""
    for number in range(60):
        make_history(make_run(str(number), 5))
    kept = make_run("kept", 0.1)
    barrier = threading.Barrier(4)

    def prune() -> int:
        barrier.wait(30)
        return sum(prune_workflows(older_than=DAY, batch_size=7))

    deleted = sum(future.result(60) for future in [in_thread(prune) for _ in range(4)])
    assert deleted + sum(prune_workflows(older_than=DAY)) == 60
    assert left() == [kept.workflow_id]
    assert Step.objects.count() == 0


@pytest.mark.postgres(reason="rows are locked one by one there")
@pytest.mark.django_db(transaction=True)
def test_a_run_that_somebody_holds_is_left_for_later() -> None:
    """284. SKIP LOCKED: a message on its way to a finished run stops nobody."""
    make_run("held", 5)
    make_run("free", 5)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            send("held", 1)
            locked.set()
            done.wait(30)

    holder = in_thread(hold)
    assert locked.wait(30)
    assert sum(prune_workflows(older_than=DAY)) == 1
    done.set()
    holder.result(30)
    assert left() == ["held"]
    assert sum(prune_workflows(older_than=DAY)) == 1
    assert Message.objects.count() == 0


# The worker's service


@pytest.fixture
def pruned() -> Iterator[list[int]]:
    counts: list[int] = []

    def note(count: int, **kwargs: Any) -> None:
        counts.append(count)

    signals.workflows_pruned.connect(note)
    yield counts
    signals.workflows_pruned.disconnect(note)


@pytest.mark.django_db(transaction=True)
def test_workers_keep_to_the_setting(settings: Any) -> None:
    """284. With RETENTION set, all workers together; without it everything stays."""
    make_run("old", 3)
    make_run("new", 0.5)
    with Worker(threads=1) as idle:
        assert not any(isinstance(service, Retention) for service in idle._services)
        assert start_workflow(leaf).get_result(timeout=60) is None
    assert left()[:2] == ["old", "new"]
    settings.DURABLE = {"RETENTION": DAY}
    with Worker(threads=1), Worker(threads=1):
        wait_until(lambda: "old" not in left())
    assert left()[0] == "new"


@pytest.mark.django_db
def test_the_service_deletes_a_batch_a_tick(pruned: list[int]) -> None:
    """284. It goes on soon while there is more, and then begins again from the oldest."""
    service = Retention(60.0, DAY)
    service.batch = 4
    for number in range(9):
        make_run(str(number), 3)
    assert [service.tick() for _ in range(3)] == [service.pause, service.pause, None]
    assert pruned == [4, 4, 1]
    make_run("again", 4)
    assert service.tick() is None
    assert left() == []


@pytest.mark.parametrize("given", [5, "30 days", timedelta(days=-1)])
def test_a_wrong_setting_is_found_by_check(settings: Any, given: Any) -> None:
    """284. E008."""
    from django.core.checks import run_checks  # noqa: PLC0415

    settings.DURABLE = {"RETENTION": given}
    assert "durable.E008" in [message.id for message in run_checks(tags=["durable_app"])]


# The global timeout


@pytest.mark.django_db
def test_all_active_runs_created_before_a_time_are_cancelled() -> None:
    """285. ENQUEUED, DELAYED, PENDING and WAITING ones; finished and later ones stay as they are."""
    for status in Status:
        make_run(f"old {status}", 3, status)
        make_run(f"new {status}", 0.5, status)
    cutoff = datetime.now(UTC) - DAY
    batches = list(cancel_workflows_created_before(cutoff, batch_size=3))
    assert [len(ids) for ids in batches] == [3, 1]
    assert {one for ids in batches for one in ids} == {f"old {status}" for status in ACTIVE}
    for run in Workflow.objects.all():
        age, status = run.workflow_id.split()
        was_cancelled = age == "old" and status in ACTIVE
        assert run.status == ("CANCELLED" if was_cancelled else status)
    assert list(cancel_workflows_created_before(cutoff.isoformat())) == []
    with pytest.raises(InvalidOptionError):
        cancel_workflows_created_before("yesterday")
    with pytest.raises(InvalidOptionError):
        cancel_workflows_created_before(cutoff, batch_size=0)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_ended_meanwhile_is_not_cancelled() -> None:
    """285. Between the look and the deed it may have come to its end."""
    with SetWorkflowID("quick"):
        start_workflow(leaf)
    batches = cancel_workflows_created_before(clock.now() + DAY)
    with Worker(threads=1) as worker:
        assert worker.run_until_idle(timeout=60)
    assert list(batches) == []
    assert Workflow.objects.get().status == "SUCCESS"
    delete_workflow("quick")
