"""Messages and events: written together with the wake-up of whoever waits for them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db import transaction

from durable_app import clock, serialization
from durable_app.errors import NonExistentWorkflowError
from durable_app.models import Event, EventHistory, Message, Wait, Workflow
from durable_app.serialization import places
from durable_app.store import database, notify, postgres_messages, waits
from durable_app.store.records import Checkpoint, Parcel, Payload, Position
from durable_app.store.steps import fence, landed, record_within
from durable_app.store.waits import News

T = TypeVar("T")


@database.retried
def send(
    parcels: Sequence[Parcel],
    *,
    to_forks: bool = False,
    sender: tuple[int, int, str] | None = None,
    step: Checkpoint | None = None,
) -> None:
    """Put messages into runs' inboxes, once for each key; all of them or none.

    ``to_forks`` also delivers to every fork that a destination has now, and to their forks. ``sender`` is the
    sending run with its attempt and id, which must still hold; ``step`` its checkpoint, recorded in the same
    transaction. Raises NonExistentWorkflowError for an unknown destination.
    """
    if len(parcels) == 1 and not to_forks and _at_once(postgres_messages.send, parcels[0], sender, step):
        _announce(News("message", parcels[0].destination, parcels[0].topic))
        return
    with database.transact():
        if sender is not None:
            fence(*sender)
        if step is not None and landed(step):
            return
        for parcel in parcels:
            forks = _forks(parcel.destination) if to_forks else []
            for destination in (parcel.destination, *forks):
                run = _lock_destination(destination)
                _insert_message(run, _addressed(parcel, destination))
                _wake_receiver(run, News("message", destination, parcel.topic))
        if step is not None:
            record_within(step)


def _at_once(statement: Callable[..., T], *args: Any) -> T | None:
    """Return what a statement of its own answers, None where there is none or it is not for now."""
    if not database.is_postgres() or database.is_repeating():
        return None
    return statement(*args)


def _addressed(parcel: Parcel, destination: str) -> Parcel:
    """Return a parcel as it is to stand in the inbox of a run, perhaps a fork of its destination."""
    if destination == parcel.destination:
        return parcel
    source, target = (places.message(one, parcel.topic) for one in (parcel.destination, destination))
    text = serialization.moved(parcel.text, parcel.serialization, source, target)
    return parcel._replace(destination=destination, text=text)


def _forks(workflow_id: str) -> list[str]:
    """Return the ids of a run's forks, and of theirs."""
    found: list[str] = []
    level = [workflow_id]
    while level:
        forks = _runs().filter(forked_from__in=level).exclude(workflow_id__in=[workflow_id, *found])
        level = list(forks.order_by("pk").values_list("workflow_id", flat=True))
        found += level
    return found


def _lock_destination(workflow_id: str) -> int:
    """Lock the destination against parking (and only that); return its row."""
    if not database.is_postgres():
        found = _runs().filter(workflow_id=workflow_id).values_list("pk", flat=True).first()
        row = (found,) if found is not None else None
    else:
        with database.connection().cursor() as cursor:
            cursor.execute(
                "SELECT id FROM durable_app_workflow WHERE workflow_id = %s FOR KEY SHARE",
                [workflow_id],
            )
            row = cursor.fetchone()
    if row is None:
        raise NonExistentWorkflowError(workflow_id, "`send` destination")
    return int(row[0])


def _insert_message(run: int, parcel: Parcel) -> None:
    message = Message(
        destination_id=run,
        topic=parcel.topic,
        value=parcel.text,
        serialization=parcel.serialization,
        idempotency_key=parcel.idempotency_key,
        sent_at=clock.now(),
    )
    if parcel.idempotency_key is None:
        message.save(using=database.alias(), force_insert=True)
    else:
        Message.objects.using(database.alias()).bulk_create([message], ignore_conflicts=True)


def _wake_receiver(run: int, news: News) -> None:
    waiting = Wait.objects.using(database.alias()).filter(workflow_id=run, key=news.key)
    if waiting.exists():
        waits.wake([run])
    _announce(news)


def _announce(news: News) -> None:
    transaction.on_commit(lambda: notify.announce(news.key), using=database.alias())


@database.retried
def consume(step: Checkpoint, workflow_id: str, topic: str, *, last_chance: bool) -> Payload | None:
    """Take the oldest message of a topic and record it as the step's output, in one transaction.

    Returns the message as it stands in the step. Without a message returns None, and records the step's own
    output (that nothing came) only if ``last_chance``.
    """
    if (found := _at_once(postgres_messages.take, step, topic)) is not None:
        return found
    with database.transact():
        fence(step.run, step.attempt, workflow_id)
        if (earlier := landed(step)) is not None:
            return Payload(earlier.output, earlier.serialization)
        message = (
            Message.objects.using(database.alias())
            .filter(destination_id=step.run, topic=topic, consumed_at__isnull=True)
            .order_by("id")
            .first()
        )
        if message is None:
            if last_chance:
                record_within(step)
            return None
        Message.objects.using(database.alias()).filter(pk=message.pk).update(
            consumed_at=clock.now(), consumed_by_position=step.position.number
        )
        source, target = places.message(workflow_id, topic), places.step(workflow_id, *step.position)
        text = serialization.moved(message.value, message.serialization, source, target)
        received = step._replace(output=text, serialization=message.serialization)
        record_within(received._replace(finished_at=clock.now()))
        return Payload(text, message.serialization)


@database.retried
def set_event(
    run: int, attempt: int, workflow_id: str, key: str, payload: Payload, step: Checkpoint | None
) -> None:
    """Publish a key's value; with ``step`` also its history and the checkpoint, all at once."""
    news = News("event", workflow_id, key)
    if _at_once(postgres_messages.publish, (run, attempt), key, payload, step):
        _announce(news)
        return
    now = clock.now()
    with database.transact():
        fence(run, attempt, workflow_id)
        if step is not None and landed(step):
            return
        Event.objects.using(database.alias()).bulk_create(
            [Event(workflow_id=run, key=key, updated_at=now, **_columns(payload))],
            update_conflicts=True,
            unique_fields=["workflow_id", "key"],
            update_fields=["value", "serialization", "updated_at"],
        )
        if step is not None:
            _append_history(run, key, payload, step.position)
            record_within(step)
        waits.wake_waiting_for(news.key)
        _announce(news)


def _columns(payload: Payload) -> dict[str, Any]:
    return {"value": payload.text, "serialization": payload.serialization}


def _append_history(run: int, key: str, payload: Payload, position: Position) -> None:
    EventHistory(
        workflow_id=run,
        key=key,
        position=position.number,
        branch=position.branch,
        set_at=clock.now(),
        **_columns(payload),
    ).save(using=database.alias(), force_insert=True)


@database.retried
def get_event(workflow_id: str, key: str) -> Payload | None:
    """Return a key's latest value, None if it was never set."""
    with database.connection().cursor() as cursor:  # asked by every look of everybody who waits
        cursor.execute(
            "SELECT event.value, event.serialization FROM durable_app_event AS event"
            " JOIN durable_app_workflow AS run ON run.id = event.workflow_id"
            " WHERE run.workflow_id = %s AND event.key = %s",
            [workflow_id, key],
        )
        row = cursor.fetchone()
    return None if row is None else Payload(*row)


@database.retried
def all_events(workflow_id: str) -> dict[str, Payload]:
    """Return all keys' latest values."""
    found = _events(workflow_id).values_list("key", "value", "serialization")
    return {key: Payload(*payload) for key, *payload in found}


@database.retried
def has_message(run: int, topic: str) -> bool:
    """Return whether an unconsumed message of the topic is there."""
    with database.connection().cursor() as cursor:  # asked by every look of everybody who waits
        cursor.execute(
            "SELECT 1 FROM durable_app_message"
            " WHERE destination_id = %s AND topic = %s AND consumed_at IS NULL LIMIT 1",
            [run, topic],
        )
        return cursor.fetchone() is not None


def _events(workflow_id: str) -> Any:
    return Event.objects.using(database.alias()).filter(workflow__workflow_id=workflow_id)


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
