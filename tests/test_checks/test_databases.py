"""What is wrong with the engine's database is said by id, with a hint, before anything runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from durable_app import DatabaseNotReadyError, start_workflow
from durable_app.models import Workflow
from durable_app.store import database
from tests.shop.workflows import sum_of_three
from tests.test_checks.asking import AnotherDatabase, about_deployment, messages, said

POSTGRES = "django.db.backends.postgresql"


@pytest.fixture
def strange(tmp_path: Path) -> Iterator[str]:
    """Return the alias of a database that cannot carry the engine."""
    with AnotherDatabase(ENGINE="tests.strange_database", NAME=str(tmp_path / "db")) as alias:
        yield alias


def test_the_tests_own_settings_are_without_fault():
    """A project as the documents recommend it: nothing to say."""
    assert messages() == []


def test_the_checks_open_no_connection(monkeypatch):
    """They run with every command, perhaps before there is a database."""
    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.connect", None)
    assert messages() == []
    assert about_deployment() == []


def test_e001_a_database_without_support(strange, settings):
    """E001: the engine runs on two databases; the hint says where to name one."""
    settings.DURABLE = {"DATABASE": strange}
    (message,) = messages()
    assert message.id == "durable.E001"
    assert message.msg == "The database 'another' is mysql; the engine runs on PostgreSQL and SQLite."
    assert "DURABLE['DATABASE']" in (message.hint or "")


def test_e001_looks_only_at_the_engines_own_database(strange):
    """E001: the project may keep what it likes elsewhere."""
    assert messages() == []


@pytest.mark.django_db(databases=["default", "other"])
def test_a_database_without_support_is_refused_at_the_call_too(strange, settings, django_db_blocker):
    """Who skips the checks gets the same sentence from the first workflow."""
    settings.DURABLE = {"DATABASE": strange}
    with django_db_blocker.unblock(), pytest.raises(DatabaseNotReadyError, match="'another' is mysql"):
        database.committer()
    with django_db_blocker.unblock(), pytest.raises(DatabaseNotReadyError):
        start_workflow(sum_of_three, 1, 2, 3)


POOLERS = [
    {"PORT": "6432"},
    {"PORT": 6432, "HOST": "db"},
    {"HOST": "ep-cool-pooler.eu.example.com"},
    {"HOST": "pgbouncer"},
]


@pytest.mark.parametrize("given", POOLERS, ids=["port", "number", "hosted", "host"])
def test_e002_a_pooler_whose_kind_nobody_has_said(given: dict[str, Any], settings: Any):
    """E002: silent as soon as the settings say which kind it is, as they do with the hint's own line."""
    with AnotherDatabase(ENGINE=POSTGRES, NAME="x", **given) as alias:
        settings.DURABLE = {"DATABASE": alias}
        (message,) = messages()
        assert message.id == "durable.E002"
        assert f'DATABASES[{alias!r}]["DISABLE_SERVER_SIDE_CURSORS"] = True' in (message.hint or "")
    for kind in (True, False):
        with AnotherDatabase(ENGINE=POSTGRES, NAME="x", DISABLE_SERVER_SIDE_CURSORS=kind, **given):
            assert messages() == []
    with AnotherDatabase(ENGINE=POSTGRES, NAME="x", PORT="5432"):
        assert messages() == []


def test_w002_requests_that_are_transactions(settings: Any):
    """W002: a view that waits would wait for what it has not committed. Only before a deployment."""
    with AnotherDatabase(ENGINE=POSTGRES, NAME="x", ATOMIC_REQUESTS=True) as alias:
        settings.DURABLE = {"DATABASE": alias}
        assert said() == []
        assert about_deployment() == ["durable.W002"]


class KeepsOut:
    """A router that gives the engine's tables no place."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if app_label == "durable_app" else None


class SendsAway:
    """A router that writes the engine's rows elsewhere."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "other" if model is Workflow else None


@pytest.mark.parametrize("router", [KeepsOut, SendsAway])
def test_e007_routers_that_do_not_agree_with_the_settings(router: type, settings: Any):
    """E007: tables that are never made, and rows that land elsewhere."""
    settings.DATABASE_ROUTERS = [f"{__name__}.{router.__name__}"]
    (message,) = messages()
    assert message.id == "durable.E007"
    assert "DURABLE['DATABASE'] is 'default'" in message.msg
    assert "db == 'default'" in (message.hint or "")


class Keeps:
    """A router as the hint has it."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "other" if app_label == "durable_app" else None


def test_e007_is_silent_where_the_router_knows_the_engines_database(settings: Any):
    """E007: another alias than the default one."""
    settings.DURABLE, settings.DATABASE_ROUTERS = {"DATABASE": "other"}, [f"{__name__}.Keeps"]
    assert messages() == []


def test_w012_sqlite_without_immediate_transactions(settings):
    """W012: a warning that disappears with the very options that its hint gives."""
    careless = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    with AnotherDatabase(**careless) as alias:
        settings.DURABLE = {"DATABASE": alias}
        (message,) = messages()
        assert (message.id, message.is_serious()) == ("durable.W012", False)
        hint = message.hint or ""
    options = eval(hint.partition(" = ")[2])
    with AnotherDatabase(**careless, OPTIONS=options) as alias:
        settings.DURABLE = {"DATABASE": alias}
        assert messages() == []


@pytest.mark.parametrize("pool", [True, {"max_size": 16}, {"min_size": 2}], ids=["usual", "max", "min"])
def test_w014_a_pool_that_is_too_small(pool: Any, settings: Any):
    """W014: it says how many are needed and how many there are; the hint's line silences it."""
    with AnotherDatabase(ENGINE=POSTGRES, NAME="x", OPTIONS={"pool": pool}) as alias:
        settings.DURABLE = {"DATABASE": alias}
        (message,) = messages()
        size = {True: 4}.get(pool is True) or next(iter(pool.values()))
        assert message.id == "durable.W014"
        assert "needs up to 17 connections" in message.msg and f"the pool has {size}." in message.msg
        hint = message.hint or ""
    enough = eval(hint.partition(" = ")[2])
    with AnotherDatabase(ENGINE=POSTGRES, NAME="x", OPTIONS={"pool": enough}) as alias:
        assert messages() == []


@pytest.mark.django_db
def test_migrate_runs_over_tables_that_are_not_there_yet():
    """The checks that look into a database bear that there is nothing in it."""
    with transaction.atomic():
        for table in ("durable_app_schedule", "durable_app_queue"):
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
        call_command("check", databases=["default"])
        transaction.set_rollback(True)
