"""Messages: sent once, received once, in order; the wait for one is durable."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from durable_app import (
    NonExistentWorkflowError,
    NotAllowedInStepError,
    NotInWorkflowError,
    SetWorkflowID,
    WorkflowCancelled,
    agather,
    arecv,
    asend,
    cancel_workflow,
    gather,
    recv,
    send,
    start_workflow,
    step,
    workflow,
    workflow_id,
)
from durable_app.models import Message, Status, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, status, step_names, wait_for_status, wait_until
from tests.shop import talk

RECEIVERS = pytest.mark.parametrize("receiver", [talk.receive, talk.areceive])
MARKERS = pytest.mark.parametrize("receiver", [talk.receive_and_mark, talk.areceive_and_mark])
POSTERS = pytest.mark.parametrize("poster", [talk.post, talk.apost])

RUNS: list[str] = []
"""What the bodies and steps of this module's workflows did."""


@pytest.fixture(autouse=True)
def no_runs_yet() -> None:
    RUNS.clear()


def started(func: Any, *args: Any) -> Any:
    """Start a run, which waits for a worker; return its handle."""
    return start_workflow(func, *args)


def finish(*handles: Any) -> list[Any]:
    """Let a worker execute the runs; return their results."""
    with Worker(threads=2):
        return [handle.get_result(timeout=60) for handle in handles]


@workflow
def resend_after_refusal(destination: str) -> str:
    RUNS.append("body")
    try:
        send(destination, "hello")
    except NonExistentWorkflowError as error:
        return f"refused: {error}"
    return "sent"


@step(retries_allowed=True, interval_seconds=0.01, max_attempts=3)
def send_and_fail_twice(destination: str) -> int:
    RUNS.append("try")
    send(destination, len(RUNS))
    if len(RUNS) < 3:
        raise ValueError("not yet")
    return len(RUNS)


@workflow
def send_from_a_step(destination: str) -> int:
    return send_and_fail_twice(destination)


@step
def cancelled_step_sends(destination: str) -> None:
    cancel_workflow(workflow_id() or "")
    send(destination, "from a run that is not ours any more")


@workflow
def send_after_cancellation(destination: str) -> None:
    cancelled_step_sends(destination)


@step
def cancel_myself() -> None:
    cancel_workflow(workflow_id() or "")


@workflow
def receive_after_cancellation() -> Any:
    try:
        cancel_myself()
    except WorkflowCancelled:
        RUNS.append("cancelled")
    try:
        return recv(timeout_seconds=0)
    except WorkflowCancelled:
        RUNS.append("refused")
        raise


@step
def receive_in_a_step() -> Any:
    return recv(timeout_seconds=0)


@workflow
def misuse() -> Any:
    return receive_in_a_step()


@workflow
def receive_in_branches() -> list[Any]:
    return gather(lambda: recv("shared", 3600), lambda: recv("shared", 3600), lambda: recv("other", 3600))


@workflow
async def areceive_in_branches() -> list[Any]:
    return await agather(
        lambda: arecv("shared", 3600), lambda: arecv("shared", 3600), lambda: arecv("other", 3600)
    )


@pytest.mark.django_db(transaction=True)
@RECEIVERS
def test_messages_of_a_topic_arrive_in_the_order_they_were_sent(receiver):
    """139. FIFO per topic; other topics, and messages without one, are left alone."""
    lettered, plain = started(receiver, 3, "letters"), started(receiver, 2)
    for number in range(3):
        send(lettered.workflow_id, f"stray {number}")
        send(lettered.workflow_id, f"letter {number}", "letters")
        send(plain.workflow_id, f"topical {number}", "letters")
        send(plain.workflow_id, f"plain {number}")
    assert finish(lettered, plain) == [["letter 0", "letter 1", "letter 2"], ["plain 0", "plain 1"]]
    left = Message.objects.filter(destination__workflow_id=lettered.workflow_id, consumed_at=None)
    assert [message.topic for message in left] == ["", "", ""]


@pytest.mark.django_db
def test_a_message_to_nobody_is_refused_and_one_to_a_finished_run_is_kept():
    """140. The destination must exist, in whatever state; the error names it."""
    with SetWorkflowID("finished"):
        assert talk.publish("key") == 0
    send("finished", "late")
    assert Message.objects.get().value == '"late"'
    with pytest.raises(NonExistentWorkflowError) as caught:
        send("nobody", "hello")
    assert str(caught.value) == "Non-existent `send` destination workflow ID 'nobody'"
    assert caught.value.workflow_id == "nobody"
    assert Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@POSTERS
def test_a_workflow_sends_once_however_often_it_is_replayed(poster):
    """141. Sending is the step durable.send: a replay does not send again."""
    receiver = started(talk.receive, 2, "letters")
    sender = started(poster, receiver.workflow_id, "one", "two")
    with Worker(threads=2):
        assert sender.get_result(timeout=60) == 2
        execute_again(sender.workflow_id)
        assert sender.get_result(timeout=60) == 2
        assert receiver.get_result(timeout=60) == ["one", "two"]
    assert step_names(sender.workflow_id) == [(1, "durable.send"), (2, "durable.send")]
    assert Message.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_refused_send_is_recorded_and_refused_again_by_the_replay():
    """141. The missing destination is the step's recorded outcome, even if it exists later."""
    sender = started(resend_after_refusal, "later")
    refusal = "refused: Non-existent `send` destination workflow ID 'later'"
    assert finish(sender) == [refusal]
    with SetWorkflowID("later"):
        start_workflow(talk.survey, "nobody")
    execute_again(sender.workflow_id)
    assert finish(sender) == [refusal]
    assert RUNS == ["body", "body"]
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_a_send_in_a_step_is_not_recorded_and_happens_at_every_try():
    """142. At least once, once for each try of the step."""
    receiver = started(talk.receive)
    with SetWorkflowID("sender"):
        assert send_from_a_step(receiver.workflow_id) == 3
    assert step_names("sender") == [(1, "send_and_fail_twice")]
    assert [message.value for message in Message.objects.order_by("id")] == ["1", "2", "3"]


@pytest.mark.django_db(transaction=True)
def test_a_step_of_a_run_that_is_no_longer_its_own_sends_nothing():
    """142. Sending from a step is fenced on the ownership of the run."""
    receiver = started(talk.receive)
    sender = started(send_after_cancellation, receiver.workflow_id)
    with Worker(threads=1) as worker:
        wait_for_status(sender.workflow_id, Status.CANCELLED)
        wait_until(lambda: worker.busy == 0)
    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
@POSTERS
def test_an_idempotency_key_lets_one_message_through_to_each_destination(poster):
    """143. One message a (key, destination), whoever sends it."""
    first, second = started(talk.receive, 1, "letters"), started(talk.receive, 1, "letters")
    for destination in (first.workflow_id, second.workflow_id):
        send(destination, "original", "letters", idempotency_key="k")
        send(destination, "repeated", "letters", idempotency_key="k")
    keyed = started(send_keyed if poster is talk.post else asend_keyed, first.workflow_id)
    finish(keyed)
    send(first.workflow_id, "unkeyed", "letters")
    found = Message.objects.filter(destination__workflow_id=first.workflow_id).order_by("id")
    assert [message.value for message in found] == ['"original"', '"unkeyed"']
    assert Message.objects.filter(destination__workflow_id=second.workflow_id).count() == 1


@workflow
def send_keyed(destination: str) -> None:
    send(destination, "from a workflow", "letters", idempotency_key="k")


@workflow
async def asend_keyed(destination: str) -> None:
    await asend(destination, "from a workflow", "letters", idempotency_key="k")


@pytest.mark.django_db(transaction=True)
@RECEIVERS
def test_none_is_a_message(receiver):
    """144. None is received at once, and consumed; it does not look like a timeout."""
    handle = started(receiver, 2)
    send(handle.workflow_id, None)
    send(handle.workflow_id, "after")
    assert finish(handle) == [[None, "after"]]
    assert step_names(handle.workflow_id) == [(1, "durable.recv"), (3, "durable.recv")]


@pytest.mark.django_db(transaction=True)
@MARKERS
def test_a_message_is_consumed_once_and_kept(receiver):
    """147, 152. One recv takes the oldest message; a replay returns it and takes no other."""
    handle = started(receiver)
    send(handle.workflow_id, "first")
    send(handle.workflow_id, "second")
    assert finish(handle) == [("first", "received")]
    execute_again(handle.workflow_id)
    assert finish(handle) == [("first", "received")]
    kept = Message.objects.order_by("id").values_list("value", "consumed_by_position")
    assert list(kept) == [('"first"', 1), ('"second"', None)]
    assert Message.objects.filter(consumed_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_that_may_record_nothing_consumes_nothing():
    """147. Consumption and the step's record are one transaction: the fence guards both."""
    handle = started(receive_after_cancellation)
    send(handle.workflow_id, "stays")
    with Worker(threads=1):
        wait_until(lambda: RUNS == ["cancelled", "refused"])
    assert Message.objects.get().consumed_at is None


@pytest.mark.django_db(transaction=True)
@MARKERS
def test_a_timeout_is_recorded_and_a_message_that_comes_later_does_not_change_it(receiver):
    """148. The wait's end is a step of its own; the next step's ID is the third, waited or not."""
    late, punctual = started(receiver, None, 0.05), started(receiver, None, 3600)
    send(punctual.workflow_id, "there")
    assert finish(late, punctual) == [(None, "received"), ("there", "received")]
    assert step_names(late.workflow_id) == [(1, "durable.recv"), (2, "durable.sleep"), (3, "mark")]
    assert step_names(punctual.workflow_id) == [(1, "durable.recv"), (3, "mark")]
    send(late.workflow_id, "too late")
    execute_again(late.workflow_id)
    assert finish(late) == [(None, "received")]
    assert Message.objects.filter(consumed_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_end_of_a_wait_is_not_postponed_by_starting_again(settings):
    """148. The deadline is durable: a second execution parks until the time the first one recorded."""
    handle = started(talk.receive)
    ends = []
    for _ in range(2):
        with Worker(threads=1):
            wait_for_status(handle.workflow_id, Status.WAITING)
        ends.append(Workflow.objects.get(workflow_id=handle.workflow_id).wake_at)
        Workflow.objects.filter(workflow_id=handle.workflow_id).update(status=Status.ENQUEUED, wake_at=None)
    assert ends[0] == ends[1]


@pytest.mark.django_db
def test_recv_belongs_in_a_workflow_and_not_in_a_step():
    """149. The errors say where recv() may be called."""
    with pytest.raises(NotInWorkflowError, match=r"^recv\(\) must be called from within a workflow$"):
        recv()
    with pytest.raises(NotInWorkflowError, match=r"^arecv\(\) must be called from within a workflow$"):
        arecv()
    with pytest.raises(NotAllowedInStepError, match="inside the step 'receive_in_a_step'"):
        misuse()


@pytest.mark.django_db(transaction=True)
@RECEIVERS
def test_a_message_makes_the_parked_receiver_claimable_in_its_own_transaction(receiver, settings):
    """148, 150. A waiting run holds no thread; the message itself wakes it, or nothing if rolled back."""
    settings.DURABLE = {"ASYNC_PARK_AFTER": timedelta(seconds=0.1), "PARK_AFTER": timedelta(seconds=0.1)}
    handle = started(receiver, 1, "letters")
    with Worker(threads=1) as worker:
        wait_for_status(handle.workflow_id, Status.WAITING)
        wait_until(lambda: worker.busy == 0)
    assert Workflow.objects.get().waiting_for == "message letters"
    send(handle.workflow_id, "another topic", "parcels")
    assert status(handle.workflow_id) == Status.WAITING
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        send(handle.workflow_id, "rolled back", "letters")
        raise ZeroDivisionError
    assert status(handle.workflow_id) == Status.WAITING
    assert Message.objects.count() == 1
    with transaction.atomic():
        send(handle.workflow_id, "committed", "letters")
    assert status(handle.workflow_id) == Status.ENQUEUED
    assert finish(handle) == [["committed"]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("receiver", [receive_in_branches, areceive_in_branches])
def test_branches_that_wait_for_one_topic_each_get_a_message(receiver):
    """151. Waiters on the same key keep their own wake: no message is lost, none is given twice."""
    handle = started(receiver)
    with Worker(threads=4):
        wait_until(lambda: step_names(handle.workflow_id) or status(handle.workflow_id) == Status.WAITING)
        for topic, message in (("other", "c"), ("shared", "a"), ("shared", "b")):
            send(handle.workflow_id, message, topic)
        result = handle.get_result(timeout=60)
    assert sorted(result[:2]) == ["a", "b"]
    assert result[2] == "c"
    assert not Message.objects.filter(consumed_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_two_workflows_answer_each_other(worker):
    """139, 150. Twenty messages go to and fro; each run sees its partner's in order."""
    with SetWorkflowID("pong"):
        ponger = started(talk.pong, "ping", 10)
    with SetWorkflowID("ping"):
        pinger = started(ping, "pong", 10)
    assert pinger.get_result(timeout=60) == [number + 1 for number in range(10)]
    assert ponger.get_result(timeout=60) == list(range(10))


@workflow
async def ping(partner: str, rounds: int) -> list[int]:
    answers = []
    for number in range(rounds):
        await asend(partner, number, "ping")
        answers.append(await arecv("pong", 3600))
    return answers
