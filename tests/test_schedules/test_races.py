"""Many fire, pause and change at once: each tick has one run, whoever was first."""

import random
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction

from durable_app import (
    apply_schedules,
    backfill_schedule,
    clock,
    create_schedule,
    delete_schedule,
    get_schedule,
    pause_schedule,
    resume_schedule,
    workflow,
)
from durable_app.models import Schedule, Workflow
from durable_app.store import ticks
from durable_app.worker.scheduler import Scheduler
from tests.helpers import wait_until
from tests.racing import raced
from tests.test_schedules.conftest import NOON

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@workflow
def contested(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


def create(name: str = "n", **given: Any) -> None:
    create_schedule(**{"schedule_name": name, "workflow_fn": contested, "schedule": "* * * * *", **given})


def at(*minutes: int, name: str = "n") -> list[str]:
    return [f"sched-{name}-{(NOON + one * MINUTE).isoformat()}" for one in minutes]


def started() -> list[str]:
    """Return the ids of all runs in the order in which they were inserted."""
    return list(Workflow.objects.order_by("pk").values_list("workflow_id", flat=True))


def has_passed(minute: int) -> bool:
    """Return whether the next tick is more minutes after noon than these."""
    schedule = get_schedule("n")
    assert schedule is not None
    assert schedule.next_at is not None
    return schedule.next_at > NOON + minute * MINUTE


@pytest.fixture
def schedulers(noon: datetime) -> Iterator[list[Scheduler]]:
    """Run four schedulers, as four workers would."""
    found = [Scheduler(0.05) for _ in range(4)]
    for scheduler in found:
        scheduler.start()
    yield found
    for scheduler in found:
        scheduler.stop()
    for scheduler in found:
        scheduler.join(10)


@pytest.mark.timeout(180)
def test_four_schedulers_start_each_of_a_thousand_ticks_once(schedulers: list[Scheduler]) -> None:
    """227. A clock that runs, hurries, stands and goes back; whoever is first, in order, none left out."""
    create(catch_up="all")
    chance = random.Random(7)
    last = 0
    while last < 1000:
        step = min(chance.choice((1, 1, 1, 1, 2, 7)), 1000 - last)
        if chance.random() < 0.05:
            clock.advance(-3 * MINUTE)
            clock.advance(3 * MINUTE)
        clock.advance(step * MINUTE)
        last += step
        for scheduler in chance.sample(schedulers, k=4):
            scheduler.expect(clock.now())
        if chance.random() < 0.5:
            wait_until(partial(has_passed, last), what=f"tick {last}")
    wait_until(partial(has_passed, 1000), what="the last tick")

    assert started() == at(*range(1, 1001))


def test_all_race_for_every_single_tick(noon: datetime) -> None:
    """227. Four that start together, a hundred times: one inserts, three find nothing to do."""
    create()
    for minute in range(1, 101):
        clock.advance(MINUTE)
        answers = raced(*[lambda: ticks.fire("n")] * 4)
        assert sorted(len(one) for one in answers) == [0, 0, 0, 1]
        assert started()[minute - 1 :] == at(minute)


def test_firing_and_backfilling_the_same_ticks_at_once(noon: datetime) -> None:
    """235. Whoever inserts first, each tick has one run, and no one fails."""
    create(catch_up="all")
    for round_ in range(15):
        clock.advance(10 * MINUTE)
        start = NOON + round_ * 10 * MINUTE
        answers = raced(
            lambda: ticks.fire("n"),
            partial(backfill_schedule, "n", start, start + 11 * MINUTE),
            lambda: ticks.fire("n"),
        )
        assert [one for one in answers if isinstance(one, BaseException)] == []
        assert sorted(started()) == at(*range(1, round_ * 10 + 11))


def test_pausing_and_resuming_while_it_fires(noon: datetime) -> None:
    """234, 237. Nothing fires after a pause has returned, and none of the missed ticks is lost or doubled."""
    create(catch_up="all")
    clock.advance(MINUTE)
    ticks.fire("n")
    for minute in range(2, 30):
        clock.advance(MINUTE)
        raced(lambda: ticks.fire("n"), lambda: pause_schedule("n"), lambda: ticks.fire("n"))
        before = started()
        assert ticks.fire("n") == []
        assert started() == before
        resume_schedule("n")
        if minute % 3:
            ticks.fire("n")
    ticks.fire("n")
    assert started() == at(*range(1, 30))


def test_changing_and_deleting_while_it_fires(noon: datetime) -> None:
    """232, 233. A tick belongs to the definition that was there when it was fired, and to no other."""
    minutely: Any = {"schedule_name": "n", "workflow_fn": contested, "schedule": "* * * * *"}
    yearly: Any = {**minutely, "schedule": "0 0 1 1 *", "context": "yearly"}
    for round_ in range(20):
        apply_schedules([minutely])
        clock.advance(MINUTE)
        raced(
            lambda: ticks.fire("n"),
            partial(apply_schedules, [yearly]),
            partial(delete_schedule, "n" if round_ % 2 else "no other"),
        )
        ticks.fire("n")
    runs = Workflow.objects.all()
    assert set(started()) <= set(at(*range(1, 21)))
    assert len(started()) == len(set(started()))
    assert not [run for run in runs if "yearly" in run.inputs]


def test_a_schedule_whose_row_is_locked_is_left_to_the_one_who_holds_it(noon: datetime) -> None:
    """227. Nobody waits for another worker's insertion; what it rolls back is fired by the next."""
    create()
    create("other")
    clock.advance(MINUTE)
    fired, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            ticks.fire("n")
            fired.set()
            may_end.wait(30)
            transaction.set_rollback(True)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert fired.wait(30)
        if connections["default"].vendor == "postgresql":  # SQLite has one writer at a time anyway
            assert ticks.fire("n") == []
            assert [one.workflow_id for one in ticks.fire("other")] == at(1, name="other")
    finally:
        may_end.set()
        holder.join(30)
    assert [one.workflow_id for one in ticks.fire("n")] == at(1)
    assert Schedule.objects.get(name="n").last_fired_at == NOON + MINUTE
