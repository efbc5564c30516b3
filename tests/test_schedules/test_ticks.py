"""What a tick starts: which run, when, how often; what becomes of those that are missed or overlap."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    FIRED_AT,
    InvalidOptionError,
    NonExistentScheduleError,
    WorkflowHandle,
    abackfill_schedule,
    atrigger_schedule,
    backfill_schedule,
    cancel_workflow,
    clock,
    create_schedule,
    delete_schedule,
    get_schedule,
    list_workflows,
    pause_schedule,
    register_queue,
    resume_schedule,
    step,
    transaction,
    trigger_schedule,
    workflow,
)
from durable_app.models import AppVersion, Schedule, Workflow
from durable_app.serialization import decode
from durable_app.store import ticks, versions
from tests.test_schedules.conftest import NOON, Fire

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(max_recovery_attempts=7)
def ticking(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


@step
def tick_counter(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


@transaction
def tick_booker(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


class TickReports:
    @workflow
    @classmethod
    def write(cls, scheduled_at: datetime, context: Any) -> None:
        """Never run here."""

    @workflow
    @staticmethod
    def send(scheduled_at: datetime, context: Any) -> None:
        """Never run here."""


def create(name: str = "n", **given: Any) -> None:
    create_schedule(**{"schedule_name": name, "workflow_fn": ticking, "schedule": "* * * * *", **given})


def at(*minutes: int, name: str = "n") -> list[str]:
    """Return the ids of ticks so many minutes after noon."""
    return [f"sched-{name}-{(NOON + timedelta(minutes=one)).isoformat()}" for one in minutes]


def arguments(workflow_id: str) -> list[Any]:
    found: list[Any] = decode(Workflow.objects.get(workflow_id=workflow_id).inputs)["args"]
    return found


# One run a tick


def test_a_tick_starts_one_run_with_an_id_that_tells_its_time(fire: Fire) -> None:
    """227. In the schedule's zone, and never a second time."""
    create("berlin", schedule="30 14 * * *", cron_timezone="Europe/Berlin")
    assert fire(minutes=29, seconds=59) == []
    assert fire(seconds=1) == ["sched-berlin-2025-06-01T14:30:00+02:00"]
    assert fire(hours=23) == []
    assert fire(hours=1) == ["sched-berlin-2025-06-02T14:30:00+02:00"]
    assert Workflow.objects.count() == 2


def test_a_run_gets_the_tick_and_the_context(fire: Fire) -> None:
    """228. An aware datetime in the schedule's zone; None is a context like any other."""
    create("plain")
    create("rich", context={"depth": 3, "since": NOON}, cron_timezone="Asia/Kathmandu")
    started = fire(minutes=1)
    contexts = {one.split("-")[1]: arguments(one) for one in started}
    assert contexts["plain"] == [NOON + timedelta(minutes=1), None]
    assert contexts["rich"] == [NOON + timedelta(minutes=1), {"depth": 3, "since": NOON}]
    assert contexts["rich"][0].isoformat() == "2025-06-01T17:46:00+05:45"


def test_a_run_can_be_given_the_time_at_which_it_was_started(fire: Fire) -> None:
    """242. What the tick was, and when it really came."""
    create(context=FIRED_AT)
    (started,) = fire(minutes=1, seconds=7)
    assert arguments(started) == [NOON + timedelta(minutes=1), NOON + timedelta(minutes=1, seconds=7)]


def test_the_last_tick_is_remembered_with_its_offset(fire: Fire) -> None:
    """229. As the zone's clocks showed it."""
    create(cron_timezone="America/New_York")
    fire(minutes=1, seconds=30)
    schedule = get_schedule("n")
    assert schedule is not None
    assert schedule.last_fired_at is not None
    assert schedule.last_fired_at.isoformat() == "2025-06-01T08:01:00-04:00"


def test_runs_stand_in_their_queue_and_are_found_by_their_schedule(fire: Fire) -> None:
    """230. In the default queue, or the one that was named."""
    register_queue("reports")
    create("a")
    create("b", queue_name="reports")
    fire(minutes=1)
    assert [one.queue_name for one in list_workflows(schedule_name="a")] == ["default"]
    assert [one.queue_name for one in list_workflows(schedule_name="b")] == ["reports"]
    assert len(list_workflows(schedule_name=["a", "b"])) == 2
    assert list_workflows(schedule_name="c") == []
    assert Workflow.objects.get(schedule_name="a").max_recovery_attempts == 7


def test_runs_have_the_latest_version(fire: Fire, settings: Any) -> None:
    """231. Whichever version's worker it is that fires."""
    create()
    fire(minutes=1)
    versions.register("1")
    versions.register("2")
    settings.DURABLE = {"APP_VERSION": "1"}
    fire(minutes=1)
    versions.set_latest("1")
    fire(minutes=1)
    assert [one.app_version for one in list_workflows()] == [None, "2", "1"]
    AppVersion.objects.all().delete()


def test_what_can_be_scheduled(fire: Fire) -> None:
    """238, 242. Workflows, steps and transactions; static and class methods."""
    create("step", workflow_fn=tick_counter)
    create("transaction", workflow_fn=tick_booker)
    create("class", workflow_fn=TickReports.write)
    create("static", workflow_fn=TickReports.send)
    fire(minutes=1)
    assert {(one.schedule_name, one.name, one.class_name) for one in list_workflows()} == {
        ("step", "<temp>.tick_counter", None),
        ("transaction", "<temp>.tick_booker", None),
        ("class", "TickReports.write", "TickReports"),
        ("static", "TickReports.send", None),
    }


def test_a_deleted_and_created_schedule_starts_no_tick_again(fire: Fire) -> None:
    """227. The id is the second line of defence."""
    create()
    assert fire(minutes=1) == at(1)
    delete_schedule("n")
    clock.advance(timedelta(minutes=-1, seconds=-30))
    create()
    assert fire(minutes=1, seconds=30) == at(0, 1)
    assert Workflow.objects.count() == 2


def test_a_clock_that_is_set_back_starts_nothing_twice(fire: Fire) -> None:
    """227. What has fired has fired; forth again, it goes on from there."""
    create(catch_up="all")
    assert fire(minutes=3) == at(1, 2, 3)
    assert fire(minutes=-2) == []
    assert fire(minutes=2) == []
    assert fire(minutes=1) == at(4)


def test_a_schedule_changed_between_two_ticks_goes_by_the_new_one(fire: Fire) -> None:
    """232. From the moment it is changed on."""
    create()
    assert fire(minutes=1) == at(1)
    delete_schedule("n")
    create(schedule="*/5 * * * *")
    assert fire(minutes=3) == []
    assert fire(minutes=1) == at(5)


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


# By hand


def test_a_triggered_run_starts_now(noon: datetime) -> None:
    """236. Paused or not, however many there are; the tick is the moment."""
    create(context="c", overlap="skip", cron_timezone="Europe/Berlin")
    pause_schedule("n")
    first, second = trigger_schedule("n"), trigger_schedule("n")
    assert isinstance(first, WorkflowHandle)
    assert first.workflow_id == "sched-n-trigger-2025-06-01T14:00:00+02:00"
    assert second.workflow_id == "sched-n-trigger-2025-06-01T14:00:00.000001+02:00"
    assert arguments(first.workflow_id) == [noon, "c"]
    assert [one.schedule_name for one in list_workflows()] == ["n", "n"]
    schedule = get_schedule("n")
    assert schedule is not None
    assert schedule.last_fired_at is None


def test_a_backfill_starts_the_ticks_between_two_times(fire: Fire) -> None:
    """235. Both exclusive, with the ids the ticks would have had; returned are the handles of all."""
    create(schedule="*/10 * * * *")
    handles = backfill_schedule("n", NOON, NOON + timedelta(minutes=40))
    assert [one.workflow_id for one in handles] == at(10, 20, 30)
    assert backfill_schedule("n", NOON, NOON) == []
    assert Workflow.objects.count() == 3
    assert arguments(at(20)[0]) == [NOON + timedelta(minutes=20), None]


def test_a_tick_has_one_run_however_it_is_started(fire: Fire) -> None:
    """235. Backfilled twice, fired first or afterwards."""
    create(schedule="*/10 * * * *", catch_up="all")
    fire(minutes=10)
    for _ in range(2):
        found = backfill_schedule("n", NOON, NOON + timedelta(minutes=31))
        assert [one.workflow_id for one in found] == at(10, 20, 30)
    fire(minutes=20)
    ids = list(Workflow.objects.order_by("workflow_id").values_list("workflow_id", flat=True))
    assert ids == at(10, 20, 30)


def test_a_backfill_goes_by_the_current_expression_and_takes_bare_times_for_utc(noon: datetime) -> None:
    """235. Whatever the schedule was at that time, and whatever zone it has."""
    create(schedule="0 0 * * *", cron_timezone="Asia/Tokyo")
    bare = datetime(2024, 1, 1)  # noqa: DTZ001
    (handle,) = backfill_schedule("n", bare, bare + timedelta(days=1))
    assert handle.workflow_id == "sched-n-2024-01-02T00:00:00+09:00"


def test_a_backfill_of_too_much_is_refused(noon: datetime) -> None:
    """235. A year for a day: nothing is started."""
    create(schedule="* * * * * *")
    with pytest.raises(InvalidOptionError, match="more than 100000 ticks"):
        backfill_schedule("n", datetime(2015, 1, 1, tzinfo=UTC), noon)
    assert not Workflow.objects.exists()


def test_thousands_of_ticks_are_backfilled_in_order(noon: datetime) -> None:
    """235. In a few statements, and in the order in which they would have come."""
    create()
    handles = backfill_schedule("n", noon, noon + timedelta(days=3))
    assert len(handles) == Workflow.objects.count() == 3 * 1440 - 1
    created = list(Workflow.objects.order_by("pk").values_list("workflow_id", flat=True))
    assert created == [one.workflow_id for one in handles]
    assert all(earlier < later for earlier, later in pairwise(created))


def test_only_a_schedule_that_exists_can_be_started_by_hand(noon: datetime) -> None:
    """235, 236. Anything else is an error."""
    with pytest.raises(NonExistentScheduleError, match="'gone' does not exist"):
        trigger_schedule("gone")
    with pytest.raises(NonExistentScheduleError, match="'gone' does not exist"):
        backfill_schedule("gone", noon, noon)


def test_the_twins_start_runs_too(noon: datetime) -> None:
    """235, 236. From a coroutine."""
    create()

    async def go() -> list[str]:
        handles = [await atrigger_schedule("n")]
        handles += await abackfill_schedule("n", noon, noon + timedelta(minutes=2))
        return [one.workflow_id for one in handles]

    assert async_to_sync(go)() == [f"sched-n-trigger-{noon.isoformat()}", *at(1)]
