"""Where runs stand that operators start or let go on; and what nobody may do in somebody else's name."""

from datetime import timedelta
from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    SetEnqueueOptions,
    cancel_workflows,
    clock,
    create_schedule,
    enqueue,
    get_workflow_status,
    list_workflows,
    recv,
    register_queue,
    resume_workflow,
    send,
    workflow,
)
from durable_app.control import bulk, queues, schedules
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator, Result
from durable_app.control.starting import Order, start
from durable_app.models import Message, Status, Workflow
from tests.test_admin.pages import made, with_steps

pytestmark = pytest.mark.django_db

ME = Operator(actor=Actor(kind="cli", id="me", label="me"))


@workflow(name="places.stay")
def stay(number: int = 0) -> int:
    return number


@workflow(name="places.hear")
def hear() -> Any:
    return recv("durable.approval.1")


def place(workflow_id: str) -> tuple[str | None, str | None]:
    row = Workflow.objects.get(workflow_id=workflow_id)
    return row.queue_name, row.partition_key


def partitioned(name: str) -> None:
    register_queue(name, partition_queue=True, partition_concurrency=1)


# Queues


def test_a_cancelled_run_is_found_by_its_queue_and_goes_on_in_it():
    """99. It stands in no queue, and its row tells in which it stood: who cancelled too much can mend it."""
    partitioned("mail")
    with SetEnqueueOptions(queue_partition_key="acme"):
        runs = [enqueue("mail", stay, number).workflow_id for number in range(3)]
    cancel_workflows(runs)
    status = get_workflow_status(runs[0])
    assert status is not None
    assert (status.status, status.queue_name) == (Status.CANCELLED, None)
    assert {row.workflow_id for row in list_workflows(queue_name="mail", status="CANCELLED")} == set(runs)
    assert list_workflows(queue_name="mail", queues_only=True) == []
    assert all(result.is_done for result in ME.resume(runs))
    assert {place(run) for run in runs} == {("mail", "acme")}


def test_what_is_tried_again_keeps_to_its_queue_and_its_limits():
    """A stampede after an outage goes through the queue that keeps others from one."""
    partitioned("mail")
    failed = with_steps(made(Status.ERROR, queue_name="mail", partition_key="acme"), "a", "b", fails=True)
    again = [ME.retry([failed.workflow_id])[0], ME.fork(failed.workflow_id, 1)]
    assert {place(result.made) for result in again} == {("mail", "acme")}
    assert ME.rewind(failed.workflow_id, 1).is_done
    assert place(failed.workflow_id) == ("mail", "acme")


def test_another_queue_is_asked_for_by_name():
    register_queue("slow")
    failed = made(Status.ERROR, queue_name="default")
    assert place(ME.fork(failed.workflow_id, 1, queue_name="slow").made)[0] == "slow"
    dead = made(Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED)
    assert ME.resume([dead.workflow_id], queue_name="slow")[0].is_done
    assert place(dead.workflow_id)[0] == "slow"


@pytest.mark.parametrize("was_in", [None, "gone"])
def test_a_run_whose_queue_is_gone_goes_on_in_the_default_one(was_in: str | None):
    run = made(Status.CANCELLED, queue_name=was_in)
    assert ME.resume([run.workflow_id])[0].is_done
    assert place(run.workflow_id)[0] == "default"


def test_in_code_a_run_is_resumed_in_the_default_queue_unless_told_otherwise():
    """107."""
    register_queue("mail")
    run = made(Status.CANCELLED, queue_name="mail")
    resume_workflow(run.workflow_id)
    assert place(run.workflow_id)[0] == "default"


def test_no_operator_puts_a_run_where_nothing_takes_it():
    """185, 192. A queue that does not exist, and a partitioned one without a key, are mistakes of typing."""
    partitioned("tenants")
    failed, dead = made(Status.ERROR), made(Status.CANCELLED)
    for queue, told in (("nope", "there is no queue 'nope'; there are: "), ("tenants", "is partitioned")):
        with pytest.raises(InvalidOptionError, match=told):
            start(ME, Order(workflow="places.stay", queue_name=queue))
        refused = [
            ME.fork(failed.workflow_id, 1, queue_name=queue),
            *ME.resume([dead.workflow_id], queue_name=queue),
        ]
        for result in refused:
            assert (result.outcome, told in result.detail) == ("failed", True)
    assert Workflow.objects.count() == 2
    assert start(ME, Order(workflow="places.stay", queue_name="tenants", partition_key="a")).is_done


@pytest.mark.parametrize("status", [Status.ENQUEUED, Status.PENDING, Status.DELAYED, Status.WAITING])
def test_a_queue_is_not_cut_into_partitions_over_runs_that_have_no_key(status: Status):
    register_queue("mail")
    wake_at = clock.now() if status == Status.WAITING else None
    run = made(status, queue_name="mail", wake_at=wake_at)
    made(Status.SUCCESS, queue_name="mail")
    asked = {"partition_concurrency": 1}
    result = queues.configure(ME, "mail", asked)
    assert (result.outcome, "without a partition key" in result.detail) == ("refused", True)
    Workflow.objects.filter(pk=run.pk).update(partition_key="k")
    assert queues.configure(ME, "mail", asked).is_done


# Times


def test_a_pause_that_is_over_is_none():
    register_queue("mail")
    past = queues.pause(ME, "mail", clock.now() - timedelta(seconds=1))
    assert (past.outcome, "is over" in past.detail) == ("failed", True)
    assert queues.pause(ME, "mail", clock.now() + timedelta(hours=1)).is_done


def test_no_tick_is_started_before_its_time():
    """235. A future tick's id would be taken when the tick comes."""
    create_schedule(schedule_name="places", workflow_fn=stay, schedule="0 0 * * *", context=None)
    now = clock.now()
    day = timedelta(days=1)
    for start_at, end_at in ((now, now + 3 * day), (now - day, now - 3 * day), (now - day, now - day)):
        result = schedules.backfill(ME, "places", start_at, end_at)
        assert (result.outcome, "a backfill begins before it ends" in result.detail) == ("failed", True)
    assert not Workflow.objects.exists()
    assert schedules.backfill(ME, "places", now - 3 * day, now).made == "3"


def test_a_step_to_begin_with_is_one_that_there_is():
    run = with_steps(made(Status.ERROR), "a", "b", fails=True)
    for step in (0, 4, 99):
        results = [ME.fork(run.workflow_id, step), ME.rewind(run.workflow_id, step)]
        assert [result.detail for result in results] == [
            f"start_step is a number from 1 to 3, not {step}"
        ] * 2
    assert ME.fork(run.workflow_id, 3).is_done


# In somebody else's name


def test_nobody_forges_the_answer_to_a_question():
    """Its topic is no secret: a message on it would be an answer without permission, form and audit."""
    run = made(Status.WAITING)
    [forged] = ME.send(
        [run.workflow_id], {"approved": True, "answered_by": "cfo"}, topic="durable.approval.1"
    )
    assert (forged.outcome, "answered in its inbox" in forged.detail) == ("failed", True)
    with pytest.raises(InvalidOptionError, match=r"'durable\.approval\.1' is the engine's topic"):
        send(run.workflow_id, "yes", "durable.approval.1")
    with pytest.raises(InvalidOptionError, match="is the engine's topic"):
        hear()
    assert not Message.objects.exists()


def test_what_somebody_was_permitted_to_do_others_do_not_carry_on():
    """A bulk deletion that was stopped would go on in the name of who began it."""
    made(Status.SUCCESS)
    assert bulk.begin(ME, "delete", {"status": ["SUCCESS"]})
    bulk_run = Workflow.objects.get(name="durable.bulk_operation").workflow_id

    def tried() -> list[Result]:
        return [
            *ME.resume([bulk_run]), *ME.retry([bulk_run]), *ME.run_now([bulk_run]),
            *ME.set_priority([bulk_run], priority=1), *ME.send([bulk_run], "x"),
            ME.fork(bulk_run, 1), ME.rewind(bulk_run, 1),
        ]  # fmt: skip

    assert {result.outcome for result in tried()} == {"refused"}
    assert ME.cancel([bulk_run])[0].is_done
    assert {(result.outcome, "ask for it anew" in result.detail) for result in tried()} == {("refused", True)}
    assert Workflow.objects.filter(name="shop.checkout").exists()
    assert ME.delete([bulk_run])[0].is_done
