"""Several messages at once, and messages that reach a run's forks."""

import asyncio

import pytest

from durable_app import (
    InvalidOptionError,
    NonExistentWorkflowError,
    SendMessage,
    SetWorkflowID,
    asend_bulk,
    fork_workflow,
    get_result,
    list_workflow_steps,
    recv,
    rewind_workflow,
    run_step,
    send,
    send_bulk,
    start_workflow,
    workflow,
)
from durable_app.models import Message
from durable_app.worker.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def waits_for_two() -> list[object]:
    return [recv("news", 30), recv("news", 30)]


@workflow
def sends(*destinations: str) -> str:
    try:
        send_bulk([SendMessage(one, f"to {one}", "news") for one in destinations])
    except NonExistentWorkflowError as error:
        return f"nobody: {error.workflow_id}"
    return "sent"


@workflow
def sends_from_a_step(destination: str) -> None:
    run_step({"name": "bulk"}, send_bulk, [SendMessage(destination, 1), SendMessage(destination, 2)])


def inbox() -> list[tuple[str, str]]:
    rows = Message.objects.order_by("pk").values_list("destination__workflow_id", "value")
    return [(destination, value) for destination, value in rows]


def begun(*names: str) -> None:
    for name in names:
        with SetWorkflowID(name):
            start_workflow(waits_for_two)


def test_a_bulk_arrives_in_order_and_wakes_its_receivers() -> None:
    """145. One call, several runs; each gets its own in the order given."""
    begun("a", "b")
    send_bulk([SendMessage("a", 1, "news"), SendMessage("b", 2, "news"), SendMessage("a", 3, "news")])
    send("b", 4, "news")
    with Worker(threads=2):
        assert [get_result("a", timeout=30), get_result("b", timeout=30)] == [[1, 3], [2, 4]]


def test_a_bulk_with_an_unknown_destination_sends_nothing() -> None:
    """145. All or none."""
    begun("a")
    with pytest.raises(NonExistentWorkflowError):
        send_bulk([SendMessage("a", 1), SendMessage("nobody", 2)])
    assert inbox() == []


def test_an_empty_bulk_is_no_error() -> None:
    """145. Nothing to send is fine."""
    send_bulk([])
    assert inbox() == []


def test_one_batch_holds_a_key_once() -> None:
    """145. Two messages of one batch with the same key and destination are a mistake, told at once."""
    begun("a", "b")
    twice = [SendMessage("a", 1, None, "key"), SendMessage("a", 2, None, "key")]
    with pytest.raises(InvalidOptionError, match="idempotency key"):
        send_bulk(twice)
    assert inbox() == []
    send_bulk([SendMessage("a", 1, None, "key"), SendMessage("b", 2, None, "key")])
    assert inbox() == [("a", "1"), ("b", "2")]


def test_a_bulk_from_a_workflow_is_one_step_and_replays() -> None:
    """145. Sent exactly once, and the failure of an unknown destination is recorded too."""
    begun("a", "b")
    with SetWorkflowID("sender"):
        assert sends("a", "b") == "sent"
    assert [(step.step_id, step.name) for step in list_workflow_steps("sender")] == [(1, "durable.send_bulk")]
    with SetWorkflowID("mistaken"):
        assert sends("a", "c") == "nobody: c"
    begun("c")
    with Worker(threads=2):
        assert rewind_workflow("sender", 2).get_result(timeout=30) == "sent"
        assert rewind_workflow("mistaken", 2).get_result(timeout=30) == "nobody: c"
    assert inbox() == [("a", '"to a"'), ("b", '"to b"')]


def test_a_bulk_in_a_step_is_not_recorded_by_itself() -> None:
    """145, 47. It belongs to the step around it."""
    begun("a")
    with SetWorkflowID("sender"):
        sends_from_a_step("a")
    assert [step.name for step in list_workflow_steps("sender")] == ["bulk"]
    assert inbox() == [("a", "1"), ("a", "2")]


def test_the_async_twin_sends_too() -> None:
    """145. ``asend_bulk``."""
    begun("a")
    asyncio.run(_asends())
    assert inbox() == [("a", "1")]


async def _asends() -> None:
    await asend_bulk([SendMessage("a", 1)])


def test_a_message_reaches_all_forks_that_exist_now() -> None:
    """146. Forks and their forks get one message each, once for each key; later forks none."""
    begun("root")
    for origin, name in (("root", "fork"), ("fork", "fork of fork")):
        with SetWorkflowID(name):
            fork_workflow(origin, 1)
    for _ in range(2):
        send("root", "news", idempotency_key="once", send_to_forks=True)
    with SetWorkflowID("late"):
        fork_workflow("root", 1)
    assert inbox() == [(name, '"news"') for name in ("root", "fork", "fork of fork")]


def test_without_asking_forks_get_nothing() -> None:
    """117, 146. Mailboxes are a run's own."""
    begun("root")
    with SetWorkflowID("fork"):
        fork_workflow("root", 1)
    send("root", "news")
    assert inbox() == [("root", '"news"')]
