"""The audit: who did what, written in the transaction of the deed."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from durable_app import clock
from durable_app.models import AuditEvent, Workflow
from durable_app.store import database
from durable_app.store.listing import Sight


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """An operator's attempt at a verb."""

    verb: str
    outcome: str
    """"done", "denied", "refused" or "failed"."""
    actor_kind: str
    actor_id: str = ""
    actor_label: str = ""
    target_kind: str = "workflow"
    target_id: str = ""
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    ip: str = ""
    request_id: str = ""
    bulk_operation: str = ""


@database.retried
def record(deed: Deed) -> None:
    """Append to the audit, in the caller's transaction if there is one."""
    AuditEvent.objects.using(database.alias()).create(at=clock.now(), **asdict(deed))


def known_to(events: Any, sees: Sight, own: dict[str, str]) -> Any:
    """Return those of a queryset of events that somebody may know of.

    Whoever sees all runs knows of everything; others of what was done to the runs that ``sees`` leaves, and
    of what they did themselves: ``own`` are the columns that say so.
    """
    runs = Workflow.objects.using(database.alias())
    seen = sees(runs)
    if seen is runs:
        return events
    return events.filter(Q(**own) | Q(target_kind="workflow", target_id__in=seen.values("workflow_id")))


@database.retried
def record_all(deeds: Iterable[Deed]) -> None:
    """Append many at once, in the caller's transaction if there is one."""
    now = clock.now()
    rows = [AuditEvent(at=now, **asdict(deed)) for deed in deeds]
    AuditEvent.objects.using(database.alias()).bulk_create(rows, batch_size=500)


@database.retried
def last(target_id: str, verb: str) -> AuditEvent | None:
    """Return the last time that somebody did this to a target."""
    rows = AuditEvent.objects.using(database.alias()).filter(target_id=target_id, verb=verb, outcome="done")
    return rows.order_by("-pk").first()


@database.retried
def newest(target_kind: str, target_id: str, most: int, among: Sight = lambda rows: rows) -> list[AuditEvent]:
    """Return what was last done, or tried, to a target; the newest first.

    ``among`` leaves out what the asker may not know of.
    """
    rows = AuditEvent.objects.using(database.alias()).filter(target_id=target_id, target_kind=target_kind)
    return list(among(rows).order_by("-pk")[:most])


@database.retried
def delete_before(time: datetime, limit: int) -> int:
    """Delete what was recorded before a time, as far as it is among the oldest ``limit``; return how many.

    Ids are in the order of time: nothing is looked at that stays, but for the first of it.
    """
    rows = AuditEvent.objects.using(database.alias())
    oldest = rows.order_by("pk").values_list("pk", "at")[:limit]
    old = [pk for pk, at in oldest if at < time]
    return int(rows.filter(pk__in=old).delete()[0])
