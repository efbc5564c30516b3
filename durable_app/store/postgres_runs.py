"""Insertion of runs on PostgreSQL: one, or many whose rows mostly have the same values.

What all runs of a batch share travels once; a column that differs is an array. One of texts is joined,
and taken apart by the database: an array literal quotes each text, which took the caller a third of the
time. (One JSON text for the batch took three times as long on both sides.)
"""

import functools
from typing import Any

from durable_app.store.records import Created, NewRun

_TYPES = {
    "attributes": "jsonb",
    "roles": "jsonb",
    "attempt": "int",
    "recovery_attempts": "int",
    "max_recovery_attempts": "int",
    "priority": "int",
    "timeout": "interval",
    "debounced_until": "timestamptz",
    "deadline_at": "timestamptz",
    "run_after": "timestamptz",
    "created_at": "timestamptz",
    "enqueued_at": "timestamptz",
    "started_at": "timestamptz",
}  # the others are text

SEPARATOR = "\x1f"
"""Parts texts that travel as one (ASCII's unit separator, chr(31)): JSON escapes it."""


def insert_run(cursor: Any, record: NewRun) -> Created:
    """Insert a run; an id that exists already answers with no row."""
    row = {name: value for name, value in record._asdict().items() if value is not None}
    values = (*row.values(), record.created_at)
    found = cursor.execute(_statement(tuple(row)), values).fetchone()
    return Created(run=found[0] if found else None)


def insert_runs(connection: Any, records: list[NewRun]) -> list[Created]:
    """Insert runs; an id that exists already answers with no row.

    ``connection`` is anything with psycopg's ``execute``: the engine's, or a cursor of the caller's.
    """
    shared: dict[str, Any] = {}
    differing: dict[str, Any] = {}
    for name, column in zip(NewRun._fields, zip(*records, strict=True), strict=True):
        if name == "workflow_id" or column.count(column[0]) < len(column):
            differing[name] = _joined(column) or list(column)
        elif column[0] is not None:
            shared[name] = column[0]
    joined = tuple(isinstance(values, str) for values in differing.values())
    statement = _batch_statement(tuple(shared), tuple(differing), joined)
    rows = connection.execute(statement, [*shared.values(), *differing.values()]).fetchall()
    keys = {workflow_id: run for run, workflow_id in rows}
    return [Created(run=keys.pop(record.workflow_id, None)) for record in records]


def _joined(column: tuple[Any, ...]) -> str | None:
    """Return a column's texts as one, or None if they are no texts or hold what parts them."""
    try:
        text = SEPARATOR.join(column)
    except TypeError:
        return None
    return text if text.count(SEPARATOR) == len(column) - 1 else None


@functools.cache
def _statement(names: tuple[str, ...]) -> str:
    """Return the INSERT of one run that has these columns; few different ones occur."""
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(f"%s::{_type(name)}" for name in names)
    return f"""
        INSERT INTO durable_app_workflow ({columns}, updated_at) VALUES ({values}, %s)
        ON CONFLICT DO NOTHING RETURNING id
    """  # noqa: S608  (names of the record's fields)


@functools.cache
def _batch_statement(shared: tuple[str, ...], differing: tuple[str, ...], joined: tuple[bool, ...]) -> str:
    """Return the INSERT of runs that share the values of some columns; few different ones occur.

    ``joined`` says of each column that differs whether its values come as one text.
    """
    names = [*shared, *differing]
    columns = ", ".join(f'"{name}"' for name in names)
    given = ", ".join([*(f"%s::{_type(name)}" for name in shared), *(f'"{name}"' for name in differing)])
    arrays = ", ".join(
        f"{'string_to_array(%s, chr(31))' if is_joined else '%s'}::{_type(name)}[]"
        for name, is_joined in zip(differing, joined, strict=True)
    )
    fields = ", ".join(f'"{name}"' for name in differing)
    return f"""
        INSERT INTO durable_app_workflow ({columns}, updated_at)
        SELECT given.*, given.created_at
        FROM (SELECT {given} FROM unnest({arrays}) AS line({fields})) AS given({columns})
        ON CONFLICT DO NOTHING RETURNING id, workflow_id
    """  # noqa: S608  (names of the record's fields)


def _type(name: str) -> str:
    return _TYPES.get(name, "text")
