"""What alerts look at, and that each is sent once by all workers together."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q

from durable_app import clock
from durable_app.models import SentAlert, Status, Worker, Workflow
from durable_app.store import database

FAILED = (Status.ERROR, Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED)


@database.retried
def failures(since: datetime, at_least: int) -> dict[str, int]:
    """Return how many runs of each workflow have failed, where these are many."""
    failed = _runs().filter(finished_at__gte=since, status__in=FAILED).order_by()
    counts = failed.values_list("name").annotate(count=Count("pk")).filter(count__gte=at_least)
    return dict(counts)


@database.retried
def stuck(before: datetime) -> dict[str, int]:
    """Return how many runs of each queue have been ready for long."""
    ready = _runs().filter(status=Status.ENQUEUED, enqueued_at__lt=before).order_by()
    return dict(ready.values_list("queue_name").annotate(count=Count("pk")))


@database.retried
def live_workers(since: datetime) -> int:
    """Return how many workers have held a lease at some time since a moment."""
    rows = Worker.objects.using(database.alias()).filter(kind="worker", expires_at__gt=since)
    return int(rows.filter(Q(stopped_at__isnull=True) | Q(stopped_at__gt=since)).count())


@database.retried
def forget(keys: Iterable[str], before: datetime) -> None:
    """Forget the alerts that were sent before a time, but for these: the next of them is a new one."""
    rows = SentAlert.objects.using(database.alias()).filter(sent_at__lte=before)
    rows.exclude(pk__in=list(keys)).delete()


def claim(key: str, repeat: timedelta) -> bool:
    """Return whether an alert is to be sent now, in the caller's transaction: to one caller only."""
    now = clock.now()
    rows = SentAlert.objects.using(database.alias())
    if rows.filter(pk=key, sent_at__lte=now - repeat).update(sent_at=now):
        return True
    if rows.filter(pk=key).exists():
        return False
    made = rows.bulk_create([SentAlert(key=key, sent_at=now)], ignore_conflicts=True)
    return bool(made) and rows.filter(pk=key, sent_at=now).exists()


def _runs() -> Any:
    return Workflow.objects.using(database.alias())
