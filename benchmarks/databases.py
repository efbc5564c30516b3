"""An empty database for each trial, dropped after it."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql


@contextmanager
def scratch_postgresql(server_url: str) -> Iterator[str]:
    """Create a database on the server; yield its URL."""
    name = f"benchmark_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(name)))


@contextmanager
def scratch_sqlite() -> Iterator[str]:
    """Make a directory for a database file; yield the URL of the file."""
    with tempfile.TemporaryDirectory(prefix="benchmark_") as directory:
        yield f"sqlite:///{Path(directory) / 'benchmark.sqlite3'}"


def describe(server_url: str) -> str:
    """Return the server's version and the two settings that make a commit durable."""
    with psycopg.connect(server_url) as connection:
        version, fsync, commit = connection.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        ).fetchone() or ("?", "?", "?")
    return f"PostgreSQL {version.split()[0]} (fsync {fsync}, synchronous_commit {commit})"
