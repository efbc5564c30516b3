"""`manage.py durable_worker` refuses to start where it could not work, and says why."""

import contextlib
import sqlite3

import pytest

from tests.processes import project_env, write_settings


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgres://nobody@127.0.0.1:1/nowhere", "onnection refused"),
        ("sqlite:////nonexistent/folder/default.sqlite3", "unable to open database file"),
    ],
)
def test_an_unreachable_database_is_one_clear_line(manage, url, why):
    """The error names the alias and the driver's reason; status 1, no traceback."""
    worker = manage("durable_worker", env={"DATABASE_URL": url})
    assert worker.ended() == 1
    assert "CommandError: The database 'default' cannot be reached: " in worker.output
    assert why in worker.output
    assert "Traceback" not in worker.output
    assert "is running" not in worker.output


@pytest.mark.parametrize("arguments", [[], ["--burst"], ["--processes", "2"]])
def test_missing_migrations_are_named_with_the_command_that_applies_them(manage, tmp_path, arguments):
    """An empty database: status 1 and the line to type; nothing is written."""
    empty = tmp_path / "empty.sqlite3"
    worker = manage("durable_worker", *arguments, env={"DATABASE_URL": f"sqlite:///{empty}"})
    assert worker.ended() == 1
    assert "migrations of durable_app are not applied to the database 'default'" in worker.output
    assert "python manage.py migrate --database default" in worker.output
    assert "Traceback" not in worker.output
    with contextlib.closing(sqlite3.connect(empty)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_a_database_of_another_kind_is_refused_by_the_system_checks(manage):
    """An unsupported engine: durable.E001 with a hint, status 1."""
    worker = manage("durable_worker", env={"DJANGO_SETTINGS_MODULE": "tests.strange_database.settings"})
    assert worker.ended() == 1
    assert "(durable.E001) The database 'default' is mysql" in worker.output
    assert "HINT: Name a PostgreSQL or SQLite alias in DURABLE['DATABASE']." in worker.output
    assert "Traceback" not in worker.output


def test_an_unknown_setting_is_refused_by_the_system_checks(manage, tmp_path):
    """A typing error in DURABLE: durable.E008 with the nearest name, status 1, before anything runs."""
    write_settings(tmp_path, "DURABLE = {'THREAD': 4}")
    worker = manage("durable_worker", env=project_env(tmp_path))
    assert worker.ended() == 1
    assert "(durable.E008) Unknown option DURABLE['THREAD']. Did you mean 'THREADS'?" in worker.output
    assert "Traceback" not in worker.output
