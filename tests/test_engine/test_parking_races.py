"""No wake-up is lost: the news arrives while the run parks."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from durable_app import (
    AwaitedWorkflowCancelledError,
    SetWorkflowID,
    cancel_workflow,
    get_event,
    get_result,
    recv,
    send,
    set_event,
    start_workflow,
    step,
    workflow,
    workflow_id,
)
from durable_app.store import messages, waits
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, wait_for_status

gate = threading.Event()


@pytest.fixture(autouse=True)
def parks_at_once(settings: Any) -> None:
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    gate.clear()


@pytest.fixture
def worker(worker: Worker) -> Iterator[Worker]:
    """Open the gate before the worker waits for its runs to end."""
    yield worker
    gate.set()


@step
def pass_the_gate() -> None:
    assert gate.wait(60)


@workflow(name="races.receives")
def receives() -> Any:
    return recv("go", timeout_seconds=3600)


@workflow(name="races.receives_two")
def receives_two() -> list[Any]:
    return [recv("go", timeout_seconds=3600), recv("go", timeout_seconds=3600)]


@workflow(name="races.reads_event")
def reads_event(target: str) -> Any:
    return get_event(target, "key", timeout_seconds=3600)


@workflow(name="races.sets_event")
def sets_event(value: str) -> None:
    set_event("key", value)


@workflow(name="races.sets_event_behind_the_gate")
def sets_event_behind_the_gate(value: str) -> None:
    pass_the_gate()
    set_event("key", value)


@workflow(name="races.awaits")
def awaits(target: str) -> Any:
    return get_result(target)


@workflow(name="races.quick_child")
def quick_child(what: int) -> int:
    return what


@workflow(name="races.awaits_quick_child")
def awaits_quick_child(what: int) -> int:
    return start_workflow(quick_child, what).get_result()


@workflow(name="races.gated")
def gated() -> str:
    pass_the_gate()
    return "through"


def chased(runs: int, bring: Callable[[str, random.Random], None], start: Callable[[int], str]) -> list[str]:
    """Start runs and bring each its news from one of three threads, at random moments."""
    ids = [start(number) for number in range(runs)]
    dice = random.Random(runs)
    order = ids[:]
    dice.shuffle(order)

    def work(mine: list[str], seed: int) -> None:
        own = random.Random(seed)
        for one in mine:
            bring(one, own)

    chasers = [in_thread(work, order[number::3], number) for number in range(3)]
    for chaser in chasers:
        chaser.result(60)
    return ids


@pytest.mark.django_db(transaction=True)
def test_no_message_is_lost_however_it_meets_the_parking(worker: Worker) -> None:
    """148, 150. A hundred runs get two messages each while they start, park and wake."""

    def bring(run: str, dice: random.Random) -> None:
        for number in range(2):
            threading.Event().wait(dice.random() * 0.01)
            send(run, number, "go")

    ids = chased(100, bring, lambda _: start_workflow(receives_two).workflow_id)
    assert [get_result(one, timeout=60) for one in ids] == [[0, 1]] * 100


@pytest.mark.django_db(transaction=True)
def test_no_event_is_lost_however_it_meets_the_parking(worker: Worker) -> None:
    """155, 159. A hundred readers park while the runs that set their events execute."""

    def start(number: int) -> str:
        return start_workflow(reads_event, f"setter-{number}").workflow_id

    numbers: dict[str, int] = {}

    def bring(run: str, dice: random.Random) -> None:
        with SetWorkflowID(f"setter-{numbers[run]}"):
            sets_event(run)

    def start_and_remember(number: int) -> str:
        run = start(number)
        numbers[run] = number
        return run

    ids = chased(100, bring, start_and_remember)
    assert [get_result(one, timeout=60) for one in ids] == ids


@pytest.mark.django_db(transaction=True)
def test_no_childs_end_is_lost_however_it_meets_the_parking(worker: Worker) -> None:
    """32. A hundred parents park for children that end at once."""
    handles = [start_workflow(awaits_quick_child, number) for number in range(100)]
    assert [handle.get_result(timeout=80) for handle in handles] == list(range(100))


class Collision:
    """Brings the news on another thread at the very moment at which a run looks for them, parking."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, moment: str, bring: Callable[[], Any]) -> None:
        self.when, name = moment.split()
        self.bring = bring
        self.brought: Future[Any] | None = None
        self.original = getattr(waits, name)
        monkeypatch.setattr(waits, name, self)

    def __call__(self, *args: Any) -> Any:
        if self.when == "before":
            self.collide()
        answer = self.original(*args)
        if self.when == "after":
            self.collide()
        return answer

    def collide(self) -> None:
        """Bring the news: at once, or (where a lock forbids it) when the run has parked."""
        if self.brought is None:
            self.brought = in_thread(self.bring)
            with contextlib.suppress(TimeoutError):
                self.brought.result(0.2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["before fence", "after fence", "before _has_come", "after _has_come"])
@pytest.mark.parametrize("kind", ["message", "event", "result", "cancelled"])
def test_news_at_the_moment_of_parking_wake_the_run(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, moment: str, kind: str
) -> None:
    """150, 159. Before, between and after the checks of parking: whenever the news come, they count."""
    with SetWorkflowID("other"):
        start_workflow(sets_event_behind_the_gate if kind == "event" else gated, *["news"][: kind == "event"])
    wait_for_status("other", "PENDING")
    bring: dict[str, Callable[[], Any]] = {
        "message": lambda: send("waiter", "news", "go"),
        "event": gate.set,
        "result": gate.set,
        "cancelled": lambda: cancel_workflow("other"),
    }
    collision = Collision(monkeypatch, moment, bring[kind])
    run: dict[str, tuple[Any, ...]] = {"message": (receives,), "event": (reads_event, "other")}
    with SetWorkflowID("waiter"):
        waiter = start_workflow(*run.get(kind, (awaits, "other")))
    if kind == "cancelled":
        with pytest.raises(AwaitedWorkflowCancelledError):
            waiter.get_result(timeout=60)
    else:
        assert waiter.get_result(timeout=60) == ("through" if kind == "result" else "news")
    assert collision.brought is not None
    collision.brought.result(60)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("moment", ["before _has_come", "after _lock_target", "after _has_come"])
def test_a_run_that_appears_at_the_moment_of_parking_wakes_its_readers(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """155. The event's run does not exist when the reader begins to park, and has ended when it has."""

    def bring() -> None:
        with SetWorkflowID("other"):
            sets_event("news")

    collision = Collision(monkeypatch, moment, bring)
    waiter = start_workflow(reads_event, "other")
    assert waiter.get_result(timeout=30) == "news"
    assert collision.brought is not None
    collision.brought.result(60)


@pytest.mark.django_db(transaction=True)
def test_a_message_in_an_open_transaction_is_not_missed(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """147, 177. The run parks while the sender's transaction is open; its commit wakes the run."""
    looked = threading.Event()
    look = messages.has_message

    def look_and_tell(*args: Any) -> bool:
        found = look(*args)
        looked.set()
        return found

    @workflow(name="races.receives_behind_the_gate")
    def receives_behind_the_gate() -> Any:
        assert gate.wait(60)
        return [workflow_id(), recv("go", timeout_seconds=3600)]

    monkeypatch.setattr(messages, "has_message", look_and_tell)
    with SetWorkflowID("waiter"):
        waiter = start_workflow(receives_behind_the_gate)
    wait_for_status("waiter", "PENDING")
    with transaction.atomic():
        send("waiter", "news", "go")
        gate.set()
        assert looked.wait(60)
    assert waiter.get_result(timeout=60) == ["waiter", "news"]
