"""``@transaction`` where the writes live in another database, or the run is lost to another worker."""

from uuid import uuid4

import pytest

from durable_app import (
    SetWorkflowID,
    cancel_workflow,
    list_workflow_steps,
    start_workflow,
    step,
    transaction,
    workflow,
    workflow_id,
)
from durable_app.models import Receipt, Step, Workflow
from durable_app.store import workers
from durable_app.worker.worker import Worker
from tests.shop.models import Effect, Order

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

tries: dict[str, int] = {}


def fresh(name: str) -> str:
    return f"{name}-{uuid4()}"


@transaction
def order(number: str) -> int:
    return Order.objects.create(number=number).pk


@transaction(using="other")
def ship() -> str:
    token = uuid4().hex
    Effect.objects.using("other").create(workflow_id=workflow_id() or "", step=token)
    return token


@transaction(using="other")
def ship_and_fail() -> None:
    Effect.objects.using("other").create(workflow_id=workflow_id() or "", step="lost")
    raise ValueError("the ship sank")


@step
def hand_over(*, forget: str = "") -> int:
    """At its first try, lose the run to another worker, and some step as if its commit had been lost."""
    count = tries[workflow_id() or ""] = tries.get(workflow_id() or "", 0) + 1
    if count == 1:
        run = Workflow.objects.get(workflow_id=workflow_id())
        Step.objects.filter(workflow=run, name=forget).delete()
        workers.recover_strays(run.worker_id or "", [run.pk])
    return count


@workflow
def delivery(forget: str = "") -> list[object]:
    return [ship(), hand_over(forget=forget)]


@workflow
def sinking() -> None:
    ship()
    ship_and_fail()


@workflow
def cancelled_delivery() -> None:
    ship()
    cancel_workflow(workflow_id() or "")
    ship()


@workflow
def simple_delivery() -> str:
    return ship()


def test_receipts_go_when_the_run_has_ended() -> None:
    """76. While the run executes its receipt stands beside the writes; success and failure drop it."""
    simple_delivery()
    with pytest.raises(ValueError, match="sank"):
        sinking()

    assert Effect.objects.using("other").count() == 2
    assert not Receipt.objects.using("other").exists()


def test_a_cancelled_run_keeps_its_receipts() -> None:
    """76. It may be resumed: what it has written must be known then."""
    handle = start_workflow(cancelled_delivery)
    with Worker(threads=1) as worker:
        assert worker.run_until_idle(timeout=45)

    assert handle.get_status().status == "CANCELLED"
    assert Receipt.objects.using("other").count() == 1
    assert Effect.objects.using("other").count() == 1


def test_an_error_in_another_database_rolls_back_there_and_is_recorded_here() -> None:
    """67. The two databases agree: no writes, and an error as the checkpoint."""
    name = fresh("sinking")
    with SetWorkflowID(name), pytest.raises(ValueError, match="sank"):
        sinking()

    assert not Effect.objects.using("other").filter(step="lost").exists()
    assert [type(one.error) for one in list_workflow_steps(name)] == [type(None), ValueError]


@pytest.mark.parametrize("forget", ["", "ship"])
def test_a_replay_adopts_what_the_other_database_has_committed(forget: str) -> None:
    """66, 74. Even if the engine's own record of it is lost, the writes are not made again."""
    handle = start_workflow(delivery, forget)
    with Worker(threads=1):
        token, count = handle.get_result(timeout=45)

    assert count == 2
    assert Effect.objects.using("other").get().step == token
    assert [one.output for one in list_workflow_steps(handle.workflow_id)] == [token, 2]
    assert not Receipt.objects.using("other").exists()


# Losing the run


@workflow
def handed_over() -> list[int]:
    return [hand_over(), order(fresh("handed"))]


def test_who_has_lost_the_run_writes_nothing_and_returns_the_owners_outcome() -> None:
    """61, 73, 95. The caller's execution ends at its next record, and waits for the new owner's result."""
    name = fresh("handed-over")
    with Worker(threads=1), SetWorkflowID(name):
        count, pk = handed_over()

    assert count == 2
    assert Order.objects.get().pk == pk
    run = Workflow.objects.get(workflow_id=name)
    assert set(Step.objects.filter(workflow=run).values_list("attempt", flat=True)) == {run.attempt}
