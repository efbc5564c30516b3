"""The parts of a run's page besides its steps: what it was given, told and published, and its family."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max
from django.utils.translation import gettext as _

from durable_app.admin.audit.words import deeds
from durable_app.admin.keyset import WrongLink
from durable_app.control.actors import Actor, policy
from durable_app.identifiers import is_storable
from durable_app.insight.payloads import Payload, attributes, failure, payload
from durable_app.models import (
    Approval,
    AuditEvent,
    Event,
    EventHistory,
    Message,
    StreamEntry,
    Wait,
    Worker,
    Workflow,
)
from durable_app.store import database

MOST = 100
"""Rows of a table; the newest ones."""

LEVELS = 3
"""Generations of descendants that are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Somebody looks at a run."""

    run: Any
    actor: Actor
    link: Callable[[Any], str]
    """The URL of another run's page."""
    parameters: Any
    """Those of the page's URL."""

    @property
    def may_see(self) -> bool:
        """Whether payloads are shown."""
        return self.actor.may("view_payload", self.run)


def values(look: Look) -> dict[str, Any]:
    """Return what the run was given, and what became of it."""
    run, may_see = look.run, look.may_see
    return {
        "inputs": payload(run.inputs, run.serialization, may_see=may_see, is_inputs=True),
        "output": payload(run.output, run.serialization, may_see=may_see),
        "error": failure(run.error, may_see=may_see),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A message, an event or a stream's entry, with its value as it is shown."""

    row: Any
    value: Payload | None


def _said(rows: Any, look: Look) -> list[Said]:
    may_see = look.may_see
    return [Said(row=row, value=payload(row.value, row.serialization, may_see=may_see)) for row in rows]


def messages(look: Look) -> dict[str, Any]:
    """Return what the run was sent, what it published, what it waits for and what it asks people."""
    run = look.run
    inbox = _rows(Message).filter(destination_id=run.pk).order_by("-pk")[:MOST]
    history = _rows(EventHistory).filter(workflow_id=run.pk).order_by("-set_at", "key")[:MOST]
    return {
        "inbox": _said(inbox, look),
        "events": _said(_rows(Event).filter(workflow_id=look.run.pk).order_by("key")[:MOST], look),
        "event_history": _said(history, look),
        "waits": list(_rows(Wait).filter(workflow_id=run.pk).order_by("key")[:MOST]),
        "approvals": list(_rows(Approval).filter(workflow_id=run.pk).order_by("-pk")[:MOST]),
        "most": MOST,
    }


def streams(look: Look) -> dict[str, Any]:
    """Return the run's streams, and a page of the one that is looked at."""
    entries = _rows(StreamEntry).filter(workflow_id=look.run.pk)
    keys = list(
        entries.order_by("key")
        .values("key")
        .annotate(count=Count("offset"), last_at=Max("written_at"))[:MOST]
    )
    chosen = look.parameters.get("stream") or (keys[0]["key"] if keys else "")
    offset = look.parameters.get("offset") or "0"
    if not offset.isdecimal() or len(offset) > 9 or not is_storable(chosen):
        raise WrongLink(_("There is no such place in a stream."))
    page = list(entries.filter(key=chosen, offset__gte=int(offset)).order_by("offset")[: MOST + 1])
    return {
        "keys": keys,
        "chosen": chosen,
        "offset": int(offset),
        "earlier": max(0, int(offset) - MOST) if int(offset) else None,
        "later": page[MOST].offset if len(page) > MOST else None,
        "entries": _said(page[:MOST], look),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Relative:
    """A run of the family."""

    run: Any
    url: str
    depth: int
    is_self: bool = False


def family(look: Look) -> dict[str, Any]:
    """Return the run's ancestors, descendants and forks, as far as the actor may know of them."""
    run = look.run

    def seen(**conditions: Any) -> list[Any]:
        rows = _rows(Workflow).without_payloads().filter(**conditions).order_by("pk")
        return list(policy().visible(look.actor, rows)[:MOST])

    def relatives(runs: list[Any], depth: int = 0) -> list[Relative]:
        return [Relative(run=one, url=look.link(one), depth=depth) for one in runs]

    parents = seen(workflow_id=run.parent_workflow_id) if run.parent_workflow_id else []
    origin = seen(workflow_id=run.forked_from) if run.forked_from else []
    tree = [*relatives(parents), Relative(run=run, url="", depth=len(parents), is_self=True)]
    return {
        "tree": tree + _descendants(run, seen, relatives, len(parents) + 1),
        "origin": relatives(origin),
        "forks": relatives(seen(forked_from=run.workflow_id)) if run.was_forked_from else [],
        "levels": LEVELS,
        "most": MOST,
    }


def _descendants(run: Any, seen: Any, relatives: Any, depth: int) -> list[Relative]:
    """Return the generations below a run in the order of a tree: a query each."""
    below: dict[str, list[Any]] = {}
    level = [run.workflow_id]
    for _level in range(LEVELS):
        children = seen(parent_workflow_id__in=level)
        for child in children:
            below.setdefault(child.parent_workflow_id, []).append(child)
        level = [child.workflow_id for child in children]
        if not level:
            break

    def walk(workflow_id: str, depth: int) -> list[Relative]:
        found: list[Relative] = []
        for child in below.pop(workflow_id, ()):
            found += [*relatives([child], depth), *walk(child.workflow_id, depth + 1)]
        return found

    return walk(run.workflow_id, depth)


def history(look: Look) -> dict[str, Any]:
    """Return the run's attempts, who had it, and what operators did to it."""
    run = look.run
    events = _rows(AuditEvent).filter(target_id=run.workflow_id, target_kind="workflow").order_by("-pk")
    return {
        "worker": _rows(Worker).filter(pk=run.worker_id).first() if run.worker_id else None,
        "audit": deeds(events[:MOST]) if look.actor.may("view_auditevent") else None,
        "most": MOST,
    }


_PAYLOADS = ("inputs", "output", "error")


def raw(look: Look) -> dict[str, Any]:
    """Return the row's columns; payloads are named with their size, and shown where they belong."""
    columns = []
    for field in look.run._meta.concrete_fields:
        value = getattr(look.run, field.attname)
        if field.attname in _PAYLOADS and value is not None:
            value = _("%(size)d bytes") % {"size": len(value.encode())}
        if field.attname == "attributes":
            value = attributes(look.run.attributes)
        columns.append((field.attname, value))
    return {"columns": columns}


def _rows(model: Any) -> Any:
    return model._default_manager.using(database.alias())
