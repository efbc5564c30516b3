"""Endless runs: the function begins anew, its old steps are dropped, and the run stays the same."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app import (
    ContinuedAsNew,
    InvalidOptionError,
    InvalidTransitionError,
    NotAllowedInStepError,
    NotInWorkflowError,
    SerializationError,
    SetWorkflowID,
    acontinue_as_new,
    arecv,
    cancel_workflow,
    compensate,
    continue_as_new,
    fork_workflow,
    gather,
    get_event,
    get_progress,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    progress,
    read_stream,
    recv,
    rewind_workflow,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    transaction,
    workflow,
    write_stream,
)
from durable_app.models import EventHistory, Message, Receipt, Status, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, execute_again, step_names, wait_for_status, wait_until
from tests.shop.models import Effect

SEEN: list[Any] = []
spinning = threading.Event()


@pytest.fixture(autouse=True)
def nothing_seen_yet() -> None:
    SEEN.clear()
    spinning.clear()


@step(name="new.note")
def note(what: Any) -> Any:
    SEEN.append(what)
    return what


@workflow(name="new.counts_down")
def counts_down(left: int, sum_so_far: int = 0) -> int:
    note(left)
    if left:
        continue_as_new(left - 1, sum_so_far=sum_so_far + left)
    return sum_so_far


@workflow(name="new.acounts_down")
async def acounts_down(left: int, sum_so_far: int = 0) -> int:
    await note.acall(left)
    if left:
        await acontinue_as_new(left - 1, sum_so_far=sum_so_far + left)
    return sum_so_far


BOTH = pytest.mark.parametrize("func", [counts_down, acounts_down])


@workflow(name="new.gathers_letters")
def gathers_letters(found: list[str]) -> list[str]:
    """Receive two messages a round; end with the word "end"."""
    found = [*found, recv("letters", 3600), recv("letters", 3600)]
    if "end" not in found:
        continue_as_new(found)
    return found


@workflow(name="new.agathers_letters")
async def agathers_letters(found: list[str]) -> list[str]:
    found = [*found, await arecv("letters", 3600), await arecv("letters", 3600)]
    if "end" not in found:
        await acontinue_as_new(found)
    return found


@workflow(name="new.child")
def child(number: int) -> int:
    return number * 10


@transaction(using="other")
def ship(number: int) -> int:
    Effect.objects.using("other").create(workflow_id="new", step=str(number))
    return number


@workflow(name="new.does_everything")
def does_everything(left: int, found: list[Any]) -> list[Any]:
    handle = start_workflow(child, left)
    set_event("left", left)
    set_event(f"only {left}", left)
    write_stream("log", left)
    progress(3 - left, 3)
    shipped = ship(left)
    sleep(0.01)
    found = [*found, (handle.workflow_id, handle.get_result(), shipped)]
    if left:
        continue_as_new(left - 1, found)
    return found


@workflow(name="new.crashes_in_its_second_round")
def crashes_in_round_two(number: int = 1) -> Any:
    note(number)
    if number == 1:
        continue_as_new(2)
    if SEEN.count(2) == 1:
        raise Crash
    return note("last")


@workflow(name="new.spins")
def spins(rounds: int) -> int:
    note(rounds)
    if not spinning.is_set():
        continue_as_new(rounds + 1)
    return rounds


@workflow(name="new.undoes")
def undoes(number: int = 1) -> None:
    compensate(note, f"undo {number}")
    if number == 1:
        continue_as_new(2)
    raise ValueError("second round")


@workflow(name="new.awaits")
def awaits_the_end(left: int) -> int:
    return start_workflow(counts_down, left).get_result()


@step
def continue_in_a_step() -> None:
    continue_as_new()


@workflow(name="new.misuses")
def misuses(how: str) -> None:
    if how == "step":
        continue_in_a_step()
    if how == "branch":
        gather(lambda: continue_as_new("branch"))
    continue_as_new(object())


def finish(run: str) -> Any:
    with Worker(threads=2):
        return get_result(run, timeout=60)


def started(func: Any, *args: Any) -> str:
    with SetWorkflowID("w"):
        return str(start_workflow(func, *args).workflow_id)


@pytest.mark.django_db(transaction=True)
@BOTH
def test_the_function_begins_anew_and_the_history_stays_short(func: Any) -> None:
    """The last round's value is the run's; of the others, only how many there were is left."""
    started(func, 20)
    before = Workflow.objects.get()
    assert finish("w") == sum(range(21))
    assert list(range(20, -1, -1)) == SEEN
    assert step_names("w") == [(40, "durable.continueAsNew"), (41, "new.note")]
    assert list_workflow_steps("w")[0].output == 21
    after = Workflow.objects.get()
    assert (after.pk, after.created_at, after.status) == (before.pk, before.created_at, Status.SUCCESS)
    assert (after.recovery_attempts, after.attempt) == (0, 21)
    shown = get_workflow_status("w")
    assert shown is not None and shown.input["args"] == [0]
    execute_again("w")
    assert finish("w") == sum(range(21))
    assert len(SEEN) == 21


@pytest.mark.django_db
def test_a_direct_call_goes_on_in_its_callers_thread() -> None:
    """In a test's transaction too; what the caller gets is the end of it all."""
    assert counts_down(3) == 6
    assert async_to_sync(acounts_down.acall)(3) == 6


@pytest.mark.django_db(transaction=True)
def test_whoever_waits_for_the_run_waits_for_its_end(settings: Any) -> None:
    """A handle and a parked parent refer to the same run all the time."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    handle = start_workflow(awaits_the_end, 10)
    with Worker(threads=2):
        assert handle.get_result(timeout=60) == 55


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("func", [gathers_letters, agathers_letters])
def test_messages_are_neither_lost_nor_received_again(func: Any, settings: Any) -> None:
    """147, 152. What was not received stays; what was is gone, but for keys that guard against repeats."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0), "ASYNC_PARK_AFTER": timedelta(0)}
    started(func, [])
    for letter in "abc":
        send("w", letter, "letters", idempotency_key=letter)
    with Worker(threads=2) as worker:
        wait_for_status("w", Status.WAITING)
        wait_until(lambda: worker.busy == 0)
        for letter in ("a", "d", "e", "f", "g", "end"):
            send("w", letter, "letters", idempotency_key="a" if letter == "a" else None)
        assert get_result("w", timeout=60) == ["a", "b", "c", "d", "e", "f", "g", "end"]
    kept = Message.objects.order_by("id").values_list("value", flat=True)
    assert list(kept) == ['"a"', '"b"', '"c"', '"g"', '"end"']


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_everything_else_of_the_run_goes_on() -> None:
    """30, 66, 153, 161. Positions go on counting: children, receipts and effects are new in each round."""
    started(does_everything, 2, [])
    found = finish("w")
    children = [one[0] for one in found]
    assert len(set(children)) == 3 and all(one.startswith("w-") for one in children)
    assert [one[1:] for one in found] == [(20, 2), (10, 1), (0, 0)]
    shipped = Effect.objects.using("other").filter(workflow_id="new").order_by("pk")
    assert list(shipped.values_list("step", flat=True)) == ["2", "1", "0"]
    assert not Receipt.objects.using("other").exists()
    assert list(read_stream("w", "log")) == [2, 1, 0]
    assert [get_event("w", key, 0) for key in ("left", "only 2", "only 0")] == [0, 2, 0]
    last = get_progress("w")
    assert last is not None and last.done == 3
    assert sorted(EventHistory.objects.values_list("key", "value")) == [
        ("left", "0"),
        ("left", "1"),
        ("only 0", "0"),
        ("only 1", "1"),
        ("only 2", "2"),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_recovered_run_counts_from_where_its_round_began() -> None:
    """84, F01. The step that is left of the old history tells the next execution."""
    with SetWorkflowID("w"):
        crash(crashes_in_round_two)
    assert step_names("w") == [(2, "durable.continueAsNew"), (3, "new.note")]
    SEEN.append(2)
    assert finish("w") == "last"
    assert SEEN == [1, 2, 2, "last"]
    assert step_names("w") == [(2, "durable.continueAsNew"), (3, "new.note"), (4, "new.note")]


@pytest.mark.django_db(transaction=True)
def test_a_swallowed_continuation_is_raised_again_by_every_durable_call() -> None:
    """294. No ``except Exception`` catches it; a body that goes on all the same can do nothing any more."""

    @workflow(name="new.swallows_all")
    def swallows_all(number: int = 1) -> str:
        if number == 2:
            return "second round"
        try:
            continue_as_new(2)
        except Exception:  # noqa: BLE001  (what users write, and what does not catch it)
            SEEN.append("caught")
        except BaseException:  # noqa: BLE001
            SEEN.append("swallowed")
        try:
            note("too late")
        except ContinuedAsNew as error:
            SEEN.append(error.workflow_id)
        return "first round"

    started(swallows_all)
    assert finish("w") == "second round"
    assert SEEN == ["swallowed", "w"]


@pytest.mark.django_db(transaction=True)
def test_a_draining_worker_is_not_held_up_by_a_run_that_never_ends() -> None:
    """It parks between two rounds, and the next worker goes on."""
    started(spins, 1)
    with Worker(threads=1) as worker:
        wait_until(lambda: len(SEEN) > 3)
        worker.quiet()
        wait_until(lambda: worker.busy == 0)
    assert Workflow.objects.get().status in (Status.WAITING, Status.ENQUEUED)
    assert Workflow.objects.get().recovery_attempts == 0
    spinning.set()
    assert finish("w") == SEEN[-1]
    assert list(range(1, len(SEEN) + 1)) == SEEN


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_does_not_go_on() -> None:
    """100, 101. The hand-over is a write like any other: fenced."""
    started(spins, 1)
    with Worker(threads=1) as worker:
        wait_until(lambda: len(SEEN) > 3)
        cancel_workflow("w")
        wait_until(lambda: worker.busy == 0)
    assert Workflow.objects.get().status == Status.CANCELLED


@pytest.mark.django_db(transaction=True)
def test_what_earlier_rounds_have_done_is_done() -> None:
    """Compensations do not outlive the round that registered them."""
    started(undoes)
    with pytest.raises(ValueError, match="second round"):
        finish("w")
    assert SEEN == ["undo 2"]
    with pytest.raises(InvalidTransitionError, match="what step 3 stands for is undone"):
        fork_workflow("w", 4)
    assert fork_workflow("w", 3).workflow_id


@pytest.mark.django_db(transaction=True)
def test_forks_and_rewinds_stay_within_the_round() -> None:
    """112, 124. Step 1 is the round's first: what came before it is gone."""
    started(counts_down, 2)
    assert finish("w") == 3
    assert step_names("w") == [(4, "durable.continueAsNew"), (5, "new.note")]
    copies = [fork_workflow("w", start).workflow_id for start in (1, 5, 6)]
    SEEN.clear()
    with Worker(threads=2):
        assert [get_result(copy, timeout=60) for copy in copies] == [3, 3, 3]
    assert SEEN == [0, 0]
    for copy in copies:
        assert step_names(copy) == [(4, "durable.continueAsNew"), (5, "new.note")]
    rewind_workflow("w", 1)
    assert step_names("w") == [(4, "durable.continueAsNew")]
    assert finish("w") == 3
    assert SEEN == [0, 0, 0]


@pytest.mark.django_db(transaction=True)
def test_a_replay_that_leaves_too_early_is_changed_code() -> None:
    """59. Steps were recorded behind the place where the code now begins anew."""
    early: list[bool] = []

    @workflow(name="new.leaves")
    def leaves(number: int = 1) -> int:
        if early:
            continue_as_new(2)
        note(number)
        return number

    started(leaves)
    assert finish("w") == 1
    early.append(True)
    execute_again("w")
    with Worker(threads=1):
        wait_for_status("w", Status.WAITING)
    assert "'new.note'" in Workflow.objects.get().waiting_for


@pytest.mark.django_db
def test_misuse_is_told_at_the_call() -> None:
    """In a body, with arguments that can be stored."""
    for verb in (continue_as_new, acontinue_as_new):
        with pytest.raises(NotInWorkflowError, match="must be called from within a workflow"):
            verb()
    cases: list[tuple[str, type[Exception]]] = [
        ("step", NotAllowedInStepError),
        ("branch", InvalidOptionError),
        ("value", SerializationError),
    ]
    for how, error in cases:
        with pytest.raises(error):
            misuses(how)
