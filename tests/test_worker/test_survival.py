"""What one run does never stops a worker, and never reaches the next run on its thread."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from durable_app import (
    SerializationError,
    TransactionLeftOpenError,
    WorkflowError,
    start_workflow,
    step,
    workflow,
)
from durable_app import transaction as transactional
from durable_app.models import Status, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import wait_for_status
from tests.shop.hold import write_effect
from tests.shop.models import Effect

OPEN_BLOCKS: list[Any] = []
"""Keeps what the runs leave open from being collected, and thereby closed."""


@pytest.fixture
def one_thread(transactional_db: None) -> Any:
    """Run a worker whose only thread meets every run, good or bad."""
    OPEN_BLOCKS.clear()
    with Worker(threads=1, async_concurrency=1) as worker:
        yield worker


class Unstorable(Exception):
    """Its arguments cannot be stored, and its message cannot be read."""

    def __str__(self) -> str:
        raise ValueError("no message")


def open_atomic() -> None:
    block = transaction.atomic()
    block.__enter__()
    OPEN_BLOCKS.append(block)
    Effect.objects.create(workflow_id="", step="swallowed")


def open_without_autocommit() -> None:
    transaction.set_autocommit(False)
    Effect.objects.create(workflow_id="", step="swallowed")


def open_broken() -> None:
    open_atomic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT nonsense FROM nowhere")


LEFTOVERS = {
    "atomic": open_atomic,
    "autocommit": open_without_autocommit,
    "broken": open_broken,
}


@step
def litter_in_step(how: str) -> str:
    LEFTOVERS[how]()
    return "littered"


@workflow
def litter_from_step(how: str) -> str:
    return litter_in_step(how)


@transactional
def litter_in_transaction(how: str) -> str:
    LEFTOVERS[how]()
    return "littered"


@workflow
def litter_from_transaction(how: str) -> str:
    return litter_in_transaction(how)


@workflow
def litter_from_body(how: str) -> str:
    LEFTOVERS[how]()
    return "littered"


@workflow
async def litter_from_coroutine(how: str) -> str:
    return str(await litter_in_step.acall(how))


@workflow
def fail(how: str) -> Any:
    if how == "unstorable result":
        return object()
    if how == "unstorable error":
        raise Unstorable(object())
    if how == "recursion":
        return fail.func(how)
    raise ValueError("failed")


@workflow
async def afail(how: str) -> Any:
    return fail.func(how)


@workflow
def leave(kind: str) -> None:
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt, "GeneratorExit": GeneratorExit}[
        kind
    ]


@workflow
async def awrite_effect(what: str) -> str:
    await Effect.objects.acreate(workflow_id="", step=what)
    return what


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", list(LEFTOVERS))
@pytest.mark.parametrize("litterer", [litter_from_step, litter_from_body, litter_from_coroutine])
def test_a_transaction_left_open_is_rolled_back_and_the_next_run_has_a_clean_one(one_thread, litterer, how):
    """178. The run that left it ends; its uncommitted writes are gone; the next run's are there."""
    messy = start_workflow(litterer, how)
    with pytest.raises((TransactionLeftOpenError, DatabaseError)) as caught:
        messy.get_result(timeout=60)
    assert isinstance(caught.value, DatabaseError) is (how == "broken")
    for number in range(3):
        assert start_workflow(write_effect, f"sync {number}").get_result(timeout=60) == f"sync {number}"
        assert start_workflow(awrite_effect, f"async {number}").get_result(timeout=60)
    steps = Effect.objects.order_by("id").values_list("step", flat=True)
    assert list(steps) == ["sync 0", "async 0", "sync 1", "async 1", "sync 2", "async 2"]


@pytest.mark.django_db(transaction=True)
def test_a_block_left_open_inside_a_transaction_commits_nothing(one_thread):
    """The outer atomic() cannot commit past an inner one that never ended: an error, not a silent loss."""
    messy = start_workflow(litter_from_transaction, "atomic")
    with pytest.raises(TransactionLeftOpenError, match="the transaction 'litter_in_transaction' left"):
        messy.get_result(timeout=60)
    assert not Effect.objects.exists()
    assert start_workflow(write_effect, "good").get_result(timeout=60) == "good"


@pytest.mark.django_db
@pytest.mark.parametrize("litterer", [litter_from_step, litter_from_body, litter_from_transaction])
def test_a_direct_call_ends_what_its_workflow_left_open_and_nothing_of_the_tests(litterer):
    """178. Inside a TestCase's transaction, too: the test's own stays open, and usable."""
    OPEN_BLOCKS.clear()
    Effect.objects.create(workflow_id="", step="the test's")
    with pytest.raises(TransactionLeftOpenError):
        litterer("atomic")
    assert write_effect("good") == "good"
    assert list(Effect.objects.order_by("id").values_list("step", flat=True)) == ["the test's", "good"]
    assert connection.in_atomic_block


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failing", [fail, afail])
@pytest.mark.parametrize("how", ["plain", "unstorable result", "unstorable error", "recursion"])
def test_a_failing_run_ends_in_error_and_the_next_one_runs(one_thread, failing, how):
    """13, 14, 15. Whatever is raised or returned: ERROR for this run, nothing for its neighbour."""
    bad, good = start_workflow(failing, how), start_workflow(write_effect, "good")
    with pytest.raises(Exception) as caught:
        bad.get_result(timeout=60)
    assert not isinstance(caught.value, TimeoutError)
    assert Workflow.objects.get(workflow_id=bad.workflow_id).status == Status.ERROR
    assert good.get_result(timeout=60) == "good"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_an_exit_in_a_run_does_not_end_the_worker(one_thread, kind):
    """sys.exit() in user code is that run's affair: the thread goes on with the next run."""
    start_workflow(leave, kind)
    assert start_workflow(write_effect, "good").get_result(timeout=60) == "good"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ("not JSON", "stored text cannot be read"),
        ('{"args":[{"$t":"nobody.Knows","v":1}],"kwargs":{}}', "uses the type 'nobody.Knows'"),
        ('{"args":[{"$t":"datetime","v":"tomorrow"}],"kwargs":{}}', "stored text cannot be read"),
        ('{"args":["x"]}', "kwargs"),
        ("[]", "list indices"),
        ('{"args":[],"kwargs":{}}', "missing 1 required positional argument"),
        ('{"args":["x"],"kwargs":{"surprise":1}}', "unexpected keyword argument 'surprise'"),
    ],
)
@pytest.mark.parametrize("target", [write_effect, awrite_effect])
def test_inputs_that_cannot_be_read_end_the_run_and_not_the_worker(target, inputs, complaint):
    """199. ERROR with the reason; the function is not called; the line goes on."""
    bad, good = start_workflow(target, "bad"), start_workflow(target, "good")
    Workflow.objects.filter(workflow_id=bad.workflow_id).update(inputs=inputs)
    with Worker(threads=1, async_concurrency=1):
        with pytest.raises((SerializationError, TypeError, KeyError, WorkflowError), match=complaint):
            bad.get_result(timeout=60)
        assert good.get_result(timeout=60) == "good"
    assert [effect.step for effect in Effect.objects.all()] == ["good"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("column", ["output", "error"])
def test_a_recorded_step_that_cannot_be_read_ends_the_run_and_not_the_worker(one_thread, column):
    """199. A replay over unreadable history: this run is ERROR, the next one runs."""
    bad = start_workflow(litter_from_step, "none such")
    wait_for_status(bad.workflow_id, Status.ERROR)
    run = Workflow.objects.get(workflow_id=bad.workflow_id)
    run.steps.update(**{"output": None, "error": None, column: "not JSON"})
    Workflow.objects.filter(pk=run.pk).update(status=Status.ENQUEUED, finished_at=None, error=None)
    wait_for_status(bad.workflow_id, Status.ERROR)
    assert start_workflow(write_effect, "good").get_result(timeout=60) == "good"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("column", "value"), [("class_name", "Nobody"), ("config_name", "nothing")])
def test_a_method_whose_owner_is_gone_ends_its_run_and_not_the_worker(column, value):
    """199. The class or instance that the run names does not exist here: the worker goes on."""
    lost = start_workflow(write_effect, "lost")
    Workflow.objects.filter(workflow_id=lost.workflow_id).update(**{column: value})
    good = start_workflow(write_effect, "good")
    with Worker(threads=1):
        assert good.get_result(timeout=60) == "good"
        wait_for_status(lost.workflow_id, Status.SUCCESS, Status.ERROR, Status.WAITING)
