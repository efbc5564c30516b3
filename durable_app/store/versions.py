"""Versions of the project's code: registered by workers, the latest one told by a time.

``latest_at`` is what decides, and only grows: a version becomes the latest by its first start or by a
word from an operator. A worker that starts again changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max

from durable_app import clock, serialization
from durable_app.errors import NonExistentVersionError
from durable_app.models import AppVersion, Status, Workflow
from durable_app.store import database, notify

TICK = timedelta(microseconds=1)


@serialization.serializable
@dataclass(frozen=True, kw_only=True, slots=True)
class VersionInfo:
    """A version of the code; the one with the highest ``latest_at`` is the latest."""

    version_id: str
    version_name: str
    latest_at: datetime
    created_at: datetime


@database.retried
def register(name: str) -> bool:
    """Make a version known, as the latest, unless it is known; return whether it is the latest."""
    with database.transact():
        if not _rows().filter(name=name).exists():
            now = _next_time()
            new = AppVersion(name=name, latest_at=now, created_at=now)
            _rows().bulk_create([new], ignore_conflicts=True)
            _announce()
    return is_latest(name)


@database.retried
def is_latest(name: str) -> bool:
    """Return whether no version is later than this one."""
    times = dict(_rows().values_list("name", "latest_at"))
    return name in times and times[name] == max(times.values())


@database.retried
def may_be_latest(name: str) -> bool:
    """Return whether no known version is later: one that nobody knows yet will be the latest."""
    return not _rows().filter(name=name).exists() or is_latest(name)


@database.retried
def all_versions() -> list[VersionInfo]:
    """Return the versions, the latest first."""
    return [_info(row) for row in _newest_first()]


@database.retried
def latest() -> VersionInfo | None:
    """Return the latest version, None if none was ever registered."""
    row = _newest_first().first()
    return None if row is None else _info(row)


@database.retried
def set_latest(name: str) -> None:
    """Make a known version the latest; raises NonExistentVersionError."""
    with database.transact():
        list(_rows().order_by("name").select_for_update(no_key=True).values_list("pk"))
        if not _rows().filter(name=name).update(latest_at=_next_time()):
            raise NonExistentVersionError(name)
        _announce()


@database.retried
def reassign(name: str, new_name: str | None) -> int:
    """Let the runs of a version that nobody executes now be another's (None: the latest's).

    Returns how many there were. A run that executes keeps its version.
    """
    with database.transact():
        waiting = (Status.ENQUEUED, Status.DELAYED, Status.WAITING)
        runs = Workflow.objects.using(database.alias()).filter(app_version=name, status__in=waiting)
        ids = list(runs.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
        count: int = runs.filter(pk__in=ids).update(app_version=new_name, updated_at=clock.now())
        transaction.on_commit(notify.work, using=database.alias())
    return count


def _next_time() -> datetime:
    """Return now, or the first moment after every version's time: hosts' clocks differ a little."""
    highest = _rows().aggregate(highest=Max("latest_at"))["highest"]
    now = clock.now()
    return now if highest is None else max(now, highest + TICK)


def _announce() -> None:
    transaction.on_commit(lambda: notify.announce(notify.VERSIONS), using=database.alias())


def _info(row: AppVersion) -> VersionInfo:
    return VersionInfo(
        version_id=str(row.pk), version_name=row.name, latest_at=row.latest_at, created_at=row.created_at
    )


def _newest_first() -> Any:
    return _rows().order_by("-latest_at", "name")


def _rows() -> Any:
    return AppVersion.objects.using(database.alias())
