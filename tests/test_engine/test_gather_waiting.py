"""A branch that waits parks the whole run, and nothing of the other branches is lost."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from durable_app import (
    AwaitedWorkflowCancelledError,
    SetWorkflowID,
    cancel_workflow,
    gather,
    get_event,
    recv,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    workflow,
)
from durable_app.worker.worker import Worker
from tests.helpers import status, step_names, wait_for_status, wait_until

calls: list[str] = []


@pytest.fixture(autouse=True)
def parks_at_once(settings: Any) -> Iterator[None]:
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    calls.clear()
    yield


@step
def note(what: str) -> str:
    calls.append(what)
    return what


def chain(name: str, length: int) -> list[str]:
    return [note(f"{name}{number}") for number in range(1, length + 1)]


@workflow(name="gather.one_waits")
def one_waits() -> list[Any]:
    def waits() -> list[Any]:
        return [note("before"), recv("go", timeout_seconds=3600), note("after")]

    return gather(waits, lambda: chain("b", 3))


@workflow(name="gather.two_wait")
def two_wait() -> list[Any]:
    def one(topic: str) -> Any:
        found = recv(topic, timeout_seconds=3600)
        note(f"got {found}")
        return found

    return gather(lambda: one("a"), lambda: one("b"))


@workflow(name="gather.nested")
def nested() -> list[Any]:
    def inner() -> list[Any]:
        note("x")
        return gather(lambda: note("y"), lambda: gather(lambda: note("z"), lambda: recv("go", 3600)))

    return gather(lambda: note("w"), inner)


@workflow(name="gather.swallows")
def swallows() -> list[Any]:
    def stubborn() -> Any:
        try:
            return recv("go", timeout_seconds=3600)
        except BaseException:  # noqa: BLE001  (what bare `except:` in user code does)
            return "swallowed"

    return gather(stubborn, lambda: note("b"))


@workflow(name="gather.sleeps_and_publishes")
def sleeps_and_publishes() -> list[Any]:
    return gather(lambda: set_event("ready", "yes"), lambda: sleep(3600))


@pytest.mark.django_db(transaction=True)
def test_a_waiting_branch_parks_the_run_and_loses_nothing(worker: Worker) -> None:
    """136, 148, 63. The other branch's steps are recorded; the message wakes the run; nothing repeats."""
    handle = start_workflow(one_waits)
    wait_for_status(handle.workflow_id, "WAITING")
    wait_until(lambda: worker.busy == 0)
    assert handle.get_status().waiting_for == "message go"
    assert sorted(calls) == ["b1", "b2", "b3", "before"]
    send(handle.workflow_id, "now", "go")
    assert handle.get_result(timeout=60) == [["before", "now", "after"], ["b1", "b2", "b3"]]
    assert sorted(calls) == ["after", "b1", "b2", "b3", "before"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_parked_gather_is_woken_by_any_of_its_branches(worker: Worker, order: str) -> None:
    """151. Two branches wait for different messages; either wakes the run, and it parks again."""
    handle = start_workflow(two_wait)
    for topic in order:
        wait_for_status(handle.workflow_id, "WAITING")
        send(handle.workflow_id, topic.upper(), topic)
        wait_until(partial(calls.__contains__, f"got {topic.upper()}"), what=f"branch {topic} to go on")
    assert handle.get_result(timeout=60) == ["A", "B"]
    assert sorted(calls) == ["got A", "got B"]


@pytest.mark.django_db(transaction=True)
def test_gathers_nest(worker: Worker) -> None:
    """63. Each level has its own positions; a wait three levels down parks and wakes the run."""
    with SetWorkflowID("g"):
        handle = start_workflow(nested)
    wait_for_status("g", "WAITING")
    assert sorted(calls) == ["w", "x", "y", "z"]
    send("g", "late", "go")
    assert handle.get_result(timeout=60) == ["w", ["y", ["z", "late"]]]
    assert sorted(calls) == ["w", "x", "y", "z"]
    assert [step_id for step_id, name in step_names("g") if name == "note"] == [
        "1.1.1",
        "1.2.1",
        "1.2.2.1.1",
        "1.2.2.2.1.1.1",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_branch_that_swallows_its_suspension_still_waits(worker: Worker) -> None:
    """100, 294. Whatever a branch catches, a wait that was not over delivers nothing."""
    handle = start_workflow(swallows)
    wait_for_status(handle.workflow_id, "WAITING", "SUCCESS")
    send(handle.workflow_id, "news", "go")
    assert handle.get_result(timeout=60) == ["news", "b"]


@pytest.mark.django_db(transaction=True)
def test_a_branch_publishes_while_another_sleeps(worker: Worker) -> None:
    """153, 136. An event of one branch is visible while the run is parked for the other."""
    handle = start_workflow(sleeps_and_publishes)
    wait_for_status(handle.workflow_id, "WAITING")
    assert get_event(handle.workflow_id, "ready", timeout_seconds=0) == "yes"
    assert handle.get_status().wake_at is not None


@pytest.mark.django_db(transaction=True)
def test_cancelling_a_parked_gather_ends_it(worker: Worker) -> None:
    """99, 100. A parked gather is cancelled like any other run, and does not go on."""
    handle = start_workflow(two_wait)
    wait_for_status(handle.workflow_id, "WAITING")
    cancel_workflow(handle.workflow_id)
    with pytest.raises(AwaitedWorkflowCancelledError):
        handle.get_result(timeout=60)
    send(handle.workflow_id, "A", "a")
    worker.run_until_idle(30)
    assert calls == []
    assert status(handle.workflow_id) == "CANCELLED"
