"""Which queues a worker serves: all, some, or all but some; whatever it may enqueue itself."""

import pytest
from django.core.management import CommandError, call_command

from durable_app import enqueue, register_queue, start_workflow, workflow
from durable_app.handles import WorkflowHandle
from durable_app.models import Status
from durable_app.worker.claimer import Serving
from durable_app.worker.worker import Worker
from tests.helpers import status
from tests.shop.queues import say

pytestmark = pytest.mark.django_db(transaction=True)


@workflow
def hand_over() -> str:
    return enqueue("mail", say, "handed over").workflow_id


def waiting() -> dict[str, WorkflowHandle[object]]:
    for name in ("mail", "video"):
        register_queue(name)
    return {name: enqueue(name, say, name) for name in ("mail", "video", "default")}


@pytest.mark.parametrize(
    ("serving", "served"),
    [
        (Serving(), {"mail", "video", "default"}),
        (Serving(only=frozenset({"mail"})), {"mail"}),
        (Serving(only=frozenset({"mail", "default"})), {"mail", "default"}),
        (Serving(excluded=frozenset({"video"})), {"mail", "default"}),
        (Serving(only=frozenset({"mail", "video"}), excluded=frozenset({"video"})), {"mail"}),
    ],
)
def test_a_worker_takes_from_the_queues_it_serves(serving: Serving, served: set[str]):
    """197. The others' runs stay for other workers."""
    handles = waiting()
    with Worker(threads=2, serving=serving) as worker:
        for name in served:
            assert handles[name].get_result(timeout=60) == name
        assert worker.run_until_idle(timeout=60)  # what it does not serve is not waited for
    left = {name for name, handle in handles.items() if status(handle.workflow_id) == Status.ENQUEUED}
    assert left == handles.keys() - served


def test_it_may_enqueue_anywhere():
    """197. A run that it executes puts others into queues that it does not serve."""
    register_queue("mail")
    with Worker(threads=1, serving=Serving(only=frozenset({"default"}))):
        child = start_workflow(hand_over).get_result(timeout=60)
        assert status(child) == Status.ENQUEUED
    with Worker(threads=1, serving=Serving(only=frozenset({"mail"}))):
        assert WorkflowHandle(child).get_result(timeout=60) == "handed over"


@pytest.mark.parametrize("option", ["--queues", "--exclude"])
@pytest.mark.parametrize("names", ["", "mail,,video", "_dbos_internal"])
def test_senseless_names_are_refused(option: str, names: str):
    """197. By the command, before it starts anything."""
    with pytest.raises(CommandError, match=f"argument {option}"):
        call_command("durable_worker", option, names)
