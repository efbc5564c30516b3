"""The configuration of a program written for the seed, and what of it means something in a Django project.

The settings decide which database is used; most other keys tune machinery that does not exist here.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import unquote, urlsplit

from durable_app.dbos.error import DBOSInitializationError
from durable_app.store import database

logger = logging.getLogger("durable_app")

NAME = re.compile(r"[a-z0-9_-]{3,256}")


class DBOSConfig(TypedDict, total=False):
    """The keys that a program may give; only ``name`` must be there."""

    # in use
    name: str
    application_version: str | None
    executor_id: str | None
    max_executor_threads: int | None
    serializer: Any
    enable_patching: bool | None

    # the settings' business
    system_database_url: str | None
    application_database_url: str | None
    database_url: str | None
    system_database_engine: Any
    dbos_system_schema: str | None
    sys_db_pool_size: int | None
    sys_db_polling_concurrency: int | None
    db_engine_kwargs: dict[str, Any] | None
    sys_db_idle_transaction_timeout_sec: float | None
    use_listen_notify: bool | None
    run_migrations: bool | None
    notification_listener_polling_interval_sec: float | None
    notification_coalesce_sec: float | None
    observability_query_timeout_sec: float | None
    scheduler_polling_interval_sec: float | None
    kafka_queue_polling_interval_sec: float | None
    log_level: str | None
    console_log_level: str | None
    otlp_log_level: str | None
    enable_otlp: bool | None
    otlp_traces_endpoints: list[str] | None
    otlp_logs_endpoints: list[str] | None
    otlp_attributes: dict[str, str] | None
    otel_attribute_format: str | None
    run_admin_server: bool | None
    admin_port: int | None

    # services that are bought there
    conductor_key: str | None
    conductor_url: str | None
    conductor_executor_metadata: dict[str, Any] | None
    conductor_metadata_only_mode: bool | None
    transact_enterprise_key: str | None
    auto_upgrade: bool | None
    auto_upgrade_interval_sec: float | None
    auto_upgrade_grace_sec: float | None
    sharding: bool | None


IN_USE = frozenset(
    {"name", "application_version", "executor_id", "max_executor_threads", "serializer", "enable_patching"}
)
URLS = frozenset({"system_database_url", "application_database_url", "database_url"})
QUIET = frozenset(
    {"run_migrations", "use_listen_notify", "log_level", "console_log_level", "sys_db_pool_size"}
)
"""Keys that nearly every program has, and whose loss nobody need hear of."""


def checked(config: DBOSConfig) -> DBOSConfig:
    """Return a copy of the configuration; say once which keys mean nothing here.

    Raises DBOSInitializationError for a missing or impossible name.
    """
    name = config.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DBOSInitializationError(
            f"the configuration's name has 3 to 256 characters of a-z, 0-9, - and _, and is not {name!r}"
        )
    idle = [key for key, value in config.items() if value and key not in IN_USE | URLS | QUIET]
    if idle:
        logger.warning("Configuration without effect in a Django project keys=%s", ",".join(sorted(idle)))
    for url in (config.get("system_database_url"), config.get("database_url")):
        if url and _is_elsewhere(url):
            logger.warning(
                "The configured database is not used, Django's settings decide alias=%s", database.alias()
            )
            break
    return config.copy()


def executor_id(config: DBOSConfig | None) -> str:
    """Return the name of this process."""
    return (config or {}).get("executor_id") or os.environ.get("DBOS__VMID") or "local"


def application_version(config: DBOSConfig) -> str:
    """Return the version that runs are pinned to; empty: what the settings say."""
    if config.get("enable_patching") and not config.get("application_version"):
        return "PATCHING_ENABLED"
    return config.get("application_version") or os.environ.get("DBOS__APPVERSION") or ""


def _is_elsewhere(url: str) -> bool:
    """Return whether a URL names another database than the one in use."""
    parts = urlsplit(url)
    known = database.connection().settings_dict
    name = unquote(parts.path[1:])
    if parts.scheme.startswith("sqlite"):
        return not _same_file(name, str(known["NAME"]))
    address = (parts.hostname or "localhost", str(parts.port or 5432), name)
    return address != (known.get("HOST") or "localhost", str(known.get("PORT") or 5432), str(known["NAME"]))


def _same_file(name: str, other: str) -> bool:
    return Path(name).resolve() == Path(other).resolve()
