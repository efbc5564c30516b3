"""Stream entries on PostgreSQL: fence, offset, entry and checkpoint in one statement.

The offset follows the last entry that the statement sees, which is the one before it: whoever writes to
a run's streams holds the run's row. Only a statement that began before another's commit, and got the row
after it, sees too little; the primary key refuses its entry, and it is written again.
"""

import json
from collections.abc import Callable
from typing import Any

from psycopg.errors import SerializationFailure, UniqueViolation
from psycopg.pq import TransactionStatus

from durable_app.store.records import Entry, Verdict

# "IS NOT FALSE" as in ``postgres``: the primary key is to be used, no partial index.
APPEND = """
WITH given AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s::json) AS given(
        run bigint, attempt int, key text, value text, position int, at timestamptz, heeds boolean,
        step text, branch text, serialization text
    )
),
owned AS (
    SELECT id, attempt, awaited FROM durable_app_workflow
    WHERE id = ANY (%s::bigint[]) AND (status = 'PENDING') IS NOT FALSE
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
),
allowed AS (
    SELECT given.* FROM given JOIN owned ON owned.id = given.run AND owned.attempt = given.attempt
    WHERE given.heeds OR NOT owned.awaited
),
recorded AS (
    INSERT INTO durable_app_step (workflow_id, position, branch, name, output, serialization,
        started_at, finished_at, tries, attempt)
    SELECT run, position, branch, step, 'null', 'json', at, at, 1, attempt
    FROM allowed WHERE step IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING workflow_id, position, branch
),
landed AS (
    SELECT allowed.* FROM allowed LEFT JOIN recorded
        ON recorded.workflow_id = run AND recorded.position = allowed.position
        AND recorded.branch = allowed.branch
    WHERE step IS NULL OR recorded.position IS NOT NULL
),
entered AS (
    INSERT INTO durable_app_streamentry (workflow_id, key, "offset", value, serialization,
        position, written_at)
    SELECT run, landed.key, COALESCE(last."offset" + 1, 0), landed.value, landed.serialization,
        landed.position, at
    FROM landed LEFT JOIN LATERAL (
        SELECT "offset", value FROM durable_app_streamentry AS entry
        WHERE entry.workflow_id = run AND entry.key = landed.key ORDER BY "offset" DESC LIMIT 1
    ) AS last ON true
    WHERE last."offset" IS NULL OR last.value IS NOT NULL
)
SELECT run, key FROM landed
"""


def append(connection: Any, records: list[Entry], judge: Callable[[Entry], Verdict]) -> list[Verdict]:
    """Append entries to their streams; ``judge`` says why one did not land.

    A stream gets one entry a statement: an offset is the number of those that the statement found.
    """
    answers: dict[int, Verdict] = {}
    left = list(enumerate(records))
    while left:
        streams: dict[tuple[int, str], tuple[int, Entry]] = {}
        for index, record in left:
            streams.setdefault((record.run, record.key), (index, record))
        found = _append_one_to_each(connection, [record for _, record in streams.values()])
        for stream, (index, record) in streams.items():
            answers[index] = Verdict.WRITTEN if stream in found else judge(record)
        left = [(index, record) for index, record in left if index not in answers]
    return [answers[index] for index in range(len(records))]


def _append_one_to_each(connection: Any, records: list[Entry]) -> set[tuple[int, str]]:
    """Return the streams that have got their entry."""
    given = json.dumps([_row(record) for record in records], separators=(",", ":"))
    runs = "{" + ",".join({str(record.run) for record in records}) + "}"
    try:
        return set(connection.execute(APPEND, (given, runs)).fetchall())
    except UniqueViolation as conflict:
        if _session(connection).info.transaction_status is TransactionStatus.IDLE:
            return set()
        # Nothing else can go on in the caller's transaction: it is to be run again.
        raise SerializationFailure("another transaction wrote to the stream meanwhile") from conflict


def _session(connection: Any) -> Any:
    return getattr(connection, "connection", connection)  # of a cursor, or itself


def _row(record: Entry) -> dict[str, Any]:
    return {
        "run": record.run,
        "attempt": record.attempt,
        "key": record.key,
        "value": record.value,
        "position": record.position.number,
        "branch": record.position.branch,
        "at": record.at.isoformat(),
        "heeds": record.heeds,
        "step": record.step,
        "serialization": record.serialization,
    }
