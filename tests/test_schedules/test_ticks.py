"""What a tick starts: which run, with which id and arguments; and the same by hand."""

import json
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
    clock,
    create_schedule,
    delete_schedule,
    get_schedule,
    list_workflows,
    pause_schedule,
    register_queue,
    serialization,
    step,
    transaction,
    trigger_schedule,
    workflow,
)
from durable_app.models import AppVersion, Workflow
from durable_app.serialization import decode
from durable_app.store import versions
from tests.test_schedules.conftest import NOON, Fire

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(max_recovery_attempts=7)
def ticking(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


@workflow(name="ticks.portable", serialization_type="portable")
def portable_ticking(scheduled_at: datetime, context: Any) -> None:
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


def test_a_ticks_run_is_stored_in_the_format_of_its_workflow(fire: Fire, settings: Any):
    """271, 272. As if the workflow had been started by hand; one that is not known here in the project's."""
    settings.DURABLE = {"SERIALIZER": "pickle"}
    workflows = {"ours": ticking, "portable": portable_ticking, "foreign": "nobody here knows it"}
    for name, func in workflows.items():
        create_schedule(
            schedule_name=name, workflow_fn=func, schedule="0 * * * *", context={"since": NOON, "n": 1}
        )
    fire(hours=1)
    rows = {row.schedule_name: row for row in Workflow.objects.all()}
    formats = {name: row.serialization for name, row in rows.items()}
    assert formats == {"ours": "pickle", "portable": "portable_json", "foreign": "pickle"}
    written = json.loads(rows["portable"].inputs)["positionalArgs"]
    assert written == ["2025-06-01T13:00:00Z", {"since": "2025-06-01T12:00:00Z", "n": 1}]
    args, kwargs = serialization.named("pickle").read_inputs(
        rows["ours"].inputs, serialization.places.inputs(rows["ours"].workflow_id)
    )
    assert (list(args), kwargs) == ([NOON + timedelta(hours=1), {"since": NOON, "n": 1}], {})
