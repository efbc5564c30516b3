"""Made-up runs, in every state and with all that belongs to them: for demonstrations and tests of scale.

Their workflows are registered nowhere: no worker takes them.
"""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from durable_app import clock
from durable_app.models import Event, Message, Status, Step, StreamEntry, Workflow
from durable_app.models.workflow import TERMINAL
from durable_app.store import database

BATCH = 2_000

NAMES = ("shop.checkout", "shop.refund", "mail.newsletter", "library.ingest_document", "reports.nightly")
QUEUES = ("default", "payments", "mail", "embedding")
STEPS = ("reserve", "charge_card", "durable.sleep", "send_receipt", "durable.recv", "dispatch")
CUSTOMERS = ("acme", "globex", "initech", "umbrella")

_WEIGHTS = {
    Status.SUCCESS: 9_000,
    Status.ERROR: 400,
    Status.CANCELLED: 200,
    Status.ENQUEUED: 200,
    Status.WAITING: 100,
    Status.DELAYED: 80,
    Status.PENDING: 15,
    Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED: 5,
}

_TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/payments.py", line 41, in charge_card
    raise CardError("Your card was declined.")
shop.payments.CardError: Your card was declined.
"""
_ERROR = json.dumps(
    {
        "type": "shop.payments.CardError",
        "message": "Your card was declined.",
        "args": ["Your card was declined."],
        "state": {},
        "traceback": _TRACEBACK,
    },
    separators=(",", ":"),
)


def seed(runs: int, *, steps: int = 4, span: timedelta = timedelta(days=30), seed: int = 0) -> Iterator[int]:
    """Write ``runs`` runs with up to ``steps`` steps each, created over the last ``span``, oldest first.

    Yields how many there are after each batch, which is one transaction. The same ``seed`` makes the same.
    """
    chance = random.Random(seed)  # noqa: S311
    now = clock.now()
    prefix = f"seed-{now:%Y%m%d%H%M%S}"
    made = 0
    while made < runs:
        count = min(BATCH, runs - made)
        rows = [
            _run(chance, f"{prefix}-{made + at:08d}", now - span * ((runs - made - at) / runs))
            for at in range(count)
        ]
        _write(chance, rows, steps)
        made += count
        yield made


@database.retried
def _write(chance: random.Random, rows: list[Workflow], steps: int) -> None:
    with database.transact():
        created = _all(Workflow).bulk_create(rows, batch_size=500)
        _all(Step).bulk_create(
            [step for run in created for step in _steps(chance, run, steps)], batch_size=800
        )
        _all(Message).bulk_create([_message(run) for run in created[::10]], batch_size=800)
        _all(Event).bulk_create([_event(run) for run in created[::10]], batch_size=800)
        entries = [entry for run in created[::100] for entry in _stream(run)]
        _all(StreamEntry).bulk_create(entries, batch_size=800)


def _run(chance: random.Random, workflow_id: str, created_at: datetime) -> Workflow:
    status = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    waited, took = timedelta(seconds=chance.expovariate(0.5)), timedelta(seconds=chance.expovariate(0.03))
    has_begun = status not in (Status.ENQUEUED, Status.DELAYED)
    ended = created_at + waited + took if status in TERMINAL else None
    amount = chance.randrange(1, 1000)
    number = workflow_id.rpartition("-")[2]
    return Workflow(
        workflow_id=workflow_id,
        name=chance.choice(NAMES),
        status=status,
        queue_name=chance.choice(QUEUES),
        priority=chance.choice((0, 0, 0, 10)),
        app_version=chance.choice((None, "1.4.1", "1.4.2")),
        user=chance.choice((None, "anna", "ben")),
        parent_workflow_id=f"{workflow_id[: -len(number)]}{int(number) - 1:08d}"
        if chance.random() < 0.1
        else None,
        attributes={"customer": chance.choice(CUSTOMERS), "amount": amount},
        inputs=f'{{"args":["order-{number}",{amount}],"kwargs":{{"card_number":"4242"}}}}',
        output='{"receipt":"paid"}' if status == Status.SUCCESS else None,
        error=_ERROR if status == Status.ERROR else None,
        attempt=1 if has_begun else 0,
        recovery_attempts=101 if status == Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED else 0,
        max_recovery_attempts=100,
        waiting_for="message “paid”" if status == Status.WAITING else "",
        wake_at=clock.now() + timedelta(days=365) if status == Status.WAITING else None,
        run_after=clock.now() + timedelta(days=365) if status == Status.DELAYED else None,
        created_at=created_at,
        enqueued_at=created_at,
        started_at=created_at + waited if has_begun else None,
        finished_at=ended,
        updated_at=ended or created_at,
    )


def _steps(chance: random.Random, run: Workflow, most: int) -> Iterator[Step]:
    if run.started_at is None:
        return
    count = chance.randint(1, most) if most else 0
    end = run.finished_at or run.started_at + timedelta(seconds=20)
    each = (end - run.started_at) / max(1, count)
    for position in range(1, count + 1):
        fails = run.status == Status.ERROR and position == count
        began = run.started_at + each * (position - 1)
        yield Step(
            workflow_id=run.pk,
            position=position,
            name="charge_card" if fails else STEPS[(position - 1) % len(STEPS)],
            output=None if fails else f'{{"ok":true,"step":{position}}}',
            error=_ERROR if fails else None,
            started_at=began,
            finished_at=began + each * 0.9,
            tries=2 if fails else 1,
            attempt=1,
        )


def _message(run: Workflow) -> Message:
    return Message(destination_id=run.pk, topic="paid", value='{"amount":12}', sent_at=run.created_at)


def _event(run: Workflow) -> Event:
    return Event(workflow_id=run.pk, key="progress", value='"half done"', updated_at=run.created_at)


def _stream(run: Workflow) -> Iterator[StreamEntry]:
    for offset in range(5):
        yield StreamEntry(
            workflow_id=run.pk,
            key="tokens",
            offset=offset,
            value=f'"word {offset}"',
            position=1,
            written_at=run.created_at,
        )


def _all(model: Any) -> Any:
    return model._base_manager.using(database.alias())
