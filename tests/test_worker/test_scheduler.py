"""The service that fires schedules: to the moment, through every trouble, at no cost while nothing is due."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection

from durable_app import (
    apply_schedules,
    clock,
    create_schedule,
    delete_schedule,
    pause_schedule,
    scheduled,
    step,
    workflow,
)
from durable_app.models import Schedule, Workflow
from durable_app.registry import registry
from durable_app.store import database, ticks
from durable_app.worker.scheduler import Scheduler
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.shop.models import Effect
from tests.shop.punctual import strike

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
EVERY_SECOND = "* * * * * *"
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def create(name: str, **given: Any) -> None:
    create_schedule(**{"schedule_name": name, "workflow_fn": strike, "schedule": EVERY_SECOND, **given})


def runs(name: str) -> Any:
    return Workflow.objects.filter(schedule_name=name)


def has_runs(least: int) -> bool:
    return bool(runs("a").count() >= least)


def ticks_of(name: str) -> list[datetime]:
    """Return the ticks that have a run, in order."""
    ids = runs(name).values_list("workflow_id", flat=True)
    return sorted(datetime.fromisoformat(one.removeprefix(f"sched-{name}-")) for one in ids)


def assert_none_left_out(found: list[datetime]) -> None:
    assert found == [found[0] + n * SECOND for n in range(len(found))]


def test_it_follows_what_is_created_changed_paused_and_deleted(worker: Worker) -> None:
    """232, 234. While it runs, without a restart."""
    create("a")
    create("b", schedule="0 0 1 1 *")
    wait_until(lambda: runs("a").count() >= 2)
    assert not runs("b").exists()

    apply_schedules([{"schedule_name": "b", "workflow_fn": strike, "schedule": EVERY_SECOND}])
    pause_schedule("a")
    before = runs("a").count()
    wait_until(lambda: runs("b").count() >= 2)
    assert runs("a").count() == before

    delete_schedule("b")
    before = runs("b").count()
    create("c")
    wait_until(lambda: runs("c").count() >= 2)
    assert runs("b").count() == before


def test_each_second_has_one_run_and_none_comes_before_its_time(worker: Worker) -> None:
    """227. The runs' ids, the effects they left, and the database's clock when they were made."""
    create("a")
    wait_until(lambda: Effect.objects.count() >= 4)
    found = ticks_of("a")
    assert_none_left_out(found)
    for run in runs("a"):
        assert run.created_at >= datetime.fromisoformat(run.workflow_id.removeprefix("sched-a-"))
    pause_schedule("a")
    wait_until(lambda: not runs("a").exclude(status="SUCCESS").exists())
    assert Effect.objects.count() == runs("a").count()


def test_a_run_that_fails_or_takes_long_does_not_stop_its_schedule(worker: Worker) -> None:
    """242. The next tick comes all the same."""
    create("loud", context="loudly")
    wait_until(lambda: runs("loud").filter(status="ERROR").count() >= 3)
    assert_none_left_out(ticks_of("loud"))


@pytest.fixture
def holding() -> Iterator[Any]:
    """Return a declared workflow whose runs wait until the test ends."""
    held: list[bool] = []

    @step(name="hold_on_schedule")
    def hold_on(at: datetime) -> None:
        wait_until(lambda: held)

    @workflow(name="held_on_schedule")
    def held_on(scheduled_at: datetime, context: Any) -> None:
        hold_on(scheduled_at)

    yield held_on
    held.append(True)


def test_neither_the_schedule_nor_a_shutdown_waits_for_long_runs(holding: Any) -> None:
    """241. All threads are taken; ticks go on, and so does the end of the worker."""
    create("long", workflow_fn=holding)
    with Worker(threads=1) as worker:
        wait_until(lambda: runs("long").count() >= 3)
        assert worker.stop(grace=0) == 1
    assert not runs("long").exclude(status="ENQUEUED").exists()


def test_what_this_process_cannot_read_is_left_and_stops_nothing_else(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    """241, F09. A zone that is not installed here, a context whose class is not known: another worker's."""
    create("zone")
    create("context")
    create("good")
    Schedule.objects.filter(name="zone").update(timezone="Mars/Olympus")
    Schedule.objects.filter(name="context").update(context='{"$t":"spaceship","v":1}')
    last_fired = dict(Schedule.objects.values_list("name", "last_fired_at"))
    good = runs("good").count()
    with caplog.at_level(logging.ERROR, "durable_app"):
        wait_until(lambda: runs("good").count() >= good + 3)
    rows = {row.name: row for row in Schedule.objects.all()}
    for name in ("zone", "context"):
        assert (rows[name].status, rows[name].last_fired_at) == ("ACTIVE", last_fired[name])
        assert caplog.text.count(f"Schedule cannot be read schedule={name}") == 1


def test_a_worker_with_nothing_due_asks_nothing(django_assert_num_queries: Any) -> None:
    """232. The timers' one statement tells it when to begin."""
    clock.freeze(NOON)
    try:
        create("later", schedule="0 13 * * *")
        scheduler = Scheduler(1.0)
        with django_assert_num_queries(0):
            assert scheduler.tick() is None
            scheduler.expect(NOON + 30 * SECOND)
            pause = scheduler.tick()
        assert pause is not None
        assert 0 < pause <= 1
        clock.advance(timedelta(hours=1))
        scheduler.tick()
        assert runs("later").count() == 1
        with django_assert_num_queries(0):
            scheduler.tick()
    finally:
        clock.release()


@pytest.mark.parametrize("left", [0.5, 0.05, 0.004])
def test_a_pause_never_lasts_beyond_the_tick(left: float) -> None:
    """227. Whatever share of it the service adds: it sleeps short of the tick, then for the rest."""
    clock.freeze(NOON)
    try:
        scheduler = Scheduler(1.0)
        scheduler.expect(NOON + left * SECOND)
        pause = scheduler.tick()
        assert pause is not None
        assert pause * 1.1 <= left + 1e-9
    finally:
        clock.release()


def test_due_ticks_are_found_without_looking_at_every_schedule() -> None:
    """232. By the index of those that wait."""
    now = clock.now()
    Schedule.objects.bulk_create(
        Schedule(
            name=f"s{n}", workflow_name="w", cron="0 0 * * *", created_at=now, updated_at=now,
            next_at=now + n * HOUR,
        )
        for n in range(1, 400)
    )  # fmt: skip
    assert ticks.due() == []
    assert ticks.next_at() == now + HOUR
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE durable_app_schedule")
            cursor.execute("SET enable_seqscan = off")
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} SELECT min(next_at) FROM durable_app_schedule WHERE next_at IS NOT NULL")
        plan = " ".join(str(row) for row in cursor.fetchall())
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = on")
    assert "durable_schedule_due" in plan


END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"
)


@pytest.mark.postgres(reason="a server that ends connections")
def test_lost_connections_lose_no_tick(worker: Worker) -> None:
    """241. The server ends every connection, again and again: within the grace no tick is left out."""
    create("a")
    for round_ in range(1, 4):
        wait_until(partial(has_runs, round_))
        with connection.cursor() as cursor:
            cursor.execute(END_ALL, [connection.settings_dict["NAME"]])
    wait_until(lambda: runs("a").count() >= 6)
    assert_none_left_out(ticks_of("a"))
    assert database.is_postgres()


def test_a_declared_schedule_is_fired_by_the_worker_that_declares_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """242. Nothing but the decorator and a worker."""
    monkeypatch.setattr(registry, "schedules", {})
    scheduled(EVERY_SECOND, name="declared")(strike)
    with Worker(threads=1):
        wait_until(lambda: Effect.objects.count() >= 2)
    assert_none_left_out(ticks_of("declared"))
