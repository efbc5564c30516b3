"""Checks of the database that carries the engine: what its settings and the routers say of it."""

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning, register
from django.db import connections, router
from django.db.migrations.executor import MigrationExecutor

from durable_app import conf
from durable_app.checks.settings import readable

OWN_CONNECTIONS = 9
"""Those that a worker's process has besides its threads'."""

POOLER_PORT = "6432"
"""PgBouncer's own."""

POOLER_NAMES = ("pgbouncer", "pooler")


def engines_alias() -> str | None:
    """Return the alias of the engine's database; None if the settings name none, which others report."""
    options = readable()
    return options.DATABASE if options is not None and options.DATABASE in connections else None


@register("durable_app")
def check_engine(**kwargs: Any) -> list[CheckMessage]:
    """E001: there are two databases the engine runs on."""
    alias = engines_alias()
    if alias is None or connections[alias].vendor in ("postgresql", "sqlite"):
        return []
    return [
        Error(
            f"The database {alias!r} is {connections[alias].vendor}; the engine runs on PostgreSQL and "
            f"SQLite.",
            hint="Name a PostgreSQL or SQLite alias in DURABLE['DATABASE'].",
            id="durable.E001",
        )
    ]


@register("durable_app")
def check_pooler(**kwargs: Any) -> list[CheckMessage]:
    """E002: behind a transaction pooler nobody hears a NOTIFY, and a session's settings are lost."""
    alias = engines_alias()
    if alias is None or connections[alias].vendor != "postgresql":
        return []
    given = connections[alias].settings_dict
    host = str(given.get("HOST") or "").lower()
    is_pooler = str(given.get("PORT")) == POOLER_PORT or any(name in host for name in POOLER_NAMES)
    if not is_pooler or "DISABLE_SERVER_SIDE_CURSORS" in given:
        return []
    return [
        Error(
            f"The database {alias!r} seems to stand behind a pooler ({host}:{given.get('PORT')}), and the "
            f"settings do not say of what kind.",
            hint=f'DATABASES[{alias!r}]["DISABLE_SERVER_SIDE_CURSORS"] = True  # False if it pools sessions',
            id="durable.E002",
        )
    ]


@register("durable_app", deploy=True)
def check_atomic_requests(**kwargs: Any) -> list[CheckMessage]:
    """W002: a view inside a transaction cannot wait for what it has just started."""
    alias = engines_alias()
    if alias is None or not connections[alias].settings_dict.get("ATOMIC_REQUESTS"):
        return []
    return [
        Warning(
            f"ATOMIC_REQUESTS is on for {alias!r}: what a view starts begins when its response is ready, so "
            f"a view that waits for a result gets an OpenTransactionError.",
            hint="@transaction.non_atomic_requests  # on views that wait; silence this if none does",
            id="durable.W002",
        )
    ]


@register("durable_app")
def check_routers(**kwargs: Any) -> list[CheckMessage]:
    """E007: the engine's tables must be allowed to be where the engine looks for them."""
    alias = engines_alias()
    if alias is None:
        return []
    for model in apps.get_app_config("durable_app").get_models():
        if not router.allow_migrate_model(alias, model):
            sentence = f"keep the table of {model.__name__} out of it"
        elif (other := _written_to(model, alias)) != alias:
            sentence = f"send the rows of {model.__name__} to {other!r}"
        else:
            continue
        return [
            Error(
                f"DURABLE['DATABASE'] is {alias!r}, and DATABASE_ROUTERS {sentence}.",
                hint=f'if app_label == "durable_app": return db == {alias!r}  # in allow_migrate(), and no '
                f"opinion in db_for_write(); or name the other alias in DURABLE['DATABASE']",
                id="durable.E007",
            )
        ]
    return []


def _written_to(model: Any, alias: str) -> str:
    """Return where the routers let a row be written that was read from an alias."""
    row = model()
    row._state.db = alias
    found: str = router.db_for_write(model, instance=row)
    return found


@register("durable_app")
def check_sqlite(**kwargs: Any) -> list[CheckMessage]:
    """W012: the engine switches WAL on itself; how the project's own transactions begin it cannot choose."""
    alias = engines_alias()
    if alias is None or connections[alias].vendor != "sqlite":
        return []
    if connections[alias].settings_dict.get("OPTIONS", {}).get("transaction_mode") == "IMMEDIATE":
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


@register("durable_app")
def check_pool(**kwargs: Any) -> list[CheckMessage]:
    """W014: threads that wait for a connection of the pool time out instead of working."""
    alias, options = engines_alias(), readable()
    if alias is None or options is None:
        return []
    pool = connections[alias].settings_dict.get("OPTIONS", {}).get("pool")
    if not pool:
        return []
    given = pool if isinstance(pool, dict) else {}
    size = given.get("max_size") or given.get("min_size", 4)  # as psycopg_pool has it
    needed = options.THREADS + OWN_CONNECTIONS
    if size >= needed:
        return []
    return [
        Warning(
            f"A worker's process needs up to {needed} connections to {alias!r} (DURABLE['THREADS'] is "
            f"{options.THREADS}, and {OWN_CONNECTIONS} of its own), and the pool has {size}.",
            hint=f'DATABASES[{alias!r}]["OPTIONS"]["pool"] = {{"max_size": {needed}}}',
            id="durable.W014",
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
