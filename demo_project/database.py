"""Turn ``DATABASE_URL`` into Django's database settings, with the standard library alone."""

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from demo_project.paths import BASE_DIR

SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    "timeout": 20,
}


def database_from_url(url: str, *, default_file: Path) -> dict[str, Any]:
    """Return the settings of one database; an empty url means SQLite in the default file."""
    parts = urlsplit(url)
    if not url:
        return _sqlite(str(default_file))
    if parts.scheme == "sqlite":
        return _sqlite(_file_of(parts))
    if parts.scheme in {"postgres", "postgresql"}:
        return _postgresql(parts)
    raise ImproperlyConfigured(
        f"DATABASE_URL starts with {parts.scheme or url!r}: expected "
        "sqlite:///relative/path, sqlite:////absolute/path or postgres://user:password@host:port/name."
    )


def _sqlite(file: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": file,
        "OPTIONS": dict(SQLITE_OPTIONS),
    }


def _file_of(parts: SplitResult) -> str:
    """Return the file: after three slashes below the repository, after four anywhere."""
    file = unquote(parts.path.removeprefix("/"))
    if parts.netloc or not file:
        raise ImproperlyConfigured(
            "DATABASE_URL names no SQLite file: write sqlite:///relative/path or sqlite:////absolute/path."
        )
    return str(BASE_DIR / file)


def _postgresql(parts: SplitResult) -> dict[str, Any]:
    options = dict(parse_qsl(parts.query))
    name = unquote(parts.path.removeprefix("/"))
    if not name:
        raise ImproperlyConfigured("DATABASE_URL names no database: postgres://user:password@host:port/name.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or options.pop("user", "")),
        "PASSWORD": unquote(parts.password or options.pop("password", "")),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),  # ?host= may be a socket's folder
        "PORT": options.pop("port", "") or str(parts.port or ""),
        "OPTIONS": options,
    }
