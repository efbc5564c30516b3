"""Schedules made, changed, paused and looked at while the project runs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from durable_app import (
    ConfiguredInstance,
    InvalidOptionError,
    NonExistentQueueError,
    NonExistentScheduleError,
    ScheduleExistsError,
    ScheduleInfo,
    SerializationError,
    SynchronousCallError,
    WorkflowFunctionNotFoundError,
    aapply_schedules,
    acreate_schedule,
    adelete_schedule,
    aget_schedule,
    alist_schedules,
    apause_schedule,
    apply_schedules,
    aresume_schedule,
    clock,
    create_schedule,
    delete_schedule,
    get_schedule,
    list_schedules,
    pause_schedule,
    register_queue,
    resume_schedule,
    workflow,
)
from durable_app.models import Schedule, Workflow
from tests.racing import raced
from tests.test_schedules.conftest import Fire

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def nightly(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


@workflow
def weekly(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


class Report(ConfiguredInstance):
    @workflow
    def write(self, scheduled_at: datetime, context: Any) -> None:
        """A tick has no instance."""


def create(name: str = "nightly", **given: Any) -> None:
    create_schedule(**{"schedule_name": name, "workflow_fn": nightly, "schedule": "0 3 * * *", **given})


def found(name: str = "nightly") -> ScheduleInfo:
    schedule = get_schedule(name)
    assert schedule is not None
    return schedule


# Creating


def test_a_new_schedule_waits_for_its_next_tick(noon: datetime) -> None:
    """226, 229. It is active, has fired nothing, and shows its tick in its zone."""
    create(cron_timezone="Europe/Berlin", context={"depth": 3})

    schedule = found()
    assert (schedule.schedule_name, schedule.status) == ("nightly", "ACTIVE")
    assert (schedule.workflow_name, schedule.workflow_class_name) == ("nightly", None)
    assert (schedule.schedule, schedule.cron_timezone) == ("0 3 * * *", "Europe/Berlin")
    assert schedule.context == {"depth": 3}
    assert (schedule.catch_up, schedule.overlap, schedule.automatic_backfill) == ("none", "allow", False)
    assert schedule.queue_name is None
    assert schedule.last_fired_at is None
    assert not schedule.is_declared
    assert schedule.next_at is not None
    assert schedule.next_at.isoformat() == "2025-06-02T03:00:00+02:00"
    assert schedule.created_at == schedule.updated_at == noon


def test_a_name_is_taken_once() -> None:
    """226. Also by two at once."""
    create()
    with pytest.raises(ScheduleExistsError, match="'nightly' exists already") as caught:
        create(schedule="0 4 * * *")
    assert caught.value.schedule_name == "nightly"
    assert found().schedule == "0 3 * * *"

    answers = raced(*(lambda: create("raced") for _ in range(4)))
    assert sorted(type(one).__name__ for one in answers) == ["NoneType"] + ["ScheduleExistsError"] * 3
    assert len(list_schedules(schedule_name_prefix="raced")) == 1


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "cron": ({"schedule": "61 * * * *"}, "'61' is no minute"),
    "never": ({"schedule": "0 0 30 2 *"}, "never fires"),
    "zone": ({"cron_timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
    "name": ({"schedule_name": "  "}, "name is a text of 1 to 200"),
    "long name": ({"schedule_name": "x" * 201}, "name is a text of 1 to 200"),
    "unstorable name": ({"schedule_name": "a\0"}, "name is a text of 1 to 200"),
    "catch-up": ({"catch_up": "some"}, "catch_up is 'none', 'last', 'all' or a number"),
    "catch-up below one": ({"catch_up": 0}, "catch_up is"),
    "catch-up that is no number": ({"catch_up": True}, "catch_up is"),
    "two catch-ups": ({"catch_up": "last", "automatic_backfill": True}, "give one of them"),
    "overlap": ({"overlap": "queue"}, "overlap is one of allow, skip, cancel_previous"),
    "option": ({"priority": 3}, "unknown option 'priority'"),
    "queue": ({"queue_name": ""}, "queue's name"),
    "class": ({"workflow_class_name": "Reports"}, "not with a function"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_definition_is_refused_and_nothing_is_written(what: str) -> None:
    """226. With a sentence that names what is wrong; a ValueError."""
    given, sentence = BAD[what]
    with pytest.raises(InvalidOptionError, match=sentence):
        create(**given)
    assert not Schedule.objects.exists()


def test_what_cannot_be_started_cannot_be_scheduled() -> None:
    """226. A function without decorator, an instance method, a context that cannot be stored."""
    with pytest.raises(WorkflowFunctionNotFoundError, match="is not a workflow"):
        create(workflow_fn=found)
    for method in (Report.write, Report("annual").write):
        with pytest.raises(InvalidOptionError, match="instance method"):
            create(workflow_fn=method)
    with pytest.raises(SerializationError, match="a schedule's context"):
        create(context=object())
    assert not Schedule.objects.exists()


def test_the_queue_must_exist() -> None:
    """226, 230. In the database, or in the code; the default one always does."""
    with pytest.raises(NonExistentQueueError, match="'reports'"):
        create(queue_name="reports")
    register_queue("reports", concurrency=1)
    create(queue_name="reports")
    create("other", queue_name="default")
    assert found().queue_name == "reports"
    register_queue("per-customer", partition_concurrency=1)
    with pytest.raises(InvalidOptionError, match="'per-customer' is partitioned"):
        create("third", queue_name="per-customer")


def test_a_workflow_that_this_process_does_not_know_is_scheduled_by_its_name(fire: Fire) -> None:
    """226. Its runs wait for a worker that knows it."""
    create(workflow_fn="elsewhere", workflow_class_name="Reports", schedule="* * * * *")
    (started,) = fire(minutes=1)
    run = Workflow.objects.get(workflow_id=started)
    assert (run.name, run.class_name, run.status) == ("elsewhere", "Reports", "ENQUEUED")


def test_a_schedule_belongs_to_the_transaction_it_is_made_in() -> None:
    """226. Rolled back, it never was."""
    with pytest.raises(RuntimeError), transaction.atomic():
        create()
        assert get_schedule("nightly") is not None
        raise RuntimeError
    assert get_schedule("nightly") is None


# Applying


def test_applying_creates_and_changes_and_keeps_what_is_not_the_definitions(fire: Fire) -> None:
    """233. Id, status and last tick stay; options left out are cleared."""
    create(
        "kept", schedule="* * * * *", context=1, catch_up="all", overlap="skip", cron_timezone="Asia/Tokyo"
    )
    create("paused", schedule="* * * * *")
    create("other")
    fire(minutes=1)
    pause_schedule("paused")
    before = {one.schedule_name: one for one in list_schedules()}

    apply_schedules(
        [
            {"schedule_name": "new", "workflow_fn": weekly, "schedule": "0 0 * * 0"},
            {"schedule_name": "kept", "workflow_fn": weekly, "schedule": "0 * * * *"},
            {"schedule_name": "paused", "workflow_fn": weekly, "schedule": "0 * * * *"},
        ]
    )

    after = {one.schedule_name: one for one in list_schedules()}
    assert after.keys() == {"new", "kept", "paused", "other"}
    assert after["other"] == before["other"]
    kept = after["kept"]
    assert (kept.schedule_id, kept.status) == (before["kept"].schedule_id, "ACTIVE")
    assert kept.last_fired_at == before["kept"].last_fired_at is not None
    assert (kept.workflow_name, kept.schedule) == ("weekly", "0 * * * *")
    assert (kept.context, kept.catch_up, kept.overlap, kept.cron_timezone) == (None, "none", "allow", None)
    assert kept.next_at == datetime(2025, 6, 1, 13, tzinfo=UTC)
    assert (after["paused"].status, after["paused"].next_at) == ("PAUSED", None)


def test_applying_the_same_again_changes_nothing_that_matters(noon: datetime) -> None:
    """233. The next tick stays due: a deployment every minute must not put it off for ever."""
    same: Any = {"schedule_name": "hourly", "workflow_fn": nightly, "schedule": "0 * * * *"}
    apply_schedules([same])
    clock.advance(timedelta(hours=1, seconds=30))
    apply_schedules([same])
    assert found("hourly").next_at == noon + timedelta(hours=1)


def test_all_are_applied_or_none() -> None:
    """233. A bad one, a missing field, a name given twice, a queue that is not there."""
    good: Any = {"schedule_name": "good", "workflow_fn": nightly, "schedule": "0 3 * * *"}
    bad: list[tuple[Any, type[Exception], str]] = [
        ({**good, "schedule_name": "bad", "schedule": "x"}, InvalidOptionError, "fields"),
        ({"schedule_name": "bad", "schedule": "0 3 * * *"}, InvalidOptionError, "needs 'workflow_fn'"),
        ("bad", InvalidOptionError, "a schedule is a dict"),
        (good, InvalidOptionError, "same name"),
        ({**good, "schedule_name": "bad", "queue_name": "none"}, NonExistentQueueError, "none"),
    ]
    for other, error, sentence in bad:
        with pytest.raises(error, match=sentence):
            apply_schedules([good, other])
        assert not Schedule.objects.exists()


def test_many_may_apply_the_same_set_at_once() -> None:
    """233. Four processes that start together with the same schedules, in any order."""
    inputs: list[Any] = [
        {"schedule_name": f"s{n}", "workflow_fn": nightly, "schedule": f"{n} * * * *"} for n in range(6)
    ]
    answers = raced(*(lambda turn=turn: apply_schedules(inputs[turn:] + inputs[:turn]) for turn in range(4)))
    assert answers == [None] * 4
    assert [one.schedule for one in list_schedules()] == [f"{n} * * * *" for n in range(6)]


def test_others_are_deleted_only_if_asked() -> None:
    """233. Then those are left that were given."""
    create("old")
    wanted: Any = [{"schedule_name": "new", "workflow_fn": nightly, "schedule": "0 3 * * *"}]
    apply_schedules(wanted)
    assert [one.schedule_name for one in list_schedules()] == ["new", "old"]
    apply_schedules(wanted, delete_others=True)
    assert [one.schedule_name for one in list_schedules()] == ["new"]


# Pausing and deleting


def test_a_paused_schedule_does_not_fire_and_a_resumed_one_goes_on(fire: Fire) -> None:
    """234. By default what would have fired meanwhile is gone."""
    create(schedule="* * * * *")
    pause_schedule("nightly")
    pause_schedule("nightly")
    assert (found().status, found().next_at) == ("PAUSED", None)
    assert fire(minutes=5) == []

    resume_schedule("nightly")
    resume_schedule("nightly")
    assert found().status == "ACTIVE"
    assert fire(minutes=1) == ["sched-nightly-2025-06-01T12:06:00+00:00"]


def test_a_schedule_that_is_not_there_cannot_be_paused_but_deleted() -> None:
    """234. Deleting it is what one wanted."""
    for verb in (pause_schedule, resume_schedule):
        with pytest.raises(NonExistentScheduleError, match="'gone' does not exist"):
            verb("gone")
    delete_schedule("gone")
    create()
    delete_schedule("nightly")
    assert get_schedule("nightly") is None


def test_a_deleted_schedule_leaves_its_runs(fire: Fire) -> None:
    """234. History is not the schedule's to take along."""
    create(schedule="* * * * *")
    (started,) = fire(minutes=1)
    delete_schedule("nightly")
    assert fire(minutes=1) == []
    assert Workflow.objects.get().workflow_id == started


# Looking


def test_schedules_are_listed_by_name_and_filtered() -> None:
    """240. One value or several; conditions are combined."""
    create("a1")
    create("b1", workflow_fn=weekly)
    create("a2", workflow_fn=weekly)
    pause_schedule("a2")

    def names(**filters: Any) -> list[str]:
        return [one.schedule_name for one in list_schedules(**filters)]

    assert names() == ["a1", "a2", "b1"]
    assert names(status="PAUSED") == ["a2"]
    assert names(status=["PAUSED", "ACTIVE"]) == ["a1", "a2", "b1"]
    assert names(workflow_name="weekly") == ["a2", "b1"]
    assert names(workflow_name=["weekly", "nightly"]) == ["a1", "a2", "b1"]
    assert names(schedule_name_prefix="a") == ["a1", "a2"]
    assert names(schedule_name_prefix=["b", "a2"]) == ["a2", "b1"]
    assert names(schedule_name_prefix=[]) == []
    assert names(schedule_name_prefix="a", workflow_name="weekly", status="ACTIVE") == []


def test_what_cannot_be_read_is_shown_as_it_is(noon: datetime) -> None:
    """240. A listing never fails: not for a context, a zone or an expression of somebody else's making."""
    create()
    Schedule.objects.update(context='{"$t":"spaceship","v":1}', timezone="Mars/Olympus", last_fired_at=noon)
    schedule = found()
    assert schedule.context == '{"$t":"spaceship","v":1}'
    assert schedule.last_fired_at == noon
    assert list_schedules() == [schedule]


def test_a_name_that_no_schedule_can_have_is_refused() -> None:
    """234. Asking for it is a mistake."""
    with pytest.raises(InvalidOptionError, match="schedule's name"):
        get_schedule("")


# The twins


def test_the_twins_do_the_same() -> None:
    """226, 234, 240. On an event loop, with the same parameters."""

    async def go() -> None:
        await acreate_schedule(schedule_name="a", workflow_fn=nightly, schedule="0 3 * * *")
        await apause_schedule("a")
        schedule = await aget_schedule("a")
        assert schedule is not None
        assert schedule.status == "PAUSED"
        await aresume_schedule("a")
        assert [one.status for one in await alist_schedules()] == ["ACTIVE"]
        await aapply_schedules([{"schedule_name": "a", "workflow_fn": nightly, "schedule": "0 4 * * *"}])
        assert [one.schedule for one in await alist_schedules()] == ["0 4 * * *"]
        await adelete_schedule("a")
        assert await alist_schedules() == []

    async_to_sync(go)()


def test_a_blocking_verb_on_an_event_loop_names_its_twin() -> None:
    """65. As every other verb does."""

    async def go() -> None:
        get_schedule("a")

    with pytest.raises(SynchronousCallError, match="aget_schedule"):
        async_to_sync(go)()
