"""Step ids are part of the contract: what takes one, what takes two, and what takes none."""

from collections.abc import Callable
from typing import Any

import pytest

from durable_app import (
    SerializationError,
    SetWorkflowAttributes,
    SetWorkflowID,
    WorkflowFunctionNotFoundError,
    cancel_workflow,
    deprecate_patch,
    fork_workflow,
    gather,
    get_all_events,
    get_event,
    list_workflow_steps,
    list_workflows,
    patch,
    recv,
    run_step,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    step_id,
    wait_first,
    workflow,
    workflow_id,
)
from durable_app.worker.worker import Worker
from tests.helpers import step_names

failures: list[str] = []


@pytest.fixture(autouse=True)
def nothing_failed() -> None:
    failures.clear()


def own_id() -> str:
    return workflow_id() or ""


@step
def mark() -> int | str | None:
    """Return the id that the operation before left as the next."""
    return step_id()


@step
def publish_in_step() -> None:
    set_event("in a step", 1)
    send(own_id(), "from a step")


@step(retries_allowed=True, max_attempts=3, interval_seconds=0)
def fail_twice() -> str:
    failures.append("x")
    if len(failures) % 3:
        raise ValueError("again")
    return "third time"


@workflow
def leaf(value: Any = None) -> Any:
    return value


@workflow
def failing_leaf() -> None:
    raise ValueError("leaf")


def refused(call: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


def recv_message() -> None:
    send(own_id(), "hello")
    assert recv(timeout_seconds=60) == "hello"


def event_that_is_set() -> None:
    set_event("key", "value")
    assert get_event(own_id(), "key") == "value"


def first_of_one() -> None:
    only = start_workflow(leaf)
    cancel_workflow(only.workflow_id)
    assert wait_first([only]).workflow_id == only.workflow_id


def bad_start() -> None:
    with pytest.raises(SerializationError):
        start_workflow(leaf, object())


OPERATIONS: dict[str, tuple[int, Callable[[], Any], list[str]]] = {
    "step": (1, mark, ["mark"]),
    "run_step": (1, lambda: run_step({"name": "any"}, len, "abc"), ["any"]),
    "retries": (1, fail_twice, ["fail_twice"]),
    "publishing in a step": (1, publish_in_step, ["publish_in_step"]),
    "sleep": (1, lambda: sleep(0.001), ["durable.sleep"]),
    "sleep that is none": (0, lambda: sleep(0), []),
    "send": (1, lambda: send(own_id(), 1), ["durable.send"]),
    "recv": (3, recv_message, ["durable.send", "durable.recv"]),
    "recv without a wait": (2, lambda: recv(timeout_seconds=0), ["durable.recv"]),
    "recv that times out": (2, lambda: recv(timeout_seconds=0.01), ["durable.recv", "durable.sleep"]),
    "set_event": (1, lambda: set_event("key", 1), ["durable.setEvent"]),
    "get_event": (3, event_that_is_set, ["durable.setEvent", "durable.getEvent"]),
    "get_event that times out": (
        2,
        lambda: get_event(own_id(), "nothing", timeout_seconds=0.01),
        ["durable.getEvent", "durable.sleep"],
    ),
    "get_all_events": (1, lambda: get_all_events(own_id()), ["durable.get_events"]),
    "start": (1, lambda: start_workflow(leaf), ["leaf"]),
    "direct child": (2, leaf, ["leaf", "durable.getResult"]),
    "failing child": (2, lambda: refused(failing_leaf, ValueError), ["failing_leaf", "durable.getResult"]),
    "status": (2, lambda: start_workflow(leaf).get_status(), ["leaf", "durable.getStatus"]),
    "list": (1, lambda: list_workflows(limit=1), ["durable.listWorkflows"]),
    "wait_first": (3, first_of_one, ["leaf", "durable.cancelWorkflow", "durable.waitFirst"]),
    "gather": (1, lambda: gather(mark, mark), ["mark", "mark"]),
    "start with bad inputs": (1, bad_start, []),
    "child with bad inputs": (2, lambda: refused(lambda: leaf(object()), SerializationError), []),
    "start of nothing": (
        0,
        lambda: refused(lambda: start_workflow(len, "abc"), WorkflowFunctionNotFoundError),
        [],
    ),
    "message that cannot be sent": (1, lambda: refused(lambda: send("x", object()), SerializationError), []),
    "patch": (1, lambda: patch("p"), ["durable.patch-p"]),
    "deprecated patch": (0, lambda: deprecate_patch("p"), []),
    "block": (0, lambda: SetWorkflowAttributes({"a": 1}).__enter__().__exit__(None, None, None), []),
}  # fmt: skip


@workflow
def operate(name: str) -> tuple[Any, Any]:
    OPERATIONS[name][1]()
    return mark(), mark()


@pytest.mark.django_db
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_takes_its_ids_and_no_more(name: str) -> None:
    """293. 42. The step after it has the next id, whatever became of the operation."""
    taken, _, names = OPERATIONS[name]
    with SetWorkflowID("counted"):
        assert operate(name) == (taken + 1, taken + 2)
    assert [found for _, found in step_names("counted")] == [*names, "mark", "mark"]


@pytest.mark.django_db(transaction=True)
def test_a_replay_takes_the_same_ids() -> None:
    """293. 43. Every operation's replay leaves the next step where the first execution left it."""
    names = [name for name in OPERATIONS if name != "retries"]
    for number, name in enumerate(names):
        with SetWorkflowID(f"run-{number}"):
            operate(name)
    with Worker(threads=4):
        forks = [fork_workflow(f"run-{number}", 100) for number in range(len(names))]
        for name, fork in zip(names, forks, strict=True):
            taken = OPERATIONS[name][0]
            assert fork.get_result(timeout=60) == (taken + 1, taken + 2), name


@workflow
def family() -> list[str]:
    mark()
    started = start_workflow(leaf)
    with SetWorkflowID("chosen"):
        leaf()
    leaf()
    return [started.workflow_id]


@pytest.mark.django_db
def test_a_child_is_named_after_the_step_that_starts_it() -> None:
    """30. 32. 36. <parent>-<step id>; an id that was chosen is used instead, and takes the ids as well."""
    with SetWorkflowID("parent"):
        assert family() == ["parent-2"]
    children = [(one.step_id, one.name, one.child_workflow_id) for one in list_workflow_steps("parent")]
    assert children == [
        (1, "mark", None),
        (2, "leaf", "parent-2"),
        (3, "leaf", "chosen"),
        (4, "durable.getResult", "chosen"),
        (5, "leaf", "parent-5"),
        (6, "durable.getResult", "parent-5"),
    ]
