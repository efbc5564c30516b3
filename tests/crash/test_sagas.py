"""A worker is killed while a run is undone: everything is undone, nothing twice but what was in flight."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_app import SetWorkflowID, SetWorkflowTimeout, cancel_workflow, get_result, start_workflow
from durable_app.models import Status, Step, Workflow
from durable_app.worker.worker import Worker
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger, changes
from tests.helpers import status, wait_for_status
from tests.shop.undoing import failing_trip, waiting_trip

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]


@pytest.fixture(autouse=True)
def parks_at_once(settings: Any) -> None:
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}


DONE = ["book-flight", "book-hotel"]
UNDONE = ["unbook-hotel", "unbook-flight"]


def check(ledger: Ledger, *expected: str) -> None:
    """Each step ran once, in this order; the one in flight at the crash perhaps twice in a row."""
    steps = [one.step for one in ledger.executions()]
    assert max(Counter(steps).values()) <= 2 and len(steps) <= len(expected) + 1, steps
    assert list(dict.fromkeys(steps)) == list(expected)
    again = [index for index in range(1, len(steps)) if steps[index] == steps[index - 1]]
    assert len(steps) == len(expected) + len(again), steps


@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("point", ["before-checkpoint", "after-checkpoint"])
def test_a_crash_at_any_record_of_a_failing_run(point: str, nth: int, start: Start, ledger: Ledger) -> None:
    """98, F01. Registrations, steps and what undoes them: four records on the way, two on the way back."""
    handle = start_workflow(failing_trip, str(ledger))
    start("--at", point, "--nth", nth).dies()
    with Worker(threads=2), pytest.raises(RuntimeError, match="no seat left"):
        handle.get_result(timeout=PATIENCE)
    check(ledger, *DONE, *UNDONE)
    assert Step.objects.filter(name="durable.compensate").count() == 2


@pytest.mark.parametrize("point", ["before-outcome", "after-outcome"])
def test_a_crash_between_the_undoing_and_the_outcome(point: str, start: Start, ledger: Ledger) -> None:
    """95, F01. All is undone and recorded: the replay undoes nothing."""
    handle = start_workflow(failing_trip, str(ledger))
    start("--at", point, "--nth", 1).dies()
    with Worker(threads=2), pytest.raises(RuntimeError, match="no seat left"):
        handle.get_result(timeout=PATIENCE)
    assert [one.step for one in ledger.executions()] == [*DONE, *UNDONE]


def waiting(ledger: Ledger, timeout: float | None) -> int:
    """Let a worker bring a run to where it waits; return its row."""
    with SetWorkflowID("w"), SetWorkflowTimeout(timeout):
        start_workflow(waiting_trip, str(ledger))
    with Worker(threads=1):
        wait_for_status("w", Status.WAITING)
    return int(Workflow.objects.get(workflow_id="w").pk)


@pytest.mark.parametrize("point", ["overdue", "cancelled-overdue"])
def test_a_crash_in_the_cancellation_itself(point: str, start: Start, ledger: Ledger) -> None:
    """131, F01. The run is cancelled and its compensation enqueued, or neither."""
    run = waiting(ledger, 2.0)
    start("--at", point).dies()
    before = status("w"), status("w-compensation")
    both = [(Status.CANCELLED, found) for found in (Status.ENQUEUED, Status.PENDING)]
    assert before in [(Status.WAITING, None), *both]  # another thread may have claimed it by then
    with Worker(threads=2):
        wait_for_status("w-compensation", Status.SUCCESS)
    assert [one.step for one in ledger.executions()] == [*DONE, *UNDONE]
    assert [change.new_status for change in changes(run)].count(Status.CANCELLED) == 1


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("claimed", 1),
        ("before-write", 1),
        ("after-write", 1),
        ("before-write", 2),
        ("after-write", 2),
        ("before-end", 1),
    ],
)
def test_a_crash_of_the_compensating_run(point: str, nth: int, start: Start, ledger: Ledger) -> None:
    """97, F01. It recovers like any other run."""
    waiting(ledger, None)
    cancel_workflow("w")
    start("--at", point, "--nth", nth).dies()
    with Worker(threads=2):
        assert get_result("w-compensation", timeout=PATIENCE) == 2
    check(ledger, *DONE, *UNDONE)
