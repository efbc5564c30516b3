"""What becomes of ticks that nobody could start in time, or that come while a run is active."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from durable_app import (
    cancel_workflow,
    clock,
    create_schedule,
    get_schedule,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
    workflow,
)
from durable_app.models import Schedule, Workflow
from durable_app.store import ticks
from tests.test_schedules.conftest import NOON, Fire

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def policed(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


def create(name: str = "n", **given: Any) -> None:
    create_schedule(**{"schedule_name": name, "workflow_fn": policed, "schedule": "* * * * *", **given})


def at(*minutes: int) -> list[str]:
    """Return the ids of ticks so many minutes after noon."""
    return [f"sched-n-{(NOON + timedelta(minutes=one)).isoformat()}" for one in minutes]


# Missed ticks


def test_a_tick_that_is_only_late_is_started_whatever_the_policy(fire: Fire) -> None:
    """227. A busy minute, a restart: within two minutes nothing counts as missed."""
    create()
    assert fire(minutes=2, seconds=59) == at(1, 2)


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("none", [29, 30]),
        ("last", [29, 30]),
        ("all", list(range(1, 31))),
        (3, [26, 27, 28, 29, 30]),
        (1000, list(range(1, 31))),
    ],
)
def test_missed_ticks_of_a_dense_schedule(fire: Fire, catch_up: Any, expected: list[int]) -> None:
    """237. Half an hour without a worker: those of the last two minutes are late, the others missed."""
    create(catch_up=catch_up)
    assert fire(minutes=30, seconds=30) == at(*expected)
    assert fire(seconds=30) == at(31)


@pytest.mark.parametrize(
    ("catch_up", "expected"), [("none", []), ("last", [240]), ("all", [120, 240]), (1, [240])]
)
def test_missed_ticks_of_a_rare_schedule(fire: Fire, catch_up: Any, expected: list[int]) -> None:
    """237. Nobody was there at the time: one run makes up for it, or each, or none."""
    create(schedule="0 */2 * * *", catch_up=catch_up)
    assert fire(hours=5) == at(*expected)
    assert fire(hours=1) == at(360)


def test_a_long_absence_is_made_up_for_in_batches(fire: Fire) -> None:
    """237. Every tick of a day, in order, none twice; the seed's name for it."""
    create(automatic_backfill=True)
    schedule = get_schedule("n")
    assert schedule is not None
    assert schedule.automatic_backfill
    assert fire(days=1) == at(*range(1, 1441))
    created = list(Workflow.objects.order_by("pk").values_list("workflow_id", flat=True))
    assert created == at(*range(1, 1441))


def test_years_of_missed_seconds_cost_nothing(fire: Fire) -> None:
    """237. Those that are not started are not even counted."""
    create(schedule="* * * * * *", catch_up="last")
    started = fire(days=4000)
    assert len(started) == 120
    create("some", schedule="* * * * * *", catch_up=5)
    assert len(fire(days=4000)) == 120 + 125


def test_the_grace_is_a_setting(fire: Fire, settings: Any) -> None:
    """237. A project may call a tick missed at once."""
    settings.DURABLE = {"SCHEDULE_GRACE": timedelta(0)}
    create()
    assert fire(minutes=2, seconds=59) == []
    assert fire(seconds=1) == []
    settings.DURABLE = {"SCHEDULE_GRACE": timedelta(seconds=10)}
    assert fire(seconds=65) == at(4)


@pytest.mark.parametrize(
    ("catch_up", "expected"), [("none", []), ("last", [60]), ("all", [20, 40, 60]), (2, [40, 60])]
)
def test_resuming_makes_up_as_the_policy_says(fire: Fire, catch_up: Any, expected: list[int]) -> None:
    """237. The time of a pause counts as missed, from the last tick on."""
    create(schedule="*/20 * * * *", catch_up=catch_up)
    clock.advance(timedelta(minutes=-20))
    resume_schedule("n")
    Schedule.objects.update(next_at=NOON)
    assert fire(minutes=20) == at(0)
    pause_schedule("n")
    assert fire(minutes=65) == []
    resume_schedule("n")
    assert fire() == at(*expected)
    assert fire(minutes=15) == at(80)


def test_a_schedule_that_never_fired_has_missed_nothing_when_resumed(fire: Fire) -> None:
    """237. There is no tick to count from."""
    create(catch_up="all")
    pause_schedule("n")
    clock.advance(timedelta(hours=1))
    resume_schedule("n")
    assert fire() == []


# Overlapping runs


def test_runs_of_one_schedule_may_overlap(fire: Fire) -> None:
    """242. By default a tick does not ask what the last one is doing."""
    create()
    assert fire(minutes=1) + fire(minutes=1) == at(1, 2)
    assert Workflow.objects.filter(status="ENQUEUED").count() == 2


def test_a_tick_is_skipped_while_a_run_is_active(fire: Fire) -> None:
    """242. In whatever active state; and never because of another schedule's runs."""
    create(overlap="skip")
    create("other", schedule="0 * * * *")
    trigger_schedule("other")
    assert fire(minutes=1) == at(1)
    for status in ("ENQUEUED", "PENDING", "WAITING", "DELAYED"):
        Workflow.objects.filter(schedule_name="n").update(status=status)
        assert fire(minutes=1) == []
    Workflow.objects.filter(schedule_name="n").update(status="SUCCESS", finished_at=clock.now())
    assert fire(minutes=1) == at(6)
    cancel_workflow(at(6)[0])
    assert fire(minutes=1) == at(7)


def test_of_several_ticks_at_once_the_first_is_started_and_the_others_are_skipped(fire: Fire) -> None:
    """242. Making up for missed ticks is no reason to overlap."""
    create(overlap="skip", catch_up="all")
    assert fire(minutes=5) == at(1)
    schedule = get_schedule("n")
    assert schedule is not None
    assert schedule.last_fired_at == NOON + timedelta(minutes=5)


def test_the_active_run_is_cancelled_for_the_next_tick(fire: Fire) -> None:
    """242. In the transaction that starts the next."""
    create(overlap="cancel_previous")
    create("other")
    for minute in (1, 2, 3):
        assert at(minute)[0] in fire(minutes=1)
    states = dict(Workflow.objects.filter(schedule_name="n").values_list("workflow_id", "status"))
    assert states == dict(zip(at(1, 2, 3), ["CANCELLED", "CANCELLED", "ENQUEUED"], strict=True))
    assert Workflow.objects.filter(schedule_name="other", status="ENQUEUED").count() == 3


def test_what_is_skipped_is_told(fire: Fire) -> None:
    """242. Tick by tick: started or not."""
    create(overlap="skip", catch_up="all")
    fire()
    clock.advance(timedelta(minutes=3))
    assert [(one.workflow_id, one.started) for one in ticks.fire("n")] == list(
        zip(at(1, 2, 3), [True, False, False], strict=True)
    )
