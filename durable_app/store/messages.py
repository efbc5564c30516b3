"""Messages and events: written together with the wake-up of whoever waits for them."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from durable_app import clock
from durable_app.errors import NonExistentWorkflowError
from durable_app.models import Event, EventHistory, Message, Wait, Workflow
from durable_app.store import database, notify, waits
from durable_app.store.records import Checkpoint, Parcel, Position
from durable_app.store.steps import fence, landed, record_within
from durable_app.store.waits import News


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
    with database.transact():
        if sender is not None:
            fence(*sender)
        if step is not None and landed(step):
            return
        for parcel in parcels:
            forks = _forks(parcel.destination) if to_forks else []
            for destination in (parcel.destination, *forks):
                run = _lock_destination(destination)
                _insert_message(run, parcel)
                _wake_receiver(run, News("message", destination, parcel.topic))
        if step is not None:
            record_within(step)


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
    transaction.on_commit(lambda: notify.announce(news.key), using=database.alias())


@database.retried
def consume(step: Checkpoint, workflow_id: str, topic: str, *, last_chance: bool) -> str | None:
    """Take the oldest message of a topic and record it as the step's output, in one transaction.

    Returns the message's text. Without a message returns None, and records the step's own output (that
    nothing came) only if ``last_chance``.
    """
    with database.transact():
        fence(step.run, step.attempt, workflow_id)
        if (earlier := landed(step)) is not None:
            return earlier.output
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
        record_within(step._replace(output=message.value, finished_at=clock.now()))
        return message.value


@database.retried
def set_event(run: int, attempt: int, workflow_id: str, key: str, text: str, step: Checkpoint | None) -> None:
    """Publish a key's value; with ``step`` also its history and the checkpoint, all at once."""
    now = clock.now()
    with database.transact():
        fence(run, attempt, workflow_id)
        if step is not None and landed(step):
            return
        Event.objects.using(database.alias()).bulk_create(
            [Event(workflow_id=run, key=key, value=text, updated_at=now)],
            update_conflicts=True,
            unique_fields=["workflow_id", "key"],
            update_fields=["value", "updated_at"],
        )
        if step is not None:
            _append_history(run, key, text, step.position)
            record_within(step)
        news = News("event", workflow_id, key)
        waits.wake_waiting_for(news.key)
        transaction.on_commit(lambda: notify.announce(news.key), using=database.alias())


def _append_history(run: int, key: str, text: str, position: Position) -> None:
    EventHistory(
        workflow_id=run,
        key=key,
        position=position.number,
        branch=position.branch,
        value=text,
        set_at=clock.now(),
    ).save(using=database.alias(), force_insert=True)


@database.retried
def get_event(workflow_id: str, key: str) -> str | None:
    """Return the text of a key's latest value, None if it was never set."""
    text: str | None = _events(workflow_id).filter(key=key).values_list("value", flat=True).first()
    return text


@database.retried
def all_events(workflow_id: str) -> dict[str, str]:
    """Return the texts of all keys' latest values."""
    return dict(_events(workflow_id).values_list("key", "value"))


@database.retried
def has_message(run: int, topic: str) -> bool:
    """Return whether an unconsumed message of the topic is there."""
    inbox = Message.objects.using(database.alias()).filter(
        destination_id=run, topic=topic, consumed_at__isnull=True
    )
    return bool(inbox.exists())


def _events(workflow_id: str) -> Any:
    return Event.objects.using(database.alias()).filter(workflow__workflow_id=workflow_id)


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
