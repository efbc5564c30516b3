"""Messages and events on PostgreSQL: each verb one statement, where nothing special is the matter.

What these statements decline, the general way does in a transaction of several: who is parked must be
woken, a refusal needs a reason, a value may have to be written anew for its new place.
"""

import functools
from typing import Any

from durable_app import clock
from durable_app.store import database
from durable_app.store.records import Checkpoint, Parcel, Payload

# "IS NOT FALSE" as in ``postgres``: the primary key is to be used, no partial index.
_OWN = """
own AS (
    SELECT id FROM durable_app_workflow
    WHERE id = %(run)s AND attempt = %(attempt)s AND (status = 'PENDING') IS NOT FALSE
    FOR NO KEY UPDATE
)
"""

# Who parks for an event marks the run as awaited, under the same lock.
_OWN_UNAWAITED = _OWN.replace("IS NOT FALSE", "IS NOT FALSE AND NOT awaited")

_STEP = """
INSERT INTO durable_app_step (workflow_id, position, branch, name, output, serialization, started_at,
    finished_at, tries, attempt)
SELECT own.id, %(position)s, %(branch)s, %(name)s, {output}, {serialization}, %(started_at)s,
    %(finished_at)s, 1, %(attempt)s
FROM own
"""

# Whoever parks holds the row ``FOR UPDATE``. The lock waits for that, and looks at the status again: the
# run is either not parked, and will see the message, or it is declined here.
_DESTINATION = """
destination AS (
    SELECT id FROM durable_app_workflow
    WHERE workflow_id = %(destination)s AND status <> 'WAITING' FOR KEY SHARE
)
"""

_SENT = """
sent AS (
    INSERT INTO durable_app_message (destination_id, topic, value, serialization, idempotency_key, sent_at)
    SELECT destination.id, %(topic)s, %(text)s, %(format)s, %(key)s, %(now)s FROM {source}
    ON CONFLICT (destination_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
)
"""

TAKE = f"""
WITH {_OWN}, oldest AS MATERIALIZED (
    SELECT message.id FROM durable_app_message AS message JOIN own ON own.id = message.destination_id
    WHERE message.topic = %(topic)s AND message.consumed_at IS NULL
    ORDER BY message.id LIMIT 1
), taken AS (
    UPDATE durable_app_message AS message
    SET consumed_at = %(finished_at)s, consumed_by_position = %(position)s
    FROM oldest
    WHERE message.id = oldest.id AND message.consumed_at IS NULL AND message.serialization = 'json'
    RETURNING message.value, message.serialization
), noted AS (
    {_STEP.format(output="taken.value", serialization="taken.serialization")} CROSS JOIN taken
)
SELECT value, serialization FROM taken
"""  # noqa: S608  (made of the texts above)


_EVENT = """
event AS (
    INSERT INTO durable_app_event (workflow_id, key, value, serialization, updated_at)
    SELECT own.id, %(key)s, %(text)s, %(format)s, %(now)s FROM own
    ON CONFLICT (workflow_id, key) DO UPDATE SET
        value = EXCLUDED.value, serialization = EXCLUDED.serialization, updated_at = EXCLUDED.updated_at
)
"""

_HISTORY = """
history AS (
    INSERT INTO durable_app_eventhistory (workflow_id, key, position, branch, value, serialization, set_at)
    SELECT own.id, %(key)s, %(position)s, %(branch)s, %(text)s, %(format)s, %(now)s FROM own
)
"""


def send(parcel: Parcel, sender: tuple[int, int, str] | None, step: Checkpoint | None) -> bool:
    """Put a message into a run's inbox, and record the step that sends it; False where that is declined."""
    given: dict[str, Any] = {
        "destination": parcel.destination,
        "topic": parcel.topic,
        "text": parcel.text,
        "format": parcel.serialization,
        "key": parcel.idempotency_key,
        "now": clock.now(),
    }
    if sender is not None:
        given |= {"run": sender[0], "attempt": sender[1]}
    if step is not None:
        given |= _columns(step)
    with database.connection().cursor() as cursor:
        cursor.execute(_send_statement(sender is not None, step is not None), given)
        return cursor.fetchone() is not None


@functools.cache
def _send_statement(is_fenced: bool, is_step: bool) -> str:
    parts, source = [_DESTINATION], "destination"
    if is_fenced:
        parts.insert(0, _OWN)
        source = "destination CROSS JOIN own"
    parts.append(_SENT.format(source=source))
    if is_step:
        step = _STEP.format(output="%(output)s", serialization="%(serialization)s")
        parts.append(f"noted AS ({step} CROSS JOIN destination)")
    return f"WITH {', '.join(parts)} SELECT 1 FROM {source}"  # noqa: S608  (made of the texts above)


def take(step: Checkpoint, topic: str) -> Payload | None:
    """Take the oldest message of a topic and record it as the step's output; None where that is declined."""
    with database.connection().cursor() as cursor:
        cursor.execute(TAKE, {**_columns(step), "run": step.run, "topic": topic, "finished_at": clock.now()})
        row = cursor.fetchone()
    return None if row is None else Payload(*row)


def publish(run: tuple[int, int], key: str, payload: Payload, step: Checkpoint | None) -> bool:
    """Set an event of a run, given with its attempt, and record the step; False where that is declined."""
    given: dict[str, Any] = {
        "key": key,
        "text": payload.text,
        "format": payload.serialization,
        "now": clock.now(),
    }
    if step is not None:
        given |= _columns(step)
    given |= {"run": run[0], "attempt": run[1]}
    with database.connection().cursor() as cursor:
        cursor.execute(_publish_statement(step is not None), given)
        return cursor.fetchone() is not None


@functools.cache
def _publish_statement(is_step: bool) -> str:
    parts = [_OWN_UNAWAITED, _EVENT]
    if is_step:
        step = _STEP.format(output="%(output)s", serialization="%(serialization)s")
        parts += [_HISTORY, f"noted AS ({step})"]
    return f"WITH {', '.join(parts)} SELECT 1 FROM own"  # noqa: S608  (made of the texts above)


def _columns(step: Checkpoint) -> dict[str, Any]:
    return {
        "attempt": step.attempt,
        "position": step.position.number,
        "branch": step.position.branch,
        "name": step.name,
        "output": step.output,
        "serialization": step.serialization,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
    }
