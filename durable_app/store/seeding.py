"""Made-up runs, in every state and with all that belongs to them: for demonstrations and tests of scale.

Their workflows are registered nowhere: no worker takes them. Rows are tuples that go into the table by COPY,
or by one prepared INSERT on SQLite: as model instances they took a multiple of the time.
"""

import json
import random
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

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


class _Run(NamedTuple):
    id: int
    workflow_id: str
    name: str
    status: str
    queue_name: str
    priority: int
    app_version: str | None
    user: str | None
    parent_workflow_id: str | None
    attributes: str
    inputs: str
    output: str | None
    error: str | None
    attempt: int
    recovery_attempts: int
    max_recovery_attempts: int
    waiting_for: str
    wake_at: datetime | None
    run_after: datetime | None
    created_at: datetime
    enqueued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


class _Step(NamedTuple):
    workflow_id: int
    position: int
    name: str
    output: str | None
    error: str | None
    started_at: datetime
    finished_at: datetime
    tries: int
    attempt: int


class _Message(NamedTuple):
    destination_id: int
    topic: str
    value: str
    sent_at: datetime


class _Event(NamedTuple):
    workflow_id: int
    key: str
    value: str
    updated_at: datetime


class _Entry(NamedTuple):
    workflow_id: int
    key: str
    offset: int
    value: str
    position: int
    written_at: datetime


def seed(runs: int, *, steps: int = 4, span: timedelta = timedelta(days=30), seed: int = 0) -> Iterator[int]:
    """Write ``runs`` runs with up to ``steps`` steps each, created over the last ``span``, oldest first.

    Yields how many there are after each batch, which is one transaction. The same ``seed`` makes the same;
    only the ids are new ones.
    """
    chance = random.Random(seed)  # noqa: S311
    now = clock.now()
    prefix = f"seed-{now:%Y%m%d%H%M%S}-{secrets.token_hex(3)}"
    made = 0
    while made < runs:
        count = min(BATCH, runs - made)
        created = [now - span * ((runs - made - at) / runs) for at in range(count)]
        _write(chance, f"{prefix}-", made, created, steps)
        made += count
        yield made


@database.retried
def _write(chance: random.Random, prefix: str, first: int, created: list[datetime], steps: int) -> None:
    with database.transact():
        ids = _new_ids(len(created))
        states = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=len(created))
        runs = [
            _run(chance, id, (prefix, number), status, at)
            for number, (id, status, at) in enumerate(zip(ids, states, created, strict=True), first)
        ]
        _insert(Workflow, runs)
        _insert(Step, [step for run in runs for step in _steps(chance, run, steps)])
        _insert(Message, [_Message(run.id, "paid", '{"amount":12}', run.created_at) for run in runs[::10]])
        _insert(Event, [_Event(run.id, "progress", '"half done"', run.created_at) for run in runs[::10]])
        _insert(StreamEntry, [entry for run in runs[::100] for entry in _stream(run)])


def _run(chance: random.Random, id: int, name: tuple[str, int], status: Status, created_at: datetime) -> _Run:
    prefix, number = name
    waited, took = timedelta(seconds=chance.expovariate(0.5)), timedelta(seconds=chance.expovariate(0.03))
    has_begun = status not in (Status.ENQUEUED, Status.DELAYED)
    ended = created_at + waited + took if status in TERMINAL else None
    amount = chance.randrange(1, 1000)
    in_a_year = clock.now() + timedelta(days=365)
    return _Run(
        id=id,
        workflow_id=f"{prefix}{number:08d}",
        name=chance.choice(NAMES),
        status=status.value,
        queue_name=chance.choice(QUEUES),
        priority=chance.choice((0, 0, 0, 10)),
        app_version=chance.choice((None, "1.4.1", "1.4.2")),
        user=chance.choice((None, "anna", "ben")),
        parent_workflow_id=f"{prefix}{number - 1:08d}" if chance.random() < 0.1 else None,
        attributes=f'{{"customer": "{chance.choice(CUSTOMERS)}", "amount": {amount}}}',
        inputs=f'{{"args":["order-{number:08d}",{amount}],"kwargs":{{"card_number":"4242"}}}}',
        output='{"receipt":"paid"}' if status == Status.SUCCESS else None,
        error=_ERROR if status == Status.ERROR else None,
        attempt=1 if has_begun else 0,
        recovery_attempts=101 if status == Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED else 0,
        max_recovery_attempts=100,
        waiting_for="message “paid”" if status == Status.WAITING else "",
        wake_at=in_a_year if status == Status.WAITING else None,
        run_after=in_a_year if status == Status.DELAYED else None,
        created_at=created_at,
        enqueued_at=created_at,
        started_at=created_at + waited if has_begun else None,
        finished_at=ended,
        updated_at=ended or created_at,
    )


def _steps(chance: random.Random, run: _Run, most: int) -> Iterator[_Step]:
    if run.started_at is None:
        return
    count = chance.randint(1, most) if most else 0
    end = run.finished_at or run.started_at + timedelta(seconds=20)
    each = (end - run.started_at) / max(1, count)
    for position in range(1, count + 1):
        fails = run.error is not None and position == count
        began = run.started_at + each * (position - 1)
        yield _Step(
            workflow_id=run.id,
            position=position,
            name="charge_card" if fails else STEPS[(position - 1) % len(STEPS)],
            output=None if fails else f'{{"ok":true,"step":{position}}}',
            error=_ERROR if fails else None,
            started_at=began,
            finished_at=began + each * 0.9,
            tries=2 if fails else 1,
            attempt=1,
        )


def _stream(run: _Run) -> Iterator[_Entry]:
    for offset in range(5):
        yield _Entry(run.id, "tokens", offset, f'"word {offset}"', 1, run.created_at)


def _new_ids(count: int) -> list[int]:
    """Return unused ids of runs, ascending."""
    table = Workflow._meta.db_table
    with database.connection().cursor() as cursor:
        if database.is_postgres():
            sequence = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
            cursor.execute(sequence, [table, count])
            return [id for (id,) in cursor.fetchall()]
        cursor.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [table])
        last: int = cursor.fetchone()[0]
        return list(range(last + 1, last + 1 + count))


def _insert(model: Any, rows: list[Any]) -> None:
    """Insert rows, whose fields are columns; the columns they lack have a default."""
    if not rows:
        return
    connection: Any = database.connection()
    columns = ", ".join(map(connection.ops.quote_name, rows[0]._fields))
    into = f"{model._meta.db_table} ({columns})"
    with connection.cursor() as cursor:
        if database.is_postgres():
            with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(rows[0]))
            adapt = connection.ops.adapt_datetimefield_value
            cursor.executemany(
                f"INSERT INTO {into} VALUES ({marks})",  # noqa: S608  (names of the row's fields)
                ([adapt(value) if isinstance(value, datetime) else value for value in row] for row in rows),
            )
