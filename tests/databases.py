"""Database URLs to Django's settings and back: a worker process joins a test's database by URL."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

ENGINES = {
    "sqlite": "django.db.backends.sqlite3",
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
}

SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    # Tests kill processes, never the machine; without fsync a commit survives that too.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    "timeout": 20,
}


def databases_from(environ: os._Environ[str]) -> dict[str, dict[str, Any]]:
    """Read the two databases: the one under test, and the other of transactions elsewhere."""
    default = from_url(environ.get("DATABASE_URL") or sqlite_url("default"))
    other_url = environ.get("OTHER_DATABASE_URL")
    return {"default": default, "other": from_url(other_url) if other_url else sibling(default)}


def from_url(url: str) -> dict[str, Any]:
    """Turn `sqlite:////path` or `postgres://user:password@host:port/name` into settings."""
    parts = urlsplit(url)
    if parts.scheme not in ENGINES:
        raise ValueError(f"DATABASE_URL must start with sqlite:// or postgres://, not {parts.scheme!r}.")
    name = unquote(parts.path[1:])
    if parts.scheme == "sqlite":
        return sqlite(name)
    return {
        "ENGINE": ENGINES[parts.scheme],
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
        "TEST": {"NAME": f"test_{name}"},
    }


def to_url(database: dict[str, Any]) -> str:
    """Turn the settings of a live connection back into the URL that names the same database."""
    name = str(database["NAME"])
    if database["ENGINE"] == ENGINES["sqlite"]:
        return f"sqlite:///{quote(name)}"
    user, password = quote(database["USER"], safe=""), quote(database["PASSWORD"], safe="")
    query = f"?{urlencode(database['OPTIONS'])}" if database["OPTIONS"] else ""
    address = f"{database['HOST']}:{database['PORT']}" if database["PORT"] else database["HOST"]
    return f"postgres://{user}:{password}@{address}/{quote(name, safe='')}{query}"


def sqlite(path: str) -> dict[str, Any]:
    # A test database in memory would be out of reach of worker processes: it gets a file too.
    return {
        "ENGINE": ENGINES["sqlite"],
        "NAME": path,
        "OPTIONS": dict(SQLITE_OPTIONS),
        "TEST": {"NAME": f"{path}.test"},
    }


def sqlite_url(name: str) -> str:
    return f"sqlite:///{quote(str(scratch_directory() / name))}.sqlite3"


def sibling(database: dict[str, Any]) -> dict[str, Any]:
    """Name a second database beside the given one: on the same server, or in the same folder."""
    if database["ENGINE"] == ENGINES["sqlite"]:
        return sqlite(str(Path(database["NAME"]).with_name("other.sqlite3")))
    name = f"{database['NAME']}_other"
    return {**database, "NAME": name, "TEST": {"NAME": f"test_{name}"}}


@cache
def scratch_directory() -> Path:
    """Make this process's folder for SQLite files; it goes when the process ends."""
    directory = tempfile.mkdtemp(prefix="durable-app-tests-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)
