"""Delivering an event: tried again after hiccups, put off while the receiver is down, done once.

``publish`` belongs into the transaction that makes an event true. It writes the event's row and enqueues its
delivery there, and so there is a delivery if and only if the transaction commits: no relay, no lost event.
"""

import json
from typing import Any

from django.db import transaction as database
from django.db.models import F

from demo_project.outbox.models import Event
from demo_project.outbox.receiver import DeliveryFailed, EventRefused, ReceiverDown, post_event
from durable_app import (
    MaxStepRetriesExceeded,
    Queue,
    SetWorkflowID,
    sleep,
    step,
    transaction,
    workflow,
)

MOST_OUTAGES = 100

deliveries = Queue("webhooks", concurrency=2)


def publish(event_id: str, kind: str, data: dict[str, Any]) -> None:
    """Note that something has happened, and enqueue its delivery, once for each event id."""
    with database.atomic():
        _, is_new = Event.objects.get_or_create(event_id=event_id, defaults={"kind": kind, "data": data})
        if is_new:
            with SetWorkflowID(f"webhook-{event_id}"):
                deliveries.enqueue(deliver, event_id)


@workflow
def deliver(event_id: str) -> str:
    """Deliver one event; return what became of it."""
    body = compose(event_id)
    for _ in range(MOST_OUTAGES):
        try:
            post(event_id, body)
        except ReceiverDown as outage:
            sleep(outage.seconds)
        except (EventRefused, MaxStepRetriesExceeded):
            break
        else:
            return close(event_id, Event.State.DELIVERED.value)
    return close(event_id, Event.State.GIVEN_UP.value)


@transaction
def compose(event_id: str) -> str:
    """Return the event as it is sent: recorded, so that every try sends the same bytes."""
    event = Event.objects.get(event_id=event_id)
    return json.dumps({"id": event.event_id, "kind": event.kind, "data": event.data})


def is_hiccup(error: BaseException) -> bool:
    """Whether it helps to try again at once."""
    return isinstance(error, DeliveryFailed) and not isinstance(error, ReceiverDown | EventRefused)


@step(retries_allowed=True, max_attempts=8, interval_seconds=0.5, should_retry=is_hiccup)
def post(event_id: str, body: str) -> None:
    """Send the event; while the receiver is down, nobody else of the queue need find that out too."""
    try:
        post_event(body)
    except ReceiverDown as outage:
        deliveries.pause(until=outage.seconds, reason=f"The receiver answered {outage}.")
        note(event_id, str(outage))
        raise
    except DeliveryFailed as failure:
        note(event_id, str(failure))
        raise
    note(event_id, "200")


def note(event_id: str, answer: str) -> None:
    """Write a try down."""
    Event.objects.filter(event_id=event_id).update(tries=F("tries") + 1, last_answer=answer[:200])


@transaction
def close(event_id: str, state: str) -> str:
    """Write down how it ended."""
    Event.objects.filter(event_id=event_id).update(state=state)
    return state
