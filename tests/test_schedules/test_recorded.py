"""The verbs of schedules inside a workflow: recorded steps, replayed; some are refused there."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    NonExistentScheduleError,
    NotAllowedInWorkflowError,
    ScheduleExistsError,
    ScheduleInfo,
    SetWorkflowID,
    aapply_schedules,
    abackfill_schedule,
    acreate_schedule,
    aget_schedule,
    alist_schedules,
    apply_schedules,
    atrigger_schedule,
    backfill_schedule,
    create_schedule,
    delete_schedule,
    get_result,
    get_schedule,
    list_schedules,
    pause_schedule,
    resume_schedule,
    step,
    trigger_schedule,
    workflow,
)
from durable_app.models import Schedule, Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, step_names
from tests.test_schedules.conftest import NOON

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def pondered(scheduled_at: datetime, context: Any) -> None:
    """Never run here."""


@workflow
def manage_schedules() -> list[Any]:
    create_schedule(schedule_name="a", workflow_fn=pondered, schedule="0 3 * * *", context={"b": 1})
    pause_schedule("a")
    paused = get_schedule("a")
    resume_schedule("a")
    listed = list_schedules(schedule_name_prefix="a")
    delete_schedule("a")
    return [paused, listed, get_schedule("a")]


def test_each_verb_is_a_step_and_its_value_is_recorded() -> None:
    """239. Replayed, they change nothing and return what they returned."""
    with SetWorkflowID("m"):
        paused, listed, gone = manage_schedules()
    assert isinstance(paused, ScheduleInfo)
    assert (paused.status, paused.context) == ("PAUSED", {"b": 1})
    assert [one.status for one in listed] == ["ACTIVE"]
    assert gone is None
    assert step_names("m") == [
        (1, "durable.createSchedule"),
        (2, "durable.pauseSchedule"),
        (3, "durable.getSchedule"),
        (4, "durable.resumeSchedule"),
        (5, "durable.listSchedules"),
        (6, "durable.deleteSchedule"),
        (7, "durable.getSchedule"),
    ]

    execute_again("m")
    with Worker(threads=1):
        assert get_result("m", timeout=45) == [paused, listed, None]
    assert not Schedule.objects.exists()
    assert Step.objects.count() == 7


@workflow
def err_on_schedules() -> list[str]:
    errors = []
    for verb in (
        lambda: pause_schedule("gone"),
        lambda: create_schedule(schedule_name="taken", workflow_fn=pondered, schedule="0 3 * * *"),
    ):
        try:
            verb()
        except (NonExistentScheduleError, ScheduleExistsError) as error:
            errors.append(f"{type(error).__name__} {error.schedule_name}")
    return errors


def test_their_errors_are_recorded_too() -> None:
    """239. Replayed, they are raised again, though the reason is gone."""
    create_schedule(schedule_name="taken", workflow_fn=pondered, schedule="0 3 * * *")
    with SetWorkflowID("e"):
        expected = err_on_schedules()
    assert expected == ["NonExistentScheduleError gone", "ScheduleExistsError taken"]
    delete_schedule("taken")
    create_schedule(schedule_name="gone", workflow_fn=pondered, schedule="0 3 * * *")

    execute_again("e")
    with Worker(threads=1):
        assert get_result("e", timeout=45) == expected
    assert [one.status for one in list_schedules()] == ["ACTIVE"]


@workflow
def create_one() -> str:
    create_schedule(schedule_name="a", workflow_fn=pondered, schedule="0 3 * * *")
    return "created"


def test_a_schedule_that_was_created_before_a_crash_is_the_workflows_own() -> None:
    """239. The row is there, its record is not: created again, it is no conflict."""
    with SetWorkflowID("c"):
        create_one()
    made = Schedule.objects.get().pk
    Step.objects.all().delete()
    execute_again("c")
    with Worker(threads=1):
        assert get_result("c", timeout=45) == "created"
    assert Schedule.objects.get().pk == made
    assert step_names("c") == [(1, "durable.createSchedule")]


REFUSED: dict[str, Callable[[], Any]] = {
    "apply_schedules": lambda: apply_schedules([]),
    "trigger_schedule": lambda: trigger_schedule("a"),
    "backfill_schedule": lambda: backfill_schedule("a", NOON, NOON),
}


@workflow
def forbidden_verbs() -> list[str]:
    sentences = []
    for verb in REFUSED.values():
        with pytest.raises(NotAllowedInWorkflowError) as caught:
            verb()
        sentences.append(str(caught.value))
    return sentences


@step
def trigger_in_step() -> str:
    return trigger_schedule("a").workflow_id


@workflow
def allowed_in_step() -> str:
    return trigger_in_step()


def test_what_starts_many_runs_is_refused_in_a_workflow_but_not_in_a_step() -> None:
    """233, 235, 236. The sentence names the verb, and no position is taken."""
    assert [one.split("(")[0] for one in forbidden_verbs()] == list(REFUSED)
    assert not Step.objects.exists()

    create_schedule(schedule_name="a", workflow_fn=pondered, schedule="0 3 * * *")
    assert allowed_in_step() == Workflow.objects.get(name="pondered").workflow_id


@workflow
async def amanage_schedules() -> list[Any]:
    await acreate_schedule(schedule_name="a", workflow_fn=pondered, schedule="0 3 * * *")
    found = await aget_schedule("a")
    assert found is not None
    listed = await alist_schedules()
    for refused in (
        lambda: aapply_schedules([]),
        lambda: atrigger_schedule("a"),
        lambda: abackfill_schedule("a", NOON, NOON),
    ):
        with pytest.raises(NotAllowedInWorkflowError):
            await refused()
    return [found.schedule_name, len(listed)]


def test_the_twins_are_recorded_in_the_same_way() -> None:
    """239. In a coroutine workflow."""
    with SetWorkflowID("t"):
        assert async_to_sync(amanage_schedules)() == ["a", 1]
    assert step_names("t") == [
        (1, "durable.createSchedule"),
        (2, "durable.getSchedule"),
        (3, "durable.listSchedules"),
    ]
