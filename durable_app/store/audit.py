"""The audit: who did what, written in the transaction of the deed."""

from dataclasses import asdict, dataclass, field
from typing import Any

from durable_app import clock
from durable_app.models import AuditEvent
from durable_app.store import database


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


@database.retried
def last(target_id: str, verb: str) -> AuditEvent | None:
    """Return the last time that somebody did this to a target."""
    rows = AuditEvent.objects.using(database.alias()).filter(target_id=target_id, verb=verb, outcome="done")
    return rows.order_by("-pk").first()
