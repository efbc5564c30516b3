"""Checks of what starts runs by the clock: schedules in code and in the database, and cron.

A cron expression that code declares is checked when it is imported: it raises InvalidOptionError.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import Error, transaction

from durable_app import cronjobs
from durable_app.checks.databases import engines_alias
from durable_app.checks.settings import readable
from durable_app.errors import InvalidOptionError
from durable_app.limits import DEFAULT_QUEUE
from durable_app.models import Queue, Schedule
from durable_app.recurrence import Recurrence
from durable_app.registry import registry


@register("durable_app")
def check_declared(**kwargs: Any) -> list[CheckMessage]:
    """W006: runs wait in a queue that nobody has declared until somebody registers it."""
    known = {None, DEFAULT_QUEUE, *registry.queues}
    return [
        _unknown_queue(name, declared.definition.queue_name, declared.location)
        for name, declared in registry.schedules.items()
        if declared.definition.queue_name not in known
    ]


def _unknown_queue(name: str, queue: str | None, where: str) -> CheckMessage:
    return Warning(
        f"The schedule {name!r} starts its runs in the queue {queue!r}, which no code declares ({where}).",
        hint=f'Queue("{queue}")  # in workflows.py; or silence this if it is registered at run time',
        id="durable.W006",
    )


@register(Tags.database)
def check_stored(databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W005, W006: a stored schedule that cannot fire. As an error it would keep ``migrate`` from running."""
    alias = engines_alias()
    if alias is None or alias not in (databases or ()):
        return []
    try:
        with transaction.atomic(using=alias):
            queues = set(Queue.objects.using(alias).values_list("name", flat=True))
            stored = list(Schedule.objects.using(alias).filter(status="ACTIVE").order_by("name"))
    except Error:  # there are no tables yet, or others
        return []
    return [message for one in stored for message in _troubles(one, queues)]


def _troubles(stored: Any, queues: set[str]) -> Iterator[CheckMessage]:
    try:
        Recurrence(stored.cron, stored.timezone or "UTC")
    except InvalidOptionError as error:
        yield Warning(
            f"The schedule {stored.name!r} in the database cannot fire: {error}",
            hint=f"python manage.py durable schedule delete {stored.name}",
            id="durable.W005",
        )
    if stored.workflow_name not in registry.workflows:
        yield Warning(
            f"The schedule {stored.name!r} in the database starts {stored.workflow_name!r}, which no code "
            f"declares.",
            hint=f"python manage.py durable schedule pause {stored.name}",
            id="durable.W006",
        )
    known = {None, "", DEFAULT_QUEUE, *registry.queues, *queues}
    if stored.queue_name not in known and stored.name not in registry.schedules:
        yield _unknown_queue(stored.name, stored.queue_name, "in the database")


@register("durable_app")
def check_cron(**kwargs: Any) -> list[CheckMessage]:
    """W017: a tick that ends before a lease would never take back the runs of a host that is gone."""
    options = readable()
    jobs = getattr(settings, "CRONJOBS", [])
    is_used = any(cronjobs.TICK in job for job in jobs if isinstance(job, list | tuple))
    if options is None or not is_used or options.CRON_BUDGET > options.LEASE:
        return []
    return [
        Warning(
            f"cron runs durable_app.cron.tick for {options.CRON_BUDGET}, and a lease is {options.LEASE} "
            f"long: no tick lives long enough to take back the runs of another host that has died.",
            hint="Set DURABLE['CRON_BUDGET'] above DURABLE['LEASE'].",
            id="durable.W017",
        )
    ]
