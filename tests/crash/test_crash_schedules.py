"""Workers that die while they fire a schedule: each tick has one run, and each run one effect."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from durable_app import create_schedule, pause_schedule
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.crash.conftest import Victim
from tests.helpers import wait_until
from tests.shop.models import Effect
from tests.shop.punctual import strike

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]

PREFIX = "sched-bell-"
SECOND = timedelta(seconds=1)


def create() -> None:
    create_schedule(schedule_name="bell", workflow_fn=strike, schedule="* * * * * *")


def found() -> list[datetime]:
    """Return the ticks that have a run, in order."""
    ids = Workflow.objects.values_list("workflow_id", flat=True)
    return sorted(datetime.fromisoformat(one.removeprefix(PREFIX)) for one in ids)


def settled() -> None:
    """Let what has begun end; then compare ticks, runs and effects."""
    pause_schedule("bell")
    wait_until(lambda: not Workflow.objects.exclude(status="SUCCESS").exists(), timeout=90)
    ticks = found()
    assert ticks == [ticks[0] + n * SECOND for n in range(len(ticks))]
    assert sorted(Effect.objects.values_list("step", flat=True)) == [one.isoformat() for one in ticks]


@pytest.mark.parametrize(("point", "is_kept"), [("firing", False), ("fired", True)])
def test_a_tick_that_its_worker_dies_of_is_fired_once(point: str, is_kept: bool, start: Start) -> None:
    """227. Killed between the insertion and its commit, the tick is due as before; after it, it is done."""
    create()
    start("--at", point).dies()
    assert Workflow.objects.exists() is is_kept
    with Worker(threads=2):
        wait_until(lambda: Workflow.objects.count() >= 3)
        settled()


def test_four_processes_of_which_one_is_killed_fire_each_tick_once(start: Start) -> None:
    """227. Every second, whoever lives; the runs of the dead one are taken over."""
    create()
    workers: list[Any] = [start("--name", f"w{n}", "--threads", 1) for n in range(4)]
    wait_until(lambda: Workflow.objects.filter(status="SUCCESS").count() >= 3, timeout=90)
    workers[0].kill()
    reached = Workflow.objects.count()
    wait_until(lambda: Workflow.objects.count() >= reached + 4, timeout=90)
    settled()
