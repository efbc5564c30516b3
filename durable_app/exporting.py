"""Long exports: a workflow of ours writes the runs that match into a file, part by part.

Each part is a step: an interrupted export goes on with the part that it was at. Parts become a file at the
end, which is named only when it is whole.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.utils.crypto import salted_hmac

from durable_app.control import bulk
from durable_app.control.actors import Actor
from durable_app.control.operator import Operator
from durable_app.control.verbs import EXPORT
from durable_app.errors import InvalidOptionError, PermissionDeniedError
from durable_app.insight.sheets import FORMATS
from durable_app.insight.tables import COLUMNS, Table
from durable_app.store import bulk_operations

WORKFLOW = EXPORT
VERB = "export"
PERMISSION = "export_workflow"
PAYLOADS = "view_payload"

BATCH = 500
"""Runs that a statement reads."""

PAGES = 10
"""Statements whose runs make a part."""

STORAGE = "durable"
"""The entry of ``STORAGES`` that files go to, if there is one; else they go to the default storage."""


def storage() -> Storage:
    """Return where files of exports are."""
    return storages[STORAGE if STORAGE in settings.STORAGES else "default"]


def begin(operator: Operator, conditions: dict[str, Any], form: str, *, payloads: bool = False) -> int:
    """Start an export of all runs that match now; return the number of the operation.

    Raises InvalidOptionError for an unknown format or filter, PermissionDeniedError.
    """
    if form not in FORMATS:
        raise InvalidOptionError(f"unknown format {form!r}; known: {', '.join(FORMATS)}")
    operator.require(PERMISSION, VERB, bulk.KIND)
    if payloads:
        operator.require(PAYLOADS, VERB, bulk.KIND)
    order = bulk.Order(
        name=VERB, conditions=conditions, options={"format": form, "payloads": payloads}, workflow=WORKFLOW
    )
    return bulk.launch(operator, order)


def write_part(number: int, part: int, below: int | None) -> tuple[str, int | None]:
    """Write the next runs of an export into a file of their own.

    Returns the file's name, and below which run the next part begins; None: this was the last one. Raises
    PermissionDeniedError if who asked for it may not have it any more.
    """
    operation = bulk_operations.get(number)
    table = _table(operation)
    form = FORMATS[operation.options["format"]]
    written = 0
    with tempfile.TemporaryFile() as file:
        for page in range(PAGES):
            found = table.page(below, BATCH)
            file.write(form.piece(found.rows, COLUMNS if part == page == 0 else ()).encode())
            written, below = written + len(found.rows), found.below
            if below is None:
                break
        total = part * PAGES * BATCH + written
        if below is None:
            file.write(form.end(total > 0).encode())
        file.seek(0)
        # An earlier try may have left half a part: what counts is the name that this one returns.
        name = storage().save(f"{_folder(number)}/part-{part:06d}", File(file))
    bulk_operations.wrote(number, total, operation.newest_run - (below or 0))
    return name, below


def _table(operation: Any) -> Table:
    actor = bulk.actor_of(operation)
    wanted = [PERMISSION, PAYLOADS] if operation.options["payloads"] else [PERMISSION]
    for permission in wanted:
        if not actor.may(permission):
            Operator(actor=actor).deny(VERB, str(operation.pk), bulk.KIND)
            raise PermissionDeniedError(VERB, permission)
    return Table(
        conditions=operation.filter,
        sees=actor.sees,
        may_see=(lambda run: actor.may(PAYLOADS, run)) if operation.options["payloads"] else None,
        newest=operation.newest_run,
    )


def put_together(number: int, parts: list[str]) -> None:
    """Make one file of the parts, name it in the operation, and delete everything else."""
    operation = bulk_operations.get(number)
    with tempfile.TemporaryFile() as whole:
        for name in parts:
            with storage().open(name) as part:
                for piece in part.chunks():
                    whole.write(piece)
        whole.seek(0)
        wanted = f"{_folder(number)}/runs-{number}.{operation.options['format']}"
        file = storage().save(wanted, File(whole))
    bulk_operations.finish(number, file)
    _clear(number, keep=file)


def discard(number: int) -> None:
    """Delete what an export has written that does not reach its end."""
    bulk_operations.finish(number)
    _clear(number)


def delete_files(before: datetime, limit: int) -> int:
    """Delete the files of the next exports that ended before a time; return how many there were."""
    found = bulk_operations.with_files(before, limit)
    for number, file in found:
        storage().delete(file)  # again, should this one die here: a storage deletes what is not there, too
        bulk_operations.forget_file(number)
    return len(found)


def _clear(number: int, keep: str = "") -> None:
    folder = _folder(number)
    with suppress(
        FileNotFoundError, NotImplementedError
    ):  # nothing was written; a storage that lists nothing
        for name in storage().listdir(folder)[1]:
            if f"{folder}/{name}" != keep:
                storage().delete(f"{folder}/{name}")


def _folder(number: int) -> str:
    """Return where an export's files are: nobody guesses it, should the storage be open to the web."""
    token = salted_hmac(WORKFLOW, str(number), algorithm="sha256").hexdigest()[:32]
    return f"durable/exports/{number}-{token}"


def is_of(operation: Any, actor: Actor) -> bool:
    """Return whether an actor asked for an export: nobody else gets it, for others may see other runs."""
    asked = (operation.verb, operation.actor_kind, operation.actor_id)
    return asked == (VERB, actor.kind, actor.id)


def pieces(operation: Any) -> Iterator[bytes]:
    """Yield the content of an export's file."""
    with storage().open(operation.file) as file:
        yield from file.chunks()


def file_name(operation: Any) -> str:
    """Return how an export's file is called for whoever downloads it."""
    return f"runs-{operation.pk}.{operation.options['format']}"
