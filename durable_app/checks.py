"""System checks: what can be known to be wrong before anything runs."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from durable_app import conf, cronjobs, serialization
from durable_app.limits import DEFAULT_QUEUE
from durable_app.registry import registry


@register("durable_app")
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E008: the settings are read as the worker would read them."""
    try:
        options = conf.Options.from_settings()
        serialization.check()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint="Correct DURABLE in the settings.", id="durable.E008")]
    if options.DATABASE not in connections:
        known = ", ".join(sorted(connections))
        return [
            Error(
                f"DURABLE['DATABASE'] is {options.DATABASE!r}, which is no alias of DATABASES.",
                hint=f"Known aliases: {known}.",
                id="durable.E009",
            )
        ]
    return _check_engine(options.DATABASE)


@register("durable_app")
def check_pickle(**kwargs: Any) -> list[CheckMessage]:
    """W011: whoever has SECRET_KEY and may write rows runs code in the workers."""
    try:
        options = conf.Options.from_settings()
    except ImproperlyConfigured:
        return []
    if serialization.PICKLE not in (options.SERIALIZER, *options.ALLOWED_SERIALIZERS):
        return []
    return [
        Warning(
            "DURABLE enables the pickle serializer: who has SECRET_KEY and may write to the tables can run "
            "code in the workers.",
            hint="Register the project's types with @durable_app.serializable instead, or silence this.",
            id="durable.W011",
        )
    ]


@register("durable_app")
def check_time_zones(**kwargs: Any) -> list[CheckMessage]:
    """E010: due times and leases of several hosts can only be compared with their zone."""
    if settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ is False: the engine compares times of several hosts, and needs aware datetimes.",
            hint="Set USE_TZ = True.",
            id="durable.E010",
        )
    ]


@register("durable_app")
def check_cron(**kwargs: Any) -> list[CheckMessage]:
    """W013: a tick that ends before a lease would never take back the runs of a host that is gone."""
    try:
        options = conf.Options.from_settings()
    except ImproperlyConfigured:
        return []
    jobs = getattr(settings, "CRONJOBS", [])
    is_used = any(cronjobs.TICK in job for job in jobs if isinstance(job, list | tuple))
    if not is_used or options.CRON_BUDGET > options.LEASE:
        return []
    return [
        Warning(
            f"cron runs durable_app.cron.tick for {options.CRON_BUDGET}, and a lease is {options.LEASE} "
            f"long: no tick lives long enough to take back the runs of another host that has died.",
            hint="Set DURABLE['CRON_BUDGET'] above DURABLE['LEASE'].",
            id="durable.W013",
        )
    ]


@register("durable_app")
def check_schedules(**kwargs: Any) -> list[CheckMessage]:
    """W014: runs wait in a queue that nobody has declared until somebody registers it."""
    known = {None, DEFAULT_QUEUE, *registry.queues}
    return [
        Warning(
            f"The schedule {name!r} starts its runs in the queue {declared.definition.queue_name!r}, which "
            f"no code declares ({declared.location}).",
            hint="Declare it: Queue(...); or silence this if it is registered at run time.",
            id="durable.W014",
        )
        for name, declared in registry.schedules.items()
        if declared.definition.queue_name not in known
    ]


def _check_engine(alias: str) -> list[CheckMessage]:
    vendor = connections[alias].vendor
    if vendor not in ("postgresql", "sqlite"):
        return [
            Error(
                f"The database {alias!r} is {vendor}; the engine runs on PostgreSQL and SQLite.",
                hint="Name a PostgreSQL or SQLite alias in DURABLE['DATABASE'].",
                id="durable.E001",
            )
        ]
    return _check_sqlite(alias) if vendor == "sqlite" else []


def _check_sqlite(alias: str) -> list[CheckMessage]:
    options = connections[alias].settings_dict.get("OPTIONS", {})
    if options.get("transaction_mode") == "IMMEDIATE":
        return []
    return [
        Warning(
            f"The SQLite database {alias!r} does not use IMMEDIATE transactions: the project's own "
            f"transactions can fail with 'database is locked' beside a worker.",
            hint=f'DATABASES[{alias!r}]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE", "timeout": 20, '
            f'"init_command": "PRAGMA journal_mode=WAL"}}',
            id="durable.W012",
        )
    ]


def unapplied_migrations(alias: str) -> int:
    """Return how many of the engine's migrations a database lacks.

    No registered check, for ``migrate`` runs those first; the worker asks before it starts.
    """
    executor = MigrationExecutor(connections[alias])
    targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "durable_app"]
    return len(executor.migration_plan(targets))


def is_migrated() -> bool:
    """Return whether the engine's database has all of its migrations."""
    return not unapplied_migrations(conf.options().DATABASE)
