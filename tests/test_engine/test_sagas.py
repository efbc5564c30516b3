"""Sagas: a run that fails undoes what it has done, the last first."""

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    ConflictingRegistrationError,
    InvalidOptionError,
    NotAllowedInStepError,
    NotInWorkflowError,
    SerializationError,
    SetWorkflowID,
    WorkflowFunctionNotFoundError,
    acompensate,
    compensate,
    get_result,
    list_workflows,
    send,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Status, Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import crash, execute_again, status, step_names, wait_for_status, wait_until
from tests.shop.models import Effect
from tests.shop.trips import (
    BOOKED,
    BROKEN,
    LOG,
    abranches,
    atrip,
    aunbook,
    branches,
    crashes,
    handles_its_error,
    pays,
    trip,
    unbook,
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
def test_a_failing_run_undoes_itself_and_keeps_its_error(func: Any) -> None:
    """In reverse, as steps of its own below the registrations; the error is the body's."""
    started("w", func)
    with pytest.raises(RuntimeError, match="^no seat left$"):
        finish("w")
    assert [*BOOKED, *undone(func)] == LOG
    assert status("w") == Status.ERROR
    first = "trips.unbook" if func is trip else "trips.aunbook"
    assert step_names("w") == [
        (1, "durable.compensate"),
        ("1.0.1", first),
        (2, "trips.book"),
        (3, "durable.compensate"),
        ("3.0.1", "trips.unbook"),
        (4, "trips.book"),
        (5, "trips.fail"),
    ]
    assert not list_workflows(workflow_id_prefix="w-")


@pytest.mark.django_db(transaction=True)
@TRIPS
def test_a_run_that_succeeds_undoes_nothing(func: Any) -> None:
    """Nor one whose body deals with the error."""
    started("w", func, ends="well")
    assert finish("w") == "travelled"
    with SetWorkflowID("handles"):
        assert handles_its_error() == "handled: no seat left"
    assert LOG == BOOKED


@pytest.mark.django_db
def test_a_directly_called_run_undoes_itself_in_its_callers_thread() -> None:
    """Also inside a test's transaction."""
    with SetWorkflowID("w"), pytest.raises(RuntimeError, match="no seat left"):
        trip()
    assert [*BOOKED, *undone(trip)] == LOG


@pytest.mark.django_db(transaction=True)
def test_each_compensation_is_retried_by_its_own_options() -> None:
    """Steps with retries, and transactions, which commit with their record."""
    started("w", pays)
    with pytest.raises(RuntimeError, match="no money left"):
        finish("w")
    assert ["unbook flight", *["try to unbook hotel"] * 3] == LOG
    assert Effect.objects.filter(workflow_id="refund").count() == 1
    assert Step.objects.get(name="trips.unbook_at_last").tries == 3


@pytest.mark.django_db(transaction=True)
@TRIPS
def test_what_cannot_be_undone_does_not_stop_the_others(func: Any) -> None:
    """It is noted on the original error, which the run ends with, and recorded as a failed step."""
    BROKEN.add("hotel")
    started("w", func)
    with pytest.raises(RuntimeError, match="no seat left") as caught:
        finish("w")
    assert str(caught.value) == "no seat left"
    assert caught.value.__notes__ == [
        "The compensation 'trips.unbook' failed: ValueError: no way to unbook hotel",
    ]
    assert [*BOOKED, *undone(func)] == LOG


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("func", [branches, abranches])
def test_branches_are_undone_by_their_numbers(func: Any) -> None:
    """The order of parallel registrations is that of the branches: the same at every replay."""
    started("w", func)
    with pytest.raises(RuntimeError, match="no seat left"):
        finish("w")
    undone = ["after", "right 2", "right 1", "left 2", "left 1", "before"]
    assert [f"unbook {what}" for what in undone] == LOG


@pytest.mark.django_db(transaction=True)
def test_a_replay_undoes_nothing_twice() -> None:
    """What was undone is recorded; the replayed run ends as before."""
    BROKEN.add("flight")
    started("w", trip)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no seat left") as caught:
            finish("w")
        assert len(caught.value.__notes__) == 1
        execute_again("w")
    assert [*BOOKED, *undone(trip)] == LOG


@pytest.mark.django_db(transaction=True)
def test_a_crash_while_undoing_goes_on_where_it_was() -> None:
    """F01. The last was undone and recorded; the one in flight is undone again, then the first."""
    with SetWorkflowID("w"):
        crash(crashes)
    assert LOG == ["unbook last"]
    Step.objects.filter(name="durable.compensate", position=2).update(
        output='{"step":"trips.unbook","args":["again"],"kwargs":{}}'
    )
    with pytest.raises(RuntimeError, match="no seat left"):
        finish("w")
    assert LOG == ["unbook last", "unbook again", "unbook first"]


@pytest.mark.django_db(transaction=True)
def test_unreadable_arguments_end_a_run_that_is_undone_all_the_same(parks: None) -> None:
    """89. The body cannot run again; what it registered stands in its history."""
    waiting("w", trip)
    Workflow.objects.filter(workflow_id="w").update(inputs="nonsense")
    send("w", "go", "go")
    with pytest.raises(SerializationError):
        finish("w")
    assert [*BOOKED, *undone(trip)] == LOG


@pytest.mark.django_db
def test_misuse_is_told_at_the_call() -> None:
    """The functions that can be found again by name, in a workflow, outside of steps."""
    with pytest.raises(NotInWorkflowError, match=r"^compensate\(\) must be called"):
        compensate(unbook, "flight")
    with pytest.raises(NotInWorkflowError, match=r"^acompensate\(\) must be called"):
        acompensate(unbook, "flight")
    bound: Any = Bound().method
    namesake: Any = step(name="trips.unbook")(plain_function)
    step(name="trips.unbook")(unbook.func)  # the other one, registered last
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: compensate(plain_function), WorkflowFunctionNotFoundError, "takes a function with @step"),
        (lambda: compensate(trip), WorkflowFunctionNotFoundError, "takes a function with @step"),
        (lambda: compensate(bound), WorkflowFunctionNotFoundError, "takes a function with @step"),
        (lambda: compensate(namesake, "x"), ConflictingRegistrationError, "is also that of a function in"),
        (lambda: compensate(aunbook, "x"), InvalidOptionError, "is async"),
        (lambda: compensate(unbook, object()), SerializationError, "compensation 'trips.unbook'"),  # type: ignore[arg-type]
        (lambda: compensate_in_a_step(), NotAllowedInStepError, "compensate_in_a_step"),
    ]
    for call, error, message in cases:

        @workflow(name="sagas.misuse")
        def misuse(call: str = "") -> None:
            CALLS[-1]()

        CALLS.append(call)
        with pytest.raises(error, match=message):
            misuse()
    assert LOG == []


CALLS: list[Any] = []


def plain_function() -> None:
    pass


class Bound:
    @step(name="sagas.bound")
    def method(self) -> None:
        pass


@step
def compensate_in_a_step() -> None:
    compensate(unbook, "flight")


@pytest.mark.django_db
def test_the_blocking_form_on_an_event_loop_names_its_twin() -> None:
    """65. As with every verb."""

    @workflow(name="sagas.blocks")
    async def blocks() -> None:
        compensate(unbook, "flight")

    with pytest.raises(RuntimeError, match="use `await acompensate"):
        async_to_sync(blocks.acall)()
