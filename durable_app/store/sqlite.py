"""The hot path on SQLite: the same batches, one IMMEDIATE transaction each.

One writer at a time makes the fence trivially atomic, provided that the transaction starts with a
write: then there is no lock to upgrade, and no "database is locked".
"""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from durable_app import clock
from durable_app.store.batches import ENTERED, judge, step_of, write_mixed
from durable_app.store.records import Checkpoint, Created, Entry, NewRun, Outcome, Record, Verdict

_RUN_COLUMNS = NewRun._fields

INSERT_RUN = f"""
INSERT INTO durable_app_workflow ({", ".join(f'"{name}"' for name in _RUN_COLUMNS)}, updated_at)
VALUES ({", ".join(f":{name}" for name in _RUN_COLUMNS)}, :created_at)
ON CONFLICT DO NOTHING
RETURNING id
"""  # noqa: S608  (names of the dataclass)

INSERT_CHECKPOINT = """
INSERT INTO durable_app_step (workflow_id, position, branch, name, output, error, serialization,
                              child_workflow_id, started_at, finished_at, tries, attempt)
SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, attempt FROM durable_app_workflow
WHERE id = ? AND attempt = ? AND status = 'PENDING'
ON CONFLICT DO NOTHING
"""

APPEND = """
INSERT INTO durable_app_streamentry (workflow_id, key, "offset", value, serialization, position, written_at)
SELECT run.id, ?, COALESCE(last."offset" + 1, 0), ?, ?, ?, ? FROM durable_app_workflow AS run
LEFT JOIN (
    SELECT workflow_id, "offset", value FROM durable_app_streamentry
    WHERE workflow_id = ? AND key = ? ORDER BY "offset" DESC LIMIT 1
) AS last ON last.workflow_id = run.id
WHERE run.id = ? AND (last."offset" IS NULL OR last.value IS NOT NULL)
"""

UPDATE_OUTCOME = """
UPDATE durable_app_workflow
SET status = ?, output = ?, error = ?, finished_at = ?, updated_at = ?, deduplication_id = NULL,
    waiting_for = ''
WHERE id = ? AND attempt = ? AND status = 'PENDING' AND NOT awaited
"""

READ_STATE = """
SELECT run.status, run.attempt, run.awaited, step.attempt, step.output, step.error
FROM durable_app_workflow AS run
LEFT JOIN durable_app_step AS step
    ON step.workflow_id = run.id AND step.position = ? AND step.branch = ?
WHERE run.id = ?
"""

_OUTAGE_CODES = frozenset({5, 6, 8, 10, 13, 14})
"""BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN: the database's fault, not the record's."""


class SQLiteWriter:
    """Writes batches on a connection of its own, in WAL mode with full synchronization.

    ``adapt`` turns an aware datetime into the text that Django stores.
    """

    def __init__(self, params: dict[str, Any], *, adapt: Callable[[datetime], Any]) -> None:
        self._params = params
        self._adapt = adapt
        self._connection: sqlite3.Connection | None = None

    def write(self, records: list[Record]) -> list[Any]:
        """Write all records in one commit and return an answer for each."""
        connection = self._open()
        if clock.is_stale():
            clock.synchronize(datetime.now(UTC))
        connection.execute("BEGIN IMMEDIATE")
        try:
            answers = self.write_within(connection, records)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return answers

    def write_within(self, connection: Any, records: list[Record]) -> list[Any]:
        """Write all records on a connection whose transaction is the caller's."""
        return write_mixed(connection, records, self._write_kind)

    def notify(self, payload: str) -> None:
        """Do nothing: other processes poll."""

    def is_outage(self, error: Exception) -> bool:
        """Return whether the database, not a record, is at fault."""
        return is_outage(error)

    def close(self) -> None:
        """Close the connection; the next write opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            params = {"timeout": 20, **self._params, "check_same_thread": False}
            params["isolation_level"] = None
            connection = sqlite3.connect(**params)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._connection = connection
        return self._connection

    def _write_kind(self, connection: Any, records: list[Any]) -> list[Any]:
        match records[0]:
            case NewRun():
                return [self._insert_run(connection, record) for record in records]
            case Checkpoint():
                return [self._insert_checkpoint(connection, record) for record in records]
            case Entry():
                return [self._append(connection, record) for record in records]
            case _:
                return [self._update_outcome(connection, record) for record in records]

    def _insert_run(self, connection: Any, record: NewRun) -> Created:
        row = {name: self._stored(getattr(record, name)) for name in _RUN_COLUMNS}
        found = connection.execute(INSERT_RUN, row).fetchone()
        return Created(run=found[0] if found else None)

    def _insert_checkpoint(self, connection: Any, record: Checkpoint) -> Verdict:
        values = (
            *record.position,
            record.name,
            record.output,
            record.error,
            record.serialization,
            record.child_workflow_id,
            self._adapt(record.started_at),
            self._adapt(record.finished_at),
            record.tries,
            record.run,
            record.attempt,
        )
        if connection.execute(INSERT_CHECKPOINT, values).rowcount == 1:
            return Verdict.WRITTEN
        return self._judge(connection, record)

    def _append(self, connection: Any, record: Entry) -> Verdict:
        state = connection.execute(READ_STATE, (*step_of(record), record.run)).fetchone()
        status, attempt, awaited, step_attempt, *_ = state or (None, None, False, None)
        refused = (status, attempt, step_attempt) != ("PENDING", record.attempt, None)
        if refused or (awaited and not record.heeds):
            return judge(record, state)
        if record.step is not None:
            self._insert_checkpoint(connection, _checkpoint(record, record.step))
        values = (
            record.key,
            record.value,
            record.serialization,
            record.position.number,
            self._adapt(record.at),
        )
        connection.execute(APPEND, (*values, record.run, record.key, record.run))
        return Verdict.WRITTEN

    def _update_outcome(self, connection: Any, record: Outcome) -> Verdict:
        at = self._adapt(record.at)
        values = (record.status, record.output, record.error, at, at, record.run, record.attempt)
        if connection.execute(UPDATE_OUTCOME, values).rowcount == 1:
            return Verdict.WRITTEN
        return self._judge(connection, record)

    def _judge(self, connection: Any, record: Checkpoint | Outcome) -> Verdict:
        return judge(record, connection.execute(READ_STATE, (*step_of(record), record.run)).fetchone())

    def _stored(self, value: Any) -> Any:
        match value:
            case datetime():
                return self._adapt(value)
            case timedelta():
                return value // timedelta(microseconds=1)
            case _:
                return value


def _checkpoint(record: Entry, name: str) -> Checkpoint:
    return Checkpoint(
        run=record.run,
        attempt=record.attempt,
        position=record.position,
        name=name,
        output=ENTERED,
        started_at=record.at,
        finished_at=record.at,
    )


def is_outage(error: BaseException) -> bool:
    """Return whether a sqlite3 error tells of a busy, full or unreadable database."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _OUTAGE_CODES
