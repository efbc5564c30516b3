"""`Debouncer` and `DebouncerClient`: of many calls with one key only the last one runs."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from durable_app.dbos import (
    DBOS,
    DBOSClient,
    Debouncer,
    DebouncerClient,
    SetEnqueueOptions,
    SetWorkflowID,
    error,
)
from durable_app.models import Workflow
from tests.helpers import execute_again

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 1000


@pytest.fixture
def runs(dbos: Any) -> list[Any]:
    """Return what ran; `note` is the workflow."""
    found: list[Any] = []

    @DBOS.workflow(name="note")
    def note(value, *, loud=False):
        found.append(value)
        return value, loud

    found.append(note)
    return found


def taken(runs: list[Any]) -> Any:
    return runs.pop(0)


@pytest.mark.parametrize("way", ["create", "name"])
def test_the_last_call_runs_once(runs, way):
    """215. All calls return the handle of one run, which gets the last arguments."""
    note = taken(runs)
    found: Debouncer[Any, Any] = Debouncer.create(note) if way == "create" else Debouncer("note")
    first = found.debounce("key", LONG, 1)
    assert first.get_status().status == "DELAYED"
    second = found.debounce("key", LONG, 2)
    third = found.debounce("key", 0, 3, loud=True)
    assert {first.workflow_id, second.workflow_id} == {third.workflow_id}
    assert tuple(first.get_result()) == (3, True)
    assert runs == [3]
    assert found.debounce("key", 0, 4).workflow_id != first.workflow_id


def test_the_timeout_caps_the_delay(runs):
    """216. Counted from the first call."""
    note = taken(runs)
    found: Debouncer[Any, Any] = Debouncer.create(note, debounce_timeout_sec=0.1)
    handle = found.debounce("key", LONG, 1)
    assert tuple(handle.get_result()) == (1, False)


def test_keys_and_workflows_are_independent(runs):
    """218."""
    note = taken(runs)

    @DBOS.workflow(name="note-a")
    def other(value):
        return value

    pairs: list[tuple[Any, str]] = [(note, "a-b"), (other, "b"), (note, "b")]
    handles = [Debouncer.create(func).debounce(key, LONG, 1) for func, key in pairs]
    assert len({handle.workflow_id for handle in handles}) == 3


def test_on_a_queue(runs):
    """224. By name or as an object."""
    note = taken(runs)
    queue = DBOS.register_queue("q")
    for given in (queue, "q"):
        found: Debouncer[Any, Any] = Debouncer.create(note, queue=given)
        handle = found.debounce(repr(given), 0, 1)
        assert handle.get_status().queue_name == "q"
        handle.get_result()


def test_a_key_that_somebody_else_holds(runs):
    """219, 220. An ordinary run with the same id; options that a debounced run cannot have."""
    note = taken(runs)
    found: Debouncer[Any, Any] = Debouncer.create(note, queue="q")
    held = Workflow.objects.get(workflow_id=found.debounce("key", LONG, 1).workflow_id).deduplication_id
    DBOS.cancel_workflows([one.workflow_id for one in DBOS.list_workflows()])
    DBOS.register_queue("q")
    with SetEnqueueOptions(deduplication_id=held, delay_seconds=LONG):
        DBOS.enqueue_workflow("q", note, 1)
    with pytest.raises(error.DBOSQueueDeduplicatedError):
        found.debounce("key", LONG, 1)
    with SetEnqueueOptions(priority=1), pytest.raises(error.DBOSException):
        found.debounce("other", LONG, 1)


def test_in_a_workflow_it_is_one_step(runs):
    """221, 222. Replayed, it bounces no more; a chosen id is the run's."""
    note = taken(runs)

    @DBOS.workflow()
    def parent():
        found: Debouncer[Any, Any] = Debouncer.create(note)
        with SetWorkflowID("chosen"):
            first = found.debounce("key", LONG, 1)
        return first.workflow_id, found.debounce("key", LONG, 2).workflow_id

    with SetWorkflowID("p"):
        assert tuple(parent()) == ("chosen", "chosen")
    steps = DBOS.list_workflow_steps("p")
    assert [one["function_name"] for one in steps] == ["DBOS.debounce_delayed_workflow"] * 2
    Debouncer.create(note).debounce("key", LONG, 3)
    execute_again("p")
    assert tuple(DBOS.get_result("p")) == ("chosen", "chosen")
    found = DBOS.get_workflow_status("chosen")
    assert found is not None and found.input is not None and found.input["args"] == (3,)


def test_twins_and_clients(runs):
    """224. The same key is the same run for all of them."""
    note = taken(runs)
    client = DebouncerClient(DBOSClient(), {"workflow_name": "note", "queue_name": "q"})

    async def main() -> set[str]:
        made: Debouncer[Any, Any] = await Debouncer.create_async(note, queue="q")
        handles = [await made.debounce_async("key", LONG, 1), await client.debounce_async("key", LONG, 2)]
        return {handle.workflow_id for handle in handles}

    (first,) = async_to_sync(main)()
    assert client.debounce("key", LONG, 3).workflow_id == first
    found = DBOS.get_workflow_status(first)
    assert found is not None and found.input is not None and found.input["args"] == (3,)


def test_methods_are_refused(dbos):
    """B.5: TypeError."""

    @DBOS.dbos_class("Debounced")
    class Some:
        @classmethod
        @DBOS.workflow()
        def run(cls):
            return 1

    with pytest.raises(TypeError, match="method"):
        Debouncer.create(Some.run)
