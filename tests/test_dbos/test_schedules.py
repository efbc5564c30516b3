"""Schedules of both generations: `@DBOS.scheduled`, and those made at run time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app.dbos import DBOS, DBOSClient, Queue, ScheduleInput, SetWorkflowID, error
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

YEARLY = "0 0 1 1 *"
EVERY_SECOND = "* * * * * *"


@pytest.fixture
def ticks(dbos: Any) -> list[Any]:
    """Return the arguments of all ticks; the first item is the workflow."""
    found: list[Any] = []

    @DBOS.workflow(name="tick")
    def tick(at, context):
        found.append((at, context))

    found.append(tick)
    return found


def test_a_declared_schedule_fires(dbos):
    """242. From its declaration on, exactly once a second, with two times; the id tells the tick."""
    seen: list[Any] = []

    @DBOS.scheduled(EVERY_SECOND)
    @DBOS.workflow(name="every-second")
    def every_second(scheduled_time, actual_time):
        seen.append((scheduled_time, actual_time))

    wait_until(lambda: len(seen) >= 2)
    DBOS.pause_schedule("every-second")
    runs = DBOS.list_workflows(name="every-second")
    for run in runs:
        assert run.input is not None
        scheduled, actual = run.input["args"]
        assert run.workflow_id == f"sched-every-second-{scheduled.isoformat()}"
        assert run.schedule_name == "every-second"
        assert scheduled.tzinfo is not None and scheduled.microsecond == 0
        assert timedelta(0) <= actual - scheduled < timedelta(seconds=30)
    assert len({run.workflow_id for run in runs}) == len(runs)


def test_steps_and_transactions_are_scheduled(dbos):
    """242. Below the decorator may be any of the three."""
    seen: list[str] = []

    @DBOS.scheduled(YEARLY)
    @DBOS.step(name="a-step")
    def step(scheduled_time, actual_time):
        seen.append("step")

    @DBOS.scheduled(YEARLY)
    @DBOS.transaction(name="a-transaction")
    def transaction(scheduled_time, actual_time):
        seen.append("transaction")

    assert callable(step)
    assert callable(transaction)
    for name in ("a-step", "a-transaction"):
        DBOS.trigger_schedule(name).get_result()
    assert seen == ["step", "transaction"]


def test_a_bad_cron_is_a_value_error(dbos):
    """242. At the declaration."""
    with pytest.raises(ValueError, match="cron"):
        DBOS.scheduled("every day")


def test_a_stored_schedule(ticks):
    """226, 228, 230, 236, 240. Made, shown, triggered, listed, deleted."""
    tick = ticks.pop(0)
    Queue("q")
    DBOS.create_schedule(
        schedule_name="yearly",
        workflow_fn=tick,
        schedule=YEARLY,
        context={"a": 1},
        cron_timezone="Europe/Berlin",
        queue_name="q",
        automatic_backfill=True,
    )
    found = DBOS.get_schedule("yearly")
    assert found is not None
    assert type(found.pop("schedule_id")) is str  # type: ignore[misc]
    assert found == {
        "schedule_name": "yearly",
        "workflow_name": "tick",
        "workflow_class_name": None,
        "schedule": YEARLY,
        "status": "ACTIVE",
        "context": {"a": 1},
        "last_fired_at": None,
        "automatic_backfill": True,
        "cron_timezone": "Europe/Berlin",
        "queue_name": "q",
        "application_name": None,
        "shard_key": None,
    }
    handle = DBOS.trigger_schedule("yearly")
    assert handle.workflow_id.startswith("sched-yearly-trigger-")
    handle.get_result()
    assert handle.get_status().queue_name == "q"
    ((at, context),) = ticks
    assert (context, at.utcoffset() in (timedelta(hours=1), timedelta(hours=2))) == ({"a": 1}, True)
    assert [one["schedule_name"] for one in DBOS.list_schedules(schedule_name_prefix="year")] == ["yearly"]
    assert DBOS.list_schedules(status="PAUSED") == []
    DBOS.delete_schedule("yearly")
    DBOS.delete_schedule("yearly")
    assert DBOS.get_schedule("yearly") is None


def test_pausing(ticks):
    """234. Paused, it fires no more until it is resumed."""
    tick = ticks.pop(0)
    DBOS.create_schedule(schedule_name="s", workflow_fn=tick, schedule=EVERY_SECOND)
    wait_until(lambda: ticks)
    DBOS.pause_schedule("s")
    found = DBOS.get_schedule("s")
    assert found is not None
    assert (found["status"], type(found["last_fired_at"])) == ("PAUSED", str)
    ran = len(DBOS.list_workflows(schedule_name="s"))
    DBOS.resume_schedule("s")
    wait_until(lambda: len(DBOS.list_workflows(schedule_name="s")) > ran)
    DBOS.delete_schedule("s")


def test_backfill(ticks):
    """235. Both ends exclusive; what exists is not run again; ids are those of the ticks."""
    tick = ticks.pop(0)
    DBOS.create_schedule(schedule_name="s", workflow_fn=tick, schedule="0 * * * *")
    start = datetime(2024, 1, 1, 0, 0, tzinfo=UTC)
    for _ in range(2):
        handles = DBOS.backfill_schedule("s", start, start + timedelta(hours=4))
        assert [handle.workflow_id for handle in handles] == [
            f"sched-s-2024-01-01T0{hour}:00:00+00:00" for hour in (1, 2, 3)
        ]
        for handle in handles:
            handle.get_result()
    assert len(ticks) == 3


def test_apply_schedules(ticks):
    """233. All or none; definitions are replaced, ids and states kept."""
    tick = ticks.pop(0)
    one: ScheduleInput = {"schedule_name": "one", "workflow_fn": tick, "schedule": YEARLY, "context": 1}
    two: ScheduleInput = {"schedule_name": "two", "workflow_fn": tick, "schedule": YEARLY}
    DBOS.apply_schedules([one, two])
    DBOS.pause_schedule("one")
    before = DBOS.get_schedule("one")
    with pytest.raises(error.DBOSException, match="cron"):
        DBOS.apply_schedules([{**one, "schedule": "0 0 2 1 *"}, {**two, "schedule": "bad"}])
    assert DBOS.get_schedule("one") == before
    DBOS.apply_schedules([{**one, "schedule": "0 0 2 1 *", "context": None}])
    after = DBOS.get_schedule("one")
    assert before is not None and after == {**before, "schedule": "0 0 2 1 *", "context": None}
    assert len(DBOS.list_schedules()) == 2


def test_what_cannot_be_scheduled(ticks):
    """226, 235, 236."""
    tick = ticks.pop(0)
    made: dict[str, Any] = {"schedule_name": "s", "workflow_fn": tick, "schedule": YEARLY}
    for wrong in ({"schedule": "bad"}, {"cron_timezone": "Nowhere/X"}, {"queue_name": "no-such-queue"}):
        with pytest.raises(error.DBOSException):
            DBOS.create_schedule(**{**made, **wrong})
    DBOS.create_schedule(**made)
    with pytest.raises(error.DBOSException, match="exists already"):
        DBOS.create_schedule(**made)
    now = datetime.now(UTC)
    for call in (lambda: DBOS.trigger_schedule("none"), lambda: DBOS.backfill_schedule("none", now, now)):
        with pytest.raises(error.DBOSException, match="does not exist"):
            call()

    @DBOS.workflow()
    def wrong_place():
        with pytest.raises(error.DBOSException):
            DBOS.trigger_schedule("s")
        with pytest.raises(error.DBOSException):
            DBOS.apply_schedules([])

    with SetWorkflowID("w"):
        wrong_place()
    assert DBOS.list_workflow_steps("w") == []


def test_clients_and_twins(ticks):
    """276. A client names the workflow."""
    ticks.pop(0)
    client = DBOSClient()
    client.create_schedule(schedule_name="s", workflow_name="tick", schedule=YEARLY, context="c")
    client.apply_schedules([{"schedule_name": "t", "workflow_name": "tick", "schedule": YEARLY}])
    assert client.trigger_schedule("s").get_result() is None
    assert [context for _, context in ticks] == ["c"]

    async def main() -> list[str]:
        await DBOS.delete_schedule_async("s")
        return [one["schedule_name"] for one in await client.list_schedules_async()]

    assert async_to_sync(main)() == ["t"]
