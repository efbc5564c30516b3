"""Requests that were answered: what a key has been answered stands beside the deed, in one transaction."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durable_app import clock
from durable_app.models import IdempotencyKey
from durable_app.store import database

KEPT = timedelta(hours=24)
"""How long an answer is given again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request with a key: who asked for what, and a digest of all that it says."""

    actor: str
    route: str
    key: str
    fingerprint: str

    @property
    def number(self) -> int:
        """The number of PostgreSQL's lock for this key."""
        text = f"{self.actor}\0{self.route}\0{self.key}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big", signed=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a request was answered: ``body`` is JSON."""

    status_code: int
    body: str
    headers: dict[str, str]


class InFlight(Exception):
    """The first request with this key is being answered at this moment."""


class OtherRequest(Exception):
    """The key was used for another request."""


@database.retried
def once(asked: Asked, act: Callable[[], Answer | None]) -> Answer | None:
    """Do something and note its answer in one transaction, or return what it was answered before.

    ``act`` returns None if it did nothing that must not be done again: then nothing is noted, and None is
    returned. Raises InFlight, OtherRequest.
    """
    with database.transact():
        _lock(asked)
        found = _rows().filter(actor=asked.actor, route=asked.route, key=asked.key).first()
        if found is not None and found.created_at > clock.now() - KEPT:
            if found.fingerprint != asked.fingerprint:
                raise OtherRequest(asked.key)
            return Answer(status_code=found.status_code, body=found.body, headers=found.headers)
        if found is not None:
            found.delete()
        answer = act()
        if answer is not None:
            _note(asked, answer)
        return None


def _note(asked: Asked, answer: Answer) -> None:
    _rows().create(
        actor=asked.actor,
        route=asked.route,
        key=asked.key,
        fingerprint=asked.fingerprint,
        status_code=answer.status_code,
        body=answer.body,
        headers=answer.headers,
        created_at=clock.now(),
    )


def _lock(asked: Asked) -> None:
    """Take the key until the transaction ends; SQLite's transactions that write wait for one another."""
    if not database.is_postgres():
        return
    with database.connection().cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [asked.number])
        if not cursor.fetchone()[0]:
            raise InFlight(asked.key)


@database.retried
def forget_old(limit: int = 1000) -> int:
    """Delete answers that are given no more, the oldest first; return how many."""
    with database.transact():
        old = _rows().filter(created_at__lt=clock.now() - KEPT).order_by("created_at")
        deleted: int = _rows().filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()[0]
        return deleted


def _rows() -> Any:
    return IdempotencyKey.objects.using(database.alias())
