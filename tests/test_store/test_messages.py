"""Messages at the store: sent and received in one statement, or in the general way, with the same effect."""

import threading
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from durable_app import clock
from durable_app.models import EventHistory, Message, Status, Step, Wait, Workflow
from durable_app.store import messages, waits
from durable_app.store.records import Checkpoint, Parcel, Payload, Position
from durable_app.store.waits import News, Parked
from tests.helpers import in_thread

pytestmark = pytest.mark.django_db(transaction=True)

TOPIC = "letters"


def make_run(status: str = Status.PENDING) -> Workflow:
    now = clock.now()
    return Workflow.objects.create(
        workflow_id=str(uuid4()),
        queue_name="default",
        name="talks",
        inputs='{"args": [], "kwargs": {}}',
        status=status,
        attempt=1,
        created_at=now,
        updated_at=now,
    )


def step_of(run: Workflow, number: int = 1) -> Checkpoint:
    now = clock.now()
    return Checkpoint(
        run=run.pk,
        attempt=1,
        position=Position(number),
        name="step",
        output="null",
        started_at=now,
        finished_at=now,
    )


def send(run: Workflow, text: str, **options: Any) -> None:
    messages.send([Parcel(run.workflow_id, TOPIC, text, **options)])


def receive(run: Workflow, number: int = 1, *, last_chance: bool = False) -> Payload | None:
    return messages.consume(step_of(run, number), run.workflow_id, TOPIC, last_chance=last_chance)


@pytest.fixture(params=["at once", "in general"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in general":
        monkeypatch.setattr(messages, "_at_once", lambda *args: None)


@pytest.mark.usefixtures("_way")
def test_messages_are_received_once_and_in_order():
    """147. Each step has its message's text; one that finds none records that only if it is told to."""
    run = make_run()
    for text in ('"a"', '"b"'):
        send(run, text)
    assert [receive(run, number) for number in (1, 2, 3)] == [Payload('"a"'), Payload('"b"'), None]
    assert list(Step.objects.values_list("position", "output", "tries", "attempt")) == [
        (1, '"a"', 1, 1),
        (2, '"b"', 1, 1),
    ]
    assert receive(run, 3, last_chance=True) is None
    assert Step.objects.get(position=3).output == "null"
    assert list(Message.objects.order_by("id").values_list("consumed_by_position", flat=True)) == [1, 2]
    assert not Message.objects.filter(consumed_at__isnull=True).exists()


@pytest.mark.usefixtures("_way")
def test_a_senders_step_is_recorded_with_the_message():
    """142. Also where the message was there already, by its key."""
    run, other = make_run(), make_run(Status.SUCCESS)
    sender = (run.pk, 1, run.workflow_id)
    for number in (1, 2):
        parcel = Parcel(other.workflow_id, TOPIC, "1", "key")
        messages.send([parcel], sender=sender, step=step_of(run, number))
    assert Message.objects.count() == 1
    assert list(Step.objects.values_list("workflow_id", "position", "name", "output")) == [
        (run.pk, 1, "step", "null"),
        (run.pk, 2, "step", "null"),
    ]


@pytest.mark.usefixtures("_way")
def test_a_parked_receiver_is_woken_with_the_message():
    """150. In the transaction that makes the message durable."""
    run = make_run()
    news = News("message", run.workflow_id, TOPIC)
    assert waits.park(run.pk, 1, run.workflow_id, news=(news,)) is Parked.PARKED
    send(run, "1")
    run.refresh_from_db()
    assert (run.status, Message.objects.count()) == (Status.ENQUEUED, 1)


@pytest.mark.postgres(reason="the general way is the only one on SQLite")
def test_an_ordinary_message_is_one_statement_for_each_side():
    """And so is one of another format for its sender, but not for its receiver: the text may have to move."""
    run = make_run()
    with CaptureQueriesContext(connection) as sent:
        send(run, "1")
    with CaptureQueriesContext(connection) as received:
        assert receive(run) == Payload("1")
    assert (len(sent), len(received)) == (1, 1)
    send(run, "2", serialization="portable_json")
    with CaptureQueriesContext(connection) as received:
        assert receive(run, 2) == Payload("2", "portable_json")
    assert len(received) > 1


def holding(work: Any) -> tuple[threading.Event, threading.Event, "Future[Any]"]:
    """Do some work in a transaction of another thread, which stays open until the second event is set."""
    done, release = threading.Event(), threading.Event()

    def hold() -> Any:
        with transaction.atomic():
            found = work()
            done.set()
            assert release.wait(30)
            return found

    future = in_thread(hold)
    assert done.wait(30)
    return done, release, future


def wait_for_a_lock() -> None:
    """Wait until some connection waits for a lock of another."""
    with connection.cursor() as cursor:
        for _ in range(3000):
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.postgres(reason="SQLite has one writer at a time")
def test_a_message_to_a_run_that_is_parking_wakes_it():
    """150, 177. The sender's statement began before the run was parked, and waited for its row."""
    run = make_run()
    news = News("message", run.workflow_id, TOPIC)
    _, release, parking = holding(lambda: waits.park(run.pk, 1, run.workflow_id, news=(news,)))
    sending = in_thread(send, run, "1")
    wait_for_a_lock()
    release.set()
    assert parking.result(30) is Parked.PARKED
    sending.result(30)
    run.refresh_from_db()
    assert run.status == Status.ENQUEUED
    assert not Wait.objects.exists()
    assert Message.objects.count() == 1


@pytest.mark.postgres(reason="SQLite has one writer at a time")
def test_a_run_that_parks_while_a_message_is_on_its_way_sees_it():
    """150, 177. The sender has written, but not committed: the run waits for that, and does not park."""
    run = make_run()
    news = News("message", run.workflow_id, TOPIC)
    _, release, sending = holding(lambda: send(run, "1"))
    parking = in_thread(waits.park, run.pk, 1, run.workflow_id, news=(news,))
    wait_for_a_lock()
    release.set()
    sending.result(30)
    assert parking.result(30) is Parked.READY
    run.refresh_from_db()
    assert run.status == Status.PENDING


@pytest.mark.postgres(reason="SQLite has one writer at a time")
def test_two_branches_that_receive_at_once_get_a_message_each():
    """147, 151. The second one's statement began before the first had taken its message."""
    run = make_run()
    for text in ("1", "2"):
        send(run, text)
    _, release, first = holding(lambda: receive(run, 1))
    second = in_thread(receive, run, 2)
    wait_for_a_lock()
    release.set()
    assert first.result(30) == Payload("1")
    assert second.result(30) == Payload("2")


def publish(run: Workflow, text: str, step: Checkpoint | None = None) -> None:
    messages.set_event(run.pk, 1, run.workflow_id, TOPIC, Payload(text), step)


@pytest.mark.usefixtures("_way")
def test_an_event_has_its_latest_value_and_a_history_of_the_workflows_own():
    """153, 154. What a step publishes is no step of its own, and has no history."""
    run = make_run()
    publish(run, "1", step_of(run, 1))
    publish(run, "2", step_of(run, 2))
    publish(run, "3")
    assert messages.get_event(run.workflow_id, TOPIC) == Payload("3")
    history = EventHistory.objects.order_by("position").values_list("position", "value")
    assert list(history) == [(1, "1"), (2, "2")]
    assert list(Step.objects.order_by("position").values_list("position", "output")) == [
        (1, "null"),
        (2, "null"),
    ]


def park_for_event(reader: Workflow, target: Workflow) -> Parked:
    news = News("event", target.workflow_id, TOPIC)
    return waits.park(reader.pk, 1, reader.workflow_id, news=(news,))


@pytest.mark.usefixtures("_way")
def test_a_parked_reader_is_woken_with_the_event():
    """155. In the transaction that makes the event durable."""
    reader, target = make_run(), make_run()
    assert park_for_event(reader, target) is Parked.PARKED
    publish(target, "1", step_of(target))
    reader.refresh_from_db()
    assert reader.status == Status.ENQUEUED
    assert not Wait.objects.exists()


@pytest.mark.postgres(reason="SQLite has one writer at a time")
def test_an_event_of_a_run_for_which_another_is_parking_wakes_that():
    """155, 177. The publisher's statement began before the reader was parked, and waited for the row."""
    reader, target = make_run(), make_run()
    _, release, parking = holding(lambda: park_for_event(reader, target))
    publishing = in_thread(publish, target, "1", step_of(target))
    wait_for_a_lock()
    release.set()
    assert parking.result(30) is Parked.PARKED
    publishing.result(30)
    reader.refresh_from_db()
    assert reader.status == Status.ENQUEUED
    assert EventHistory.objects.count() == 1


@pytest.mark.postgres(reason="SQLite has one writer at a time")
def test_who_parks_while_the_event_is_being_published_looks_again():
    """155, 177. The publisher's row is locked, so nothing can be said yet."""
    reader, target = make_run(), make_run()
    _, release, publishing = holding(lambda: publish(target, "1", step_of(target)))
    assert park_for_event(reader, target) is Parked.BUSY
    release.set()
    publishing.result(30)
    assert park_for_event(reader, target) is Parked.READY
