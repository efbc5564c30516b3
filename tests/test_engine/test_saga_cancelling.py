"""Sagas: what a cancelled or overdue run has done is undone by a run of its own."""

from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    AwaitedWorkflowCancelledError,
    CompensationError,
    InvalidTransitionError,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    cancel_workflow,
    cancel_workflows,
    delete_workflow,
    fork_workflow,
    get_result,
    get_workflow_status,
    resume_workflow,
    rewind_workflow,
    send,
    start_workflow,
    workflow,
)
from durable_app.models import Status, Workflow
from durable_app.registry import UNDO
from durable_app.worker.worker import Worker
from tests.helpers import status, step_names, wait_for_status, wait_until
from tests.shop.trips import (
    BOOKED,
    BROKEN,
    LOG,
    atrip,
    cancelled_in_between,
    trip,
    undone,
)

TRIPS = pytest.mark.parametrize("func", [trip, atrip])


@pytest.fixture(autouse=True)
def new_world() -> None:
    LOG.clear()
    BROKEN.clear()


def started(workflow_id: str, func: Any, *args: Any, **kwargs: Any) -> None:
    with SetWorkflowID(workflow_id):
        start_workflow(func, *args, **kwargs)


def finish(workflow_id: str) -> Any:
    with Worker(threads=2):
        return get_result(workflow_id, timeout=60)


def waiting(workflow_id: str, func: Any) -> None:
    """Let a worker bring the run to where it waits for a message."""
    started(workflow_id, func, ends="waits")
    with Worker(threads=2):
        wait_until(lambda: LOG[-2:] == BOOKED)
        wait_for_status(workflow_id, Status.WAITING)


@pytest.fixture
def parks(settings: Any) -> None:
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(0)}


@pytest.mark.django_db(transaction=True)
@TRIPS
def test_a_cancelled_run_is_undone_by_a_run_of_its_own(func: Any, parks: None) -> None:
    """Enqueued with the cancellation itself, whoever executes the run, or nobody."""
    with SetWorkflowAttributes({"tenant": 7}):
        waiting("w", func)
    cancel_workflow("w")
    companion = get_workflow_status("w-compensation")
    assert companion is not None
    assert (companion.status, companion.name) == (Status.ENQUEUED, f"{UNDO}{func.name}")
    assert (companion.parent_workflow_id, companion.attributes) == ("w", {"tenant": 7})
    assert finish("w-compensation") == 2
    assert [*BOOKED, *undone(func)] == LOG
    assert [name for _, name in step_names("w-compensation")] == [
        f"trips.{one.split()[0]}" for one in undone(func)
    ]
    with pytest.raises(AwaitedWorkflowCancelledError):
        get_result("w", timeout=0)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_executes_is_undone_too() -> None:
    """Its execution learns of the cancellation; the compensation does not wait for it."""
    started("w", trip, ends="waits")
    with Worker(threads=2):
        wait_until(lambda: LOG == BOOKED)
        cancel_workflow("w")
        assert get_result("w-compensation", timeout=60) == 2
    assert [*BOOKED, *undone(trip)] == LOG


@pytest.mark.django_db(transaction=True)
def test_a_run_past_its_deadline_is_undone(parks: None) -> None:
    """A timeout is a cancellation."""
    with SetWorkflowTimeout(1.0):
        started("w", trip, ends="waits")
    with Worker(threads=2):
        wait_for_status("w", Status.CANCELLED)
        assert get_result("w-compensation", timeout=60) == 2
    assert [*BOOKED, *undone(trip)] == LOG


@pytest.mark.django_db(transaction=True)
def test_a_run_that_has_registered_nothing_has_no_companion() -> None:
    """Nor one that never began."""
    started("new", trip)
    started("plain", trip, ends="waits")
    Workflow.objects.filter(workflow_id="plain").update(status=Status.WAITING)
    cancel_workflows(["new", "plain"])
    assert Workflow.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_cancellation_while_the_run_undoes_itself_leaves_the_rest_to_a_companion() -> None:
    """What the run has undone and recorded is not undone again; what it was at is."""
    started("w", cancelled_in_between)
    with Worker(threads=1):
        wait_for_status("w", Status.CANCELLED)
        assert get_result("w-compensation", timeout=60) == 2
    assert LOG == ["unbook last", "unbook first"]
    assert [name for _, name in step_names("w-compensation")] == ["trips.cancel_me", "trips.unbook"]


@pytest.mark.django_db(transaction=True)
def test_a_companion_tells_what_could_not_be_undone_and_can_be_run_again(parks: None) -> None:
    """It ends in ERROR with all failures, and its own tools of recovery hold: here, a rewind."""
    waiting("w", trip)
    BROKEN.add("hotel")
    cancel_workflow("w")
    with pytest.raises(CompensationError, match="1 compensations failed") as caught:
        finish("w-compensation")
    assert caught.value.failures == ["'trips.unbook' failed: ValueError: no way to unbook hotel"]
    assert [*BOOKED, *undone(trip)] == LOG
    BROKEN.clear()
    rewind_workflow("w-compensation", 1)
    assert finish("w-compensation") == 2


@pytest.mark.django_db(transaction=True)
def test_cancelling_a_family_does_not_cancel_its_compensations(parks: None) -> None:
    """105. The companion is the run's child, for people to find it, and is left alone by the cascade."""
    waiting("w", trip)
    cancel_workflow("w", cancel_children=True)
    assert status("w-compensation") == Status.ENQUEUED
    cancel_workflow("w-compensation")
    assert status("w-compensation") == Status.CANCELLED
    delete_workflow("w", delete_children=True)
    assert not Workflow.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_run_is_resumed_until_its_compensation_has_begun(parks: None) -> None:
    """107. Before that the companion is withdrawn; afterwards going on would build on what is gone."""
    waiting("w", trip)
    cancel_workflow("w")
    resume_workflow("w")
    assert status("w-compensation") is None
    assert status("w") == Status.ENQUEUED
    cancel_workflow("w")
    assert finish("w-compensation") == 2
    with pytest.raises(InvalidTransitionError, match="'w-compensation' has begun"):
        resume_workflow("w")
    assert status("w") == Status.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_what_was_undone_must_be_done_again(parks: None) -> None:
    """112, 124. A history is run again from before its first compensation, and is undone again if need be."""
    started("failed", trip)
    with pytest.raises(RuntimeError):
        finish("failed")
    waiting("cancelled", trip)
    cancel_workflow("cancelled")
    finish("cancelled-compensation")
    for run in ("failed", "cancelled"):
        for start in (2, 5):
            with pytest.raises(InvalidTransitionError, match="what step 1 stands for is undone"):
                fork_workflow(run, start)
            with pytest.raises(InvalidTransitionError, match="what step 1 stands for is undone"):
                rewind_workflow(run, start)
    LOG.clear()
    fork = fork_workflow("failed", 1).workflow_id
    rewind_workflow("failed", 1)
    rewind_workflow("cancelled", 1)
    with Worker(threads=2):
        for run in (fork, "failed"):
            with pytest.raises(RuntimeError, match="no seat left"):
                get_result(run, timeout=60)
        wait_for_status("cancelled", Status.WAITING)
        cancel_workflow("cancelled")
        assert get_result("cancelled-compensation-2", timeout=60) == 2
    assert sorted(LOG) == sorted([*BOOKED, *undone(trip)] * 3)


@pytest.mark.django_db(transaction=True)
def test_a_rewind_withdraws_a_compensation_that_has_not_begun(parks: None) -> None:
    """124. Two runs must not do and undo at once."""
    waiting("w", trip)
    cancel_workflow("w")
    Workflow.objects.filter(workflow_id="w-compensation").update(attempt=1, status=Status.PENDING)
    with pytest.raises(InvalidTransitionError, match="before its compensation 'w-compensation' has ended"):
        rewind_workflow("w", 1)
    Workflow.objects.filter(workflow_id="w-compensation").update(attempt=0, status=Status.ENQUEUED)
    rewind_workflow("w", 5)
    assert status("w-compensation") is None
    send("w", "go", "go")
    assert finish("w") == "travelled"


@pytest.mark.django_db(transaction=True)
def test_a_run_without_its_code_is_not_undone_by_who_does_not_know_it(parks: None) -> None:
    """188. The companion waits for a worker that has the workflow, and with it the steps."""
    waiting("w", trip)
    Workflow.objects.filter(workflow_id="w").update(name="sagas.not_here")
    cancel_workflow("w")
    with Worker(threads=1) as worker:
        wait_until(worker.claimer.is_idle)
        assert status("w-compensation") == Status.ENQUEUED
        Workflow.objects.filter(workflow_id="w-compensation").update(name=f"{UNDO}sagas.trip")
        assert get_result("w-compensation", timeout=60) == 2


@pytest.mark.django_db(transaction=True)
def test_ids_and_names_at_their_longest_are_undone_too(parks: None) -> None:
    """17. The companion's id and name fit, whatever the run's are."""
    long_id = "w" * 255

    @workflow(name="n" * 255)
    def long_name(*, ends: str) -> None:
        trip.func(ends=ends)

    waiting(long_id, long_name)
    cancel_workflow(long_id)
    companion = Workflow.objects.get(parent_workflow_id=long_id)
    assert len(companion.workflow_id) <= 255
    assert finish(companion.workflow_id) == 2
