"""Streams: entries at consecutive offsets, appended by their run alone, read by everybody."""

from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Q

from durable_app.errors import NonExistentWorkflowError
from durable_app.models import StreamEntry
from durable_app.models.workflow import TERMINAL
from durable_app.store import database, notify, waits
from durable_app.store.records import Entry, Payload, Verdict
from durable_app.store.waits import News

# Status and entries of one snapshot: a run that has ended in it will never write what it does not show.
READ = """
SELECT run.status, entry."offset", entry.value, entry.serialization
FROM durable_app_workflow AS run
LEFT JOIN durable_app_streamentry AS entry
    ON entry.workflow_id = run.id AND entry.key = %s AND entry."offset" >= %s
WHERE run.workflow_id = %s
ORDER BY entry."offset" LIMIT %s
"""


def of_run(run: int) -> Any:
    """Return the streams of the run with this row: ``key``, ``entries``, ``ends`` and ``last_at``."""
    rows = StreamEntry.objects.using(database.alias()).filter(workflow_id=run)
    has_value = Q(value__isnull=False)
    found = rows.values("key").annotate(
        entries=Count("offset", filter=has_value),
        ends=Count("offset", filter=~has_value),
        last_at=Max("written_at"),
    )
    return found.values_list("key", "entries", "ends", "last_at", named=True)


@database.retried
def append_awaited(entry: Entry, workflow_id: str) -> Verdict:
    """Append an entry together with the wake-up of the runs that are parked for it."""
    with database.transact():
        verdict: Verdict = database.write_within([entry._replace(heeds=True)])[0]
        if verdict is Verdict.WRITTEN:
            waits.wake_waiting_for(News("stream", workflow_id, entry.key).key)
    return verdict


def announce(workflow_id: str, key: str) -> None:
    """Tell readers, once what was appended can be seen."""
    name = News("stream", workflow_id, key).key
    if database.connection().in_atomic_block:
        transaction.on_commit(lambda: notify.announce(name), using=database.alias())
    else:
        notify.announce(name)


@database.retried
def read(workflow_id: str, key: str, offset: int, limit: int) -> list[Payload] | None:
    """Return the values from an offset on, ``limit`` at most; one without a text is the end.

    None means that there is nothing yet. Raises NonExistentWorkflowError.
    """
    with database.connection().cursor() as cursor:
        cursor.execute(READ, [key, offset, workflow_id, limit])
        rows = cursor.fetchall()
    if not rows:
        raise NonExistentWorkflowError(workflow_id)
    found: list[Payload] = []
    for _, place, text, serialization in rows:
        if place != offset + len(found):
            break
        found.append(Payload(text, serialization))
    if len(found) < limit and rows[0][0] in TERMINAL:
        found.append(Payload(None))
    return found or None
