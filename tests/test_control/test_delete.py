"""Deleting a run: all that belongs to it goes, and nothing else."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from durable_app import (
    NonExistentWorkflowError,
    SetWorkflowID,
    adelete_workflow,
    cancel_workflow,
    delete_workflow,
    delete_workflows,
    fork_workflow,
    get_event,
    get_result,
    get_workflow_status,
    list_workflows,
    retrieve_workflow,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Event, EventHistory, Message, Step, StreamEntry, Wait, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, status, step_names, wait_for_status, wait_until

ALL = (Workflow, Step, Event, EventHistory, StreamEntry, Message, Wait)
calls: list[str] = []
gate = threading.Event()
reached = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    gate.clear()
    reached.clear()
    yield


@pytest.fixture
def worker(worker: Worker) -> Iterator[Worker]:
    """Open the gate before the worker waits for its runs to end."""
    yield worker
    gate.set()


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@workflow(name="delete.rich")
def rich() -> str:
    set_event("key", 1)
    set_event("key", 2)
    return note("rich")


@workflow(name="delete.child")
def child() -> str:
    return start_workflow(rich).workflow_id


@workflow(name="delete.parent")
def parent() -> str:
    return child()


@workflow(name="delete.gated")
def gated() -> str:
    reached.set()
    assert gate.wait(60)
    return note("after the gate")


@workflow(name="delete.awaits")
def awaits(other: str) -> str:
    try:
        return str(get_result(other))
    except NonExistentWorkflowError as error:
        return f"{error.workflow_id} is gone"


@workflow(name="delete.deletes")
def deletes(*others: str) -> int:
    return delete_workflows(others)


def furnish(workflow_id: str) -> None:
    """Give a run a row of every kind."""
    run = Workflow.objects.get(workflow_id=workflow_id)
    StreamEntry.objects.create(
        workflow=run, key="s", offset=0, value="1", position=1, written_at=timezone.now()
    )
    Wait.objects.create(key="event:nobody:key", workflow=run)
    send(workflow_id, "unread")


def rows_of(workflow_id: str) -> dict[str, int]:
    """Count the rows of every kind that belong to a run."""
    run = Workflow.objects.get(workflow_id=workflow_id).pk
    kinds: list[Any] = [Step, Event, EventHistory, StreamEntry, Wait]
    counts = {kind.__name__: kind._base_manager.filter(workflow_id=run).count() for kind in kinds}
    return {**counts, "Message": Message.objects.filter(destination_id=run).count()}


@pytest.mark.django_db
def test_everything_of_the_run_goes_and_nothing_of_others() -> None:
    """111. Row, steps, events, history, stream, messages and waits of the run are deleted."""
    for name in ("doomed", "spared"):
        with SetWorkflowID(name):
            rich()
        furnish(name)
    everything = rows_of("spared")
    assert min(everything.values()) >= 1
    pk = Workflow.objects.get(workflow_id="doomed").pk
    delete_workflow("doomed")
    assert get_workflow_status("doomed") is None
    for model in ALL[1:]:
        column = "destination_id" if model is Message else "workflow_id"
        assert not model._base_manager.filter(**{column: pk}).exists(), model
    assert rows_of("spared") == everything


@pytest.mark.django_db
@pytest.mark.parametrize("with_children", [True, False])
def test_children_go_only_if_asked(with_children: bool) -> None:
    """111. delete_children takes all descendants along; without it they stay."""
    with SetWorkflowID("p"):
        assert parent() == "p-1-1"
    delete_workflow("p", delete_children=with_children)
    left = [row.workflow_id for row in list_workflows()]
    assert left == ([] if with_children else ["p-1", "p-1-1"])
    assert Step.objects.exists() is not with_children


@pytest.mark.django_db
def test_missing_ids_are_fine_and_are_not_counted() -> None:
    """111. Deleting what is not there is no error."""
    with SetWorkflowID("d"):
        rich()
    delete_workflow("nobody")
    assert delete_workflows(["nobody", "d", "d"]) == 1
    assert delete_workflows([]) == 0


@pytest.mark.django_db
def test_a_deleted_id_may_be_used_again() -> None:
    """3, 111. After the deletion the id is free: the body runs again."""
    for _ in range(2):
        with SetWorkflowID("d"):
            assert rich() == "rich"
        delete_workflow("d")
    assert calls == ["rich", "rich"]


@pytest.mark.django_db
def test_a_deleted_run_is_not_found() -> None:
    """111, 263. Handles, events and messages know nothing of it any more."""
    with SetWorkflowID("d"):
        rich()
    handle = retrieve_workflow("d")
    delete_workflow("d")
    with pytest.raises(NonExistentWorkflowError):
        handle.get_status()
    with pytest.raises(NonExistentWorkflowError):
        handle.get_result()
    with pytest.raises(NonExistentWorkflowError):
        send("d", "hello")
    assert get_event("d", "key", timeout_seconds=0) is None


@pytest.mark.django_db
def test_the_original_remembers_deleted_forks() -> None:
    """299. was_forked_from stays true after the forks are deleted."""
    with SetWorkflowID("original"):
        rich()
    fork = fork_workflow("original", 1)
    delete_workflow(fork.workflow_id)
    found = get_workflow_status("original")
    assert found is not None
    assert found.was_forked_from


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["direct", "started"])
def test_a_run_deleted_while_it_runs_leaves_nothing(worker: Worker, how: str) -> None:
    """95, 111. Its execution records nothing more, and its caller learns that it is gone."""
    with SetWorkflowID("d"):
        running = in_thread(gated) if how == "direct" else None
        if running is None:
            start_workflow(gated)
    assert reached.wait(60)
    delete_workflow("d")
    gate.set()
    with pytest.raises(NonExistentWorkflowError):
        running.result(60) if running else get_result("d", timeout=60)
    wait_until(lambda: worker.busy == 0)
    assert (status("d"), Step.objects.count()) == (None, 0)


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_a_deleted_run_is_told(worker: Worker, settings: Any) -> None:
    """111, 295. A parked parent is woken by the deletion, and records the error."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    with Worker(threads=2):
        with SetWorkflowID("d"):
            start_workflow(gated)
        waiter = start_workflow(awaits, "d")
        wait_for_status(waiter.workflow_id, "WAITING")
        delete_workflow("d")
        assert waiter.get_result(timeout=60) == "d is gone"
        gate.set()


@pytest.mark.django_db(transaction=True)
def test_deleting_inside_a_workflow_is_a_step(worker: Worker) -> None:
    """106. The deletion is recorded with its count, and a replay deletes nothing."""
    for name in ("a", "b"):
        with SetWorkflowID(name):
            rich()
    with SetWorkflowID("d"):
        assert deletes("a", "b", "nobody") == 2
    assert step_names("d") == [(1, "durable.deleteWorkflow")]
    with SetWorkflowID("a"):
        rich()
    assert fork_workflow("d", 99).get_result(timeout=60) == 2
    assert status("a") == "SUCCESS"


@pytest.mark.django_db(transaction=True)
def test_the_async_twin_and_an_unfinished_run(worker: Worker) -> None:
    """111. adelete_workflow deletes a parked run; it is never woken."""

    @workflow(name="delete.sleeps")
    def sleeps() -> None:
        sleep(3600)
        note("woken")

    @workflow(name="delete.async_operator")
    async def operator(other: str) -> None:
        await adelete_workflow(other)

    with SetWorkflowID("s"):
        start_workflow(sleeps)
    wait_for_status("s", "WAITING")
    start_workflow(operator, "s").get_result(timeout=60)
    assert status("s") is None
    cancel_workflow("s")
    assert worker.run_until_idle(30)
    assert calls == []
