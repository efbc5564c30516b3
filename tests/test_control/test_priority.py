"""Who is first in a queue: an operator's change of a run's priority."""

from typing import Any

import pytest

from durable_app import InvalidOptionError, SetEnqueueOptions, SetWorkflowID, enqueue, workflow
from durable_app.control.actors import Actor
from durable_app.control.operator import LOWEST, Operator
from durable_app.models import AuditEvent, Status, Workflow
from durable_app.store import lifecycle
from durable_app.worker.worker import Worker
from tests.racing import raced
from tests.test_admin.pages import made

ME = Operator(actor=Actor.at_terminal("me"), reason="urgent")

ran: list[int] = []


@workflow
def in_order(number: int) -> None:
    ran.append(number)


@pytest.mark.django_db(transaction=True)
def test_the_lowest_number_is_taken_first() -> None:
    """Of what stands in the queue already."""
    ran.clear()
    handles = []
    for number in range(3):
        with SetWorkflowID(f"priority-{number}"), SetEnqueueOptions(priority=5):
            handles.append(enqueue("default", in_order, number))
    ME.set_priority(["priority-2"], priority=1)
    ME.set_priority(["priority-0"], priority=LOWEST)
    with Worker(threads=1):
        for handle in handles:
            handle.get_result(timeout=30)
    assert ran == [2, 1, 0]
    event = AuditEvent.objects.filter(target_id="priority-2").get()
    assert (event.verb, event.details, event.reason) == ("set_priority", {"priority": 1}, "urgent")


@pytest.mark.django_db
@pytest.mark.parametrize("status", list(Status))
def test_a_run_that_a_worker_has_or_that_has_ended_keeps_its_priority(status: str) -> None:
    """One guarded UPDATE, which leaves the attempt and all else as it was."""
    run = made(status, priority=3)
    before: dict[str, Any] = dict(Workflow.objects.values().get())
    worked = lifecycle.set_priority(run.workflow_id, 9)
    assert worked is (status in ("ENQUEUED", "DELAYED", "WAITING"))
    after: dict[str, Any] = dict(Workflow.objects.values().get())
    changed = {name for name in after if after[name] != before[name]}
    assert changed == ({"priority", "updated_at"} if worked else set())


@pytest.mark.django_db
def test_one_that_is_taken_meanwhile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the deed."""
    run = made(Status.ENQUEUED)

    def taken(workflow_id: str, priority: int) -> bool:
        Workflow.objects.update(status="PENDING")
        return original(workflow_id, priority)

    original = lifecycle.set_priority
    monkeypatch.setattr(lifecycle, "set_priority", taken)
    [result] = ME.set_priority([run.workflow_id], priority=1)
    assert (result.outcome, result.detail) == ("refused", "The run has been taken meanwhile.")


@pytest.mark.django_db(transaction=True)
def test_workers_that_take_runs_whose_priorities_change_take_each_once() -> None:
    """A race of changes with claims: whoever comes first."""
    ran.clear()
    handles = [enqueue("default", in_order, number) for number in range(20)]
    ids = [handle.workflow_id for handle in handles]

    def change(priority: int) -> Any:
        return lambda: [one.outcome for one in ME.set_priority(ids, priority=priority)]

    with Worker(threads=4):
        outcomes = raced(*[change(priority) for priority in (1, 2, 3)])
        for handle in handles:
            handle.get_result(timeout=30)
    assert sorted(ran) == list(range(20))
    assert {one for found in outcomes for one in found} <= {"done", "refused"}


@pytest.mark.parametrize("priority", [-1, LOWEST + 1])
def test_a_number_that_no_database_could_store_is_refused(priority: int) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(InvalidOptionError, match="a priority is a whole number"):
        ME.set_priority(["x"], priority=priority)
