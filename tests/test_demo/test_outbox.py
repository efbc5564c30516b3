"""The webhooks: an event if and only if its transaction commits, and then whatever the receiver does."""

import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from demo_project.outbox.receiver import signature_of
from demo_project.webhook_receiver.inbox import Answer, Inbox, is_genuine, planned_for
from tests.helpers import wait_until
from tests.test_demo.house import House

PENDING = "SELECT event_id FROM outbox_event WHERE state = 'pending'"

PAUSED = """
    SELECT * FROM durable_app_queue
    WHERE name = 'webhooks' AND paused_until IS NOT NULL AND pause_reason LIKE 'The receiver answered 503%%'
"""

ROLL_BACK = """
from django.db import transaction
from demo_project.outbox.workflows import publish
try:
    with transaction.atomic():
        publish("never-happened", "test", {})
        raise RuntimeError
except RuntimeError:
    pass
"""


def everything_delivered(house: House) -> None:
    house.watch("/webhooks/list/", lambda now: now.says.headline == "Everything is delivered.")


def inbox(house: House) -> dict[str, int]:
    """Return how often the receiver has accepted each event, from its own books."""
    page = house.browser.open(f"{house.children.environment['WEBHOOK_URL']}/inbox")
    return {one["event_id"]: one["times"] for one in json.loads(page.text)["heard"]}


def test_an_order_s_events_are_delivered(house):
    """The view that places an order enqueues the delivery in its own transaction; so does the payment's."""
    house.staff()
    number = house.buy()
    everything_delivered(house)
    mine = {f"order.placed-{number}", f"payment.answered-{number}"}
    assert mine <= inbox(house).keys()
    rows = house.rows("SELECT event_id, state FROM outbox_event WHERE event_id LIKE %s", f"%{number}")
    assert dict(rows) == dict.fromkeys(mine, "delivered")


def test_what_is_rolled_back_is_never_delivered(house):
    """Neither the event's row nor the run exists."""
    house.run("shell", "-c", ROLL_BACK)
    assert house.rows("SELECT * FROM outbox_event WHERE event_id = 'never-happened'") == []
    assert house.rows("SELECT * FROM durable_app_workflow WHERE workflow_id LIKE '%%never-happened'") == []


def test_an_outage_pauses_the_queue_and_loses_nothing(house):
    """The first ones to find out pause the queue: most events are tried only when the receiver is back."""
    house.dismiss()
    house.press("/webhooks/", action="outage")
    page = house.press("/webhooks/", action="send")
    assert "10 events are in line" in page.text
    events = {event for (event,) in house.rows(PENDING)}
    assert len(events) == 10
    house.staff()
    wait_until(lambda: house.rows(PAUSED))
    everything_delivered(house)
    heard = inbox(house)
    assert events <= heard.keys()
    expected = {event: 2 if planned_for(event) is Answer.ANSWER_LOST else 1 for event in events}
    assert {event: heard[event] for event in events} == expected
    tries = dict(house.rows("SELECT event_id, tries FROM outbox_event"))
    untouched = [event for event in events if tries[event] == (planned_for(event) is not Answer.ACCEPTED) + 1]
    assert len(untouched) >= 6


def test_a_paused_queue_is_resumed_by_hand(house):
    """The page's button opens the queue at once."""
    house.staff()  # it writes the declaration down
    wait_until(lambda: house.rows("SELECT * FROM durable_app_queue WHERE name = 'webhooks'"))
    house.run("shell", "-c", "from demo_project.outbox.workflows import deliveries; deliveries.pause()")
    assert "paused" in house.browser.open("/webhooks/list/").text
    assert "paused" not in house.press("/webhooks/", action="resume").text


# What is signed


BODY = b'{"id": "1"}'


def signed(body: bytes, at: float, secret: str = "secret") -> str:
    digest = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={int(at)},v1={digest}"


def test_the_shop_s_signature_convinces_the_receiver(settings):
    """Two programs, one secret."""
    settings.WEBHOOK_SECRET = "secret"
    header = signature_of(BODY.decode(), int(time.time()))
    assert is_genuine("secret", header, BODY)
    assert not is_genuine("another", header, BODY)
    assert not is_genuine("secret", header, BODY + b" ")


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", "t=,v1=", "t=1e9,v1=0", "t=1795381351", f"v1={'0' * 64}"],
)
def test_what_is_no_signature_convinces_nobody(header):
    """Nor does it break the receiver."""
    assert not is_genuine("secret", header, BODY)


def test_an_old_signature_convinces_nobody_any_more():
    """Whoever has overheard a delivery cannot repeat it later."""
    now = time.time()
    assert is_genuine("secret", signed(BODY, now - 60), BODY)
    assert not is_genuine("secret", signed(BODY, now - 600), BODY)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer.ACCEPTED, [Answer.ACCEPTED, Answer.ACCEPTED]),
        (Answer.HICCUP, [Answer.HICCUP, Answer.ACCEPTED]),
        (Answer.ANSWER_LOST, [Answer.ANSWER_LOST, Answer.ACCEPTED]),
    ],
)
def test_the_receiver_fails_as_planned(answer: Answer, expected: list[Any]):
    """Only an event's first delivery fails; a hiccup is forgotten, a lost answer is not."""
    event = next(f"event-{number}" for number in range(100) if planned_for(f"event-{number}") is answer)
    books = Inbox()
    assert [books.hear(event, "test"), books.hear(event, "test")] == expected
    assert [one.times for one in books.heard()] == [1 if answer is Answer.HICCUP else 2]
