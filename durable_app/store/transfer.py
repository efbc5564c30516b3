"""A run with all that belongs to it as plain JSON values, and back into rows: all of a family or nothing."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.duration import duration_string

from durable_app import clock
from durable_app.errors import (
    InvalidOptionError,
    NonExistentWorkflowError,
    QueueDeduplicatedError,
    WorkflowIDInUseError,
)
from durable_app.identifiers import is_storable
from durable_app.models import (
    Approval,
    Event,
    EventHistory,
    Message,
    Status,
    Step,
    StreamEntry,
    Wait,
    Workflow,
)
from durable_app.store import database, lifecycle, notify, waits

FORMAT = "durable_app/1"
"""Says what an export is, and in which version."""

PARTS: dict[str, tuple[type[models.Model], str]] = {
    "steps": (Step, "workflow_id"),
    "messages": (Message, "destination_id"),
    "events": (Event, "workflow_id"),
    "event_history": (EventHistory, "workflow_id"),
    "stream_entries": (StreamEntry, "workflow_id"),
    "approvals": (Approval, "workflow_id"),
    "waits": (Wait, "workflow_id"),
}
"""What belongs to a run: the model, and the column that names the run's row."""

Columns = dict[str, Any]


# Export


@database.retried
def export(workflow_id: str, *, children: bool) -> list[dict[str, Any]]:
    """Return a run, and with ``children`` all its descendants, as they stand at one moment.

    Raises NonExistentWorkflowError.
    """
    outermost = not database.connection().in_atomic_block
    with database.transact() as found:
        if outermost and database.is_postgres():
            with found.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        ids = [workflow_id, *(lifecycle.children([workflow_id]) if children else [])]
        runs = list(_all(Workflow).filter(workflow_id__in=ids).order_by("pk"))
        if workflow_id not in {run.workflow_id for run in runs}:
            raise NonExistentWorkflowError(workflow_id)
        return [_exported(run) for run in runs]


def _exported(run: Workflow) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, (model, owner) in PARTS.items():
        rows = _all(model).filter(**{owner: run.pk}).order_by("pk")
        parts[name] = [_plain_columns(row, owner) for row in rows]
    return {"workflow": _plain_columns(run, ""), **parts}


def _plain_columns(row: models.Model, owner: str) -> Columns:
    return {field.attname: _plain(getattr(row, field.attname)) for field in _fields(type(row), owner)}


def _fields(model: type[models.Model], owner: str) -> list[Any]:
    """Return a model's columns but for its own number and that of the run it belongs to."""
    return [
        field
        for field in model._meta.concrete_fields
        if not isinstance(field, models.BigAutoField) and field.attname != owner
    ]


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return duration_string(value)
        case UUID():
            return str(value)
        case _:
            return value


# Import


@database.retried
def insert(runs: list[dict[str, Any]]) -> list[str]:
    """Insert exported runs with all that belongs to them; return their ids.

    Raises WorkflowIDInUseError or QueueDeduplicatedError, having changed nothing, if one is there already;
    InvalidOptionError for what is no export.
    """
    rows = [_rows_of(run) for run in runs]
    try:
        with database.transact():
            for run, parts in rows:
                _insert(run, parts)
            transaction.on_commit(lambda: notify.announce(notify.WORK, notify.DUE), using=database.alias())
    except IntegrityError as error:
        _explain(run for run, _ in rows)
        raise InvalidOptionError("the export holds the same row twice") from error
    return [run.workflow_id for run, _ in rows]


def _insert(run: Workflow, parts: dict[str, list[Any]]) -> None:
    run.pk = None
    run.save(using=database.alias(), force_insert=True)
    for name, (model, owner) in PARTS.items():
        for row in parts[name]:
            setattr(row, owner, run.pk)
        _all(model).bulk_create(parts[name], batch_size=500)


def _explain(runs: Iterable[Workflow]) -> None:
    """Raise the error that says which run is in the way."""
    for run in runs:
        for found in _all(Workflow).filter(workflow_id=run.workflow_id):
            raise WorkflowIDInUseError(found.workflow_id, found.status, found.name)
        holder = _all(Workflow).filter(queue_name=run.queue_name, deduplication_id=run.deduplication_id)
        for found in holder if run.deduplication_id else ():
            raise QueueDeduplicatedError(found.workflow_id, run.queue_name or "", run.deduplication_id or "")


def _rows_of(exported: Any) -> tuple[Workflow, dict[str, list[Any]]]:
    if not isinstance(exported, dict) or exported.keys() != {"workflow", *PARTS}:
        raise InvalidOptionError(f"an exported run is an object of workflow, {', '.join(PARTS)}")
    run = Workflow(**_rich_columns(Workflow, "", exported["workflow"]))
    if run.status not in Status.values or not run.workflow_id.strip():
        raise InvalidOptionError(f"no run has the id {run.workflow_id!r} and the status {run.status!r}")
    parts: dict[str, list[Any]] = {
        name: [model(**_rich_columns(model, owner, row)) for row in _list(name, exported[name])]
        for name, (model, owner) in PARTS.items()
    }
    if run.status == Status.WAITING and any(wait.key != waits.CODE for wait in parts["waits"]):
        # The news may have come elsewhere, or come from a run that is not here: let it look at once.
        run.wake_at = clock.now()
    return run, parts


def _list(name: str, found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise InvalidOptionError(f"the exported {name} are no list")
    return found


def _rich_columns(model: type[models.Model], owner: str, columns: Any) -> Columns:
    fields = {field.attname: field for field in _fields(model, owner)}
    if not isinstance(columns, dict) or columns.keys() != fields.keys():
        raise InvalidOptionError(f"an exported {model.__name__} has the columns {', '.join(fields)}")
    return {name: _rich(model, fields[name], value) for name, value in columns.items()}


def _rich(model: type[models.Model], field: Any, value: Any) -> Any:
    try:
        found = value if isinstance(field, models.JSONField) or value is None else field.to_python(value)
        if found is None and not field.null:
            raise ValidationError("null")
        field.run_validators(found)
    except (ValidationError, TypeError, ValueError) as error:
        raise InvalidOptionError(
            f"{value!r} cannot be the {field.attname} of an exported {model.__name__}"
        ) from error
    if (isinstance(found, str) and not is_storable(found)) or _is_naive(found):
        raise InvalidOptionError(f"{value!r} cannot be the {field.attname} of an exported {model.__name__}")
    return found


def _is_naive(value: Any) -> bool:
    return isinstance(value, datetime) and timezone.is_naive(value)


def _all(model: type[models.Model]) -> Any:
    return model._base_manager.using(database.alias())
