"""The hot path on PostgreSQL: hand-written statements on one prepared autocommit connection.

A batch travels as one JSON parameter. The fence takes the run's row lock (``FOR NO KEY UPDATE``) in the
statement that writes: without the lock, an old owner's record was seen to land after the new owner had
read its history in a third of all races. ``SKIP LOCKED`` lets a run whose row is locked elsewhere be
tried again alone, so that it never stalls its neighbours.
"""

import functools
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from durable_app import clock
from durable_app.store import postgres_streams
from durable_app.store.batches import judge, step_of, write_mixed
from durable_app.store.postgres_runs import insert_run, insert_runs
from durable_app.store.records import Checkpoint, Entry, NewRun, Outcome, Record, Verdict

CHANNEL = "durable_app"

# A hint need not be durable: without this, each one waits for the disk.
NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)"

# "IS NOT FALSE" (status is never null) keeps the planner from the partial index of running runs, which a
# young table makes look cheaper than the primary key: it would read every run of every worker.

_OWNED = """
given AS MATERIALIZED (SELECT * FROM json_to_recordset(%s::json) AS given({columns})),
owned AS (
    SELECT id, attempt FROM durable_app_workflow
    WHERE id = ANY (%s::bigint[]) AND (status = 'PENDING') IS NOT FALSE {condition}
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
"""

_STEP_COLUMNS = """run bigint, attempt int, position int, branch text, name text, output text, error text,
    serialization text, child_workflow_id text, started_at timestamptz, finished_at timestamptz, tries int"""

_STEP_NAMES = """workflow_id, position, branch, name, output, error, serialization, child_workflow_id,
    started_at, finished_at, tries, attempt"""

INSERT_CHECKPOINTS = f"""
WITH {_OWNED.format(columns=_STEP_COLUMNS, condition="")}
INSERT INTO durable_app_step ({_STEP_NAMES})
SELECT run, position, COALESCE(branch, ''), name, output, error, serialization, child_workflow_id,
    started_at, finished_at, tries, given.attempt
FROM given JOIN owned ON owned.id = given.run AND owned.attempt = given.attempt
ON CONFLICT DO NOTHING
RETURNING workflow_id, position, branch
"""  # noqa: S608

_OUTCOME_COLUMNS = "run bigint, attempt int, status text, output text, error text, at timestamptz"

UPDATE_OUTCOMES = f"""
WITH {_OWNED.format(columns=_OUTCOME_COLUMNS, condition="AND NOT awaited")}
UPDATE durable_app_workflow AS run
SET status = given.status, output = given.output, error = given.error, finished_at = given.at,
    updated_at = given.at, deduplication_id = NULL, waiting_for = ''
FROM given JOIN owned ON owned.id = given.run AND owned.attempt = given.attempt
WHERE run.id = owned.id
RETURNING run.id
"""  # noqa: S608

# The same for one record, with a parameter a column: half the work for both sides.

_OWN = """
own AS (
    SELECT id FROM durable_app_workflow
    WHERE id = %s AND attempt = %s AND (status = 'PENDING') IS NOT FALSE {condition}
    FOR NO KEY UPDATE SKIP LOCKED
)
"""

INSERT_CHECKPOINT = f"""
WITH {_OWN.format(condition="")}
INSERT INTO durable_app_step ({_STEP_NAMES})
SELECT id, %s::int, %s::text, %s::text, %s::text, %s::text, %s::text, %s::text,
    %s::timestamptz, %s::timestamptz, %s::int, %s::int
FROM own ON CONFLICT DO NOTHING
"""  # noqa: S608

UPDATE_OUTCOME = f"""
WITH {_OWN.format(condition="AND NOT awaited")}
UPDATE durable_app_workflow AS run
SET status = %s, output = %s, error = %s, finished_at = %s, updated_at = %s,
    deduplication_id = NULL, waiting_for = ''
FROM own WHERE run.id = own.id
"""  # noqa: S608

READ_STATE = """
SELECT run.status, run.attempt, run.awaited, step.attempt, step.output, step.error
FROM durable_app_workflow AS run
LEFT JOIN durable_app_step AS step
    ON step.workflow_id = run.id AND step.position = %s AND step.branch = %s
WHERE run.id = %s
"""


class PostgresWriter:
    """Writes batches on a connection of its own, built from the alias's parameters.

    ``pooled`` says that a transaction pooler stands between: no prepared statements then, and no session
    settings.
    """

    def __init__(self, params: dict[str, Any], *, pooled: bool) -> None:
        self._params = {
            "connect_timeout": 10,
            "tcp_user_timeout": 15_000,
            **params,
            "autocommit": True,
            "prepare_threshold": None if pooled else 1,
        }
        for name in ("cursor_factory", "context"):  # Django's, made for its own cursors
            self._params.pop(name, None)
        self._pooled = pooled
        self._connection: psycopg.Connection[Any] | None = None
        self._cursor: psycopg.Cursor[Any] | None = None

    def write(self, records: list[Record]) -> list[Any]:
        """Write all records in one commit and return an answer for each."""
        cursor = self._open()
        if clock.is_stale():
            self._synchronize(cursor)
        if len(records) == 1:
            return [self._write_one(cursor, records[0])]
        if len({type(record) for record in records}) == 1:
            return self._write_kind(cursor, records)
        with cursor.connection.transaction():
            return self.write_within(cursor, records)

    def write_within(self, connection: Any, records: list[Record]) -> list[Any]:
        """Write all records on a connection whose transaction is the caller's."""
        if len(records) == 1:
            return [self._write_one(connection, records[0])]
        return write_mixed(connection, records, self._write_kind)

    def notify(self, payload: str) -> None:
        """Send one NOTIFY to every listening worker."""
        self._open().execute(NOTIFY, (CHANNEL, payload))

    def is_outage(self, error: Exception) -> bool:
        """Return whether the database, not a record, is at fault."""
        return is_outage(error)

    def close(self) -> None:
        """Close the connection; the next write opens another."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            connection.close()

    def _open(self) -> "psycopg.Cursor[Any]":
        if self._connection is None or self._cursor is None or self._connection.closed:
            self._connection = psycopg.connect(**self._params)
            self._cursor = self._connection.cursor()
            if not self._pooled:
                # A plan prepared on a young table is a sequential scan, and it is kept: at 25,000 runs a
                # batch of 32 took 10.7 ms instead of 0.5.
                self._cursor.execute("SET enable_seqscan = off")
        return self._cursor

    def _synchronize(self, cursor: "psycopg.Cursor[Any]") -> None:
        row = cursor.execute("SELECT clock_timestamp()").fetchone()
        if row is not None:
            clock.synchronize(row[0])

    def _write_one(self, cursor: Any, record: Record) -> Any:
        match record:
            case NewRun():
                return insert_run(cursor, record)
            case Checkpoint():
                return self._insert_checkpoint(cursor, record)
            case Entry():
                return self._append(cursor, [record])[0]
            case Outcome():
                return self._update_outcome(cursor, record)

    def _write_kind(self, connection: Any, records: list[Any]) -> list[Any]:
        match records[0]:
            case NewRun():
                return insert_runs(connection, records)
            case Checkpoint():
                return self._insert_checkpoints(connection, records)
            case Entry():
                return self._append(connection, records)
            case _:
                return self._update_outcomes(connection, records)

    def _insert_checkpoint(self, cursor: Any, record: Checkpoint) -> Verdict:
        values = (
            record.run,
            record.attempt,
            *record.position,
            record.name,
            record.output,
            record.error,
            record.serialization,
            record.child_workflow_id,
            record.started_at,
            record.finished_at,
            record.tries,
            record.attempt,
        )
        if cursor.execute(INSERT_CHECKPOINT, values).rowcount == 1:
            return Verdict.WRITTEN
        return self._judge(cursor, record)

    def _update_outcome(self, cursor: Any, record: Outcome) -> Verdict:
        values = (
            record.run,
            record.attempt,
            record.status,
            record.output,
            record.error,
            record.at,
            record.at,
        )
        if cursor.execute(UPDATE_OUTCOME, values).rowcount == 1:
            return Verdict.WRITTEN
        return self._judge(cursor, record)

    def _insert_checkpoints(self, connection: Any, records: list[Checkpoint]) -> list[Verdict]:
        given = _ENCODER.encode([_step_row(record) for record in records])
        found = connection.execute(INSERT_CHECKPOINTS, (given, _runs(records)))
        if found.rowcount == len(records):
            return [Verdict.WRITTEN] * len(records)
        written = set(found.fetchall())
        return [
            Verdict.WRITTEN if (record.run, *record.position) in written else self._judge(connection, record)
            for record in records
        ]

    def _update_outcomes(self, connection: Any, records: list[Outcome]) -> list[Verdict]:
        given = _ENCODER.encode([_outcome_row(record) for record in records])
        found = connection.execute(UPDATE_OUTCOMES, (given, _runs(records)))
        if found.rowcount == len(records):
            return [Verdict.WRITTEN] * len(records)
        written = {row[0] for row in found.fetchall()}
        return [
            Verdict.WRITTEN if record.run in written else self._judge(connection, record)
            for record in records
        ]

    def _append(self, connection: Any, records: list[Entry]) -> list[Verdict]:
        return postgres_streams.append(connection, records, functools.partial(self._judge, connection))

    def _judge(self, connection: Any, record: Checkpoint | Entry | Outcome) -> Verdict:
        state = connection.execute(READ_STATE, (*step_of(record), record.run)).fetchone()
        return judge(record, state)


def _runs(records: Sequence[Checkpoint | Outcome]) -> str:
    """Return the batch's runs as an array literal, the one condition that is always an index lookup.

    A join with the batch itself was planned as a scan of the whole primary key, and kept.
    """
    return "{" + ",".join([str(record.run) for record in records]) + "}"


def _step_row(record: Checkpoint) -> dict[str, Any]:
    """Return the step's columns; most have no branch, no error and no child, and a batch is parsed twice."""
    row = {
        "run": record.run,
        "attempt": record.attempt,
        "position": record.position.number,
        "name": record.name,
        "output": record.output,
        "serialization": record.serialization,
        "started_at": record.started_at.isoformat(),
        "finished_at": record.finished_at.isoformat(),
        "tries": record.tries,
    }
    if record.position.branch:
        row["branch"] = record.position.branch
    if record.error is not None:
        row["error"] = record.error
    if record.child_workflow_id is not None:
        row["child_workflow_id"] = record.child_workflow_id
    return row


def _outcome_row(record: Outcome) -> dict[str, Any]:
    return {
        "run": record.run,
        "attempt": record.attempt,
        "status": record.status,
        "output": record.output,
        "error": record.error,
        "at": record.at,
    }


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_text)

_OUTAGE_STATES = ("08", "57P", "53")


def is_outage(error: BaseException) -> bool:
    """Return whether a psycopg error tells of a lost, refused or read-only database."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate or ""
    if isinstance(error, psycopg.OperationalError) and not state:
        return True  # the connection itself
    return state.startswith(_OUTAGE_STATES) or state in ("25006", "40001", "40P01", "55P03")
