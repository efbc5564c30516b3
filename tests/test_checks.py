"""System checks: what is wrong with the settings is said by id, with a hint, before anything runs."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections

from durable_app import DatabaseNotReadyError, Queue, scheduled, start_workflow
from durable_app.registry import registry
from durable_app.store import database
from tests.shop.workflows import sum_of_three


def messages() -> list[CheckMessage]:
    return run_checks(tags=["durable_app"])


def ids() -> list[str | None]:
    return [message.id for message in messages() if message.id != "durable.W012"]


@pytest.fixture
def strange(settings: Any, tmp_path: Path) -> Iterator[str]:
    """Return the alias of a database that cannot carry the engine."""
    with AnotherDatabase({"ENGINE": "tests.strange_database", "NAME": str(tmp_path / "db")}) as alias:
        yield alias


class AnotherDatabase:
    """Add a database to the project for a while."""

    alias = "another"

    def __init__(self, described: dict[str, Any]) -> None:
        self.described = described

    def __enter__(self) -> str:
        everything = connections.configure_settings({"default": {}, self.alias: self.described})
        connections.settings[self.alias] = everything[self.alias]
        return self.alias

    def __exit__(self, *raised: object) -> None:
        connections[self.alias].close()
        del connections[self.alias]
        del connections.settings[self.alias]


def test_the_tests_own_settings_are_without_fault():
    """A project as the documents recommend it: nothing to say."""
    assert messages() == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"THREAD": 4}, "Unknown option DURABLE['THREAD']. Did you mean 'THREADS'?"),
        ({"LEASE": 30}, "DURABLE['LEASE'] must be a timedelta, not int."),
        ({"THREADS": 0}, "DURABLE['THREADS'] must be at least 1."),
    ],
)
@pytest.mark.django_db(databases=["default", "other"])
def test_e008_settings_that_cannot_be_read(given, said, settings):
    """E008: an unknown key, a wrong type, a value out of range; the nearest name where there is one."""
    settings.DURABLE = given
    (message,) = messages()
    assert (message.id, message.msg) == ("durable.E008", said)
    assert message.hint == "Correct DURABLE in the settings."
    with pytest.raises(SystemCheckError, match="durable.E008"):
        call_command("check")


def test_e009_an_alias_that_does_not_exist(settings):
    """E009: the hint lists the aliases there are."""
    settings.DURABLE = {"DATABASE": "defualt"}
    (message,) = messages()
    assert (message.id, message.hint) == ("durable.E009", "Known aliases: default, other.")
    assert "'defualt'" in message.msg


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


def test_w012_sqlite_without_immediate_transactions(settings):
    """W012: a warning that disappears with the very options that its hint gives."""
    careless = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    with AnotherDatabase(careless) as alias:
        settings.DURABLE = {"DATABASE": alias}
        (message,) = messages()
        assert (message.id, message.is_serious()) == ("durable.W012", False)
        hint = message.hint or ""
    options = eval(hint.partition(" = ")[2])
    with AnotherDatabase({**careless, "OPTIONS": options}) as alias:
        settings.DURABLE = {"DATABASE": alias}
        assert messages() == []


def test_e010_naive_times(settings):
    """E010: without USE_TZ the times of two hosts cannot be compared."""
    settings.USE_TZ = False
    assert ids() == ["durable.E010"]


def test_the_checks_open_no_connection(monkeypatch):
    """They run with every command, perhaps before there is a database."""
    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.connect", None)
    assert messages() == []


@pytest.mark.django_db(databases=["default", "other"])
def test_a_database_without_support_is_refused_at_the_call_too(strange, settings, django_db_blocker):
    """Who skips the checks gets the same sentence from the first workflow."""
    settings.DURABLE = {"DATABASE": strange}
    with django_db_blocker.unblock(), pytest.raises(DatabaseNotReadyError, match="'another' is mysql"):
        database.committer()
    with django_db_blocker.unblock(), pytest.raises(DatabaseNotReadyError):
        start_workflow(sum_of_three, 1, 2, 3)


def test_a_tick_of_cron_that_is_shorter_than_a_lease_is_worth_a_warning(settings: Any):
    """W013: only where cron is to run it."""
    short = {"CRON_BUDGET": timedelta(seconds=20)}
    settings.DURABLE = short
    assert ids() == []
    settings.CRONJOBS = ["nonsense", ("* * * * *", "durable_app.cron.tick")]
    assert ids() == ["durable.W013"]
    settings.DURABLE = {**short, "LEASE": timedelta(seconds=10)}
    assert ids() == []


def test_a_schedule_in_a_queue_that_nobody_declares_is_worth_a_warning(monkeypatch: pytest.MonkeyPatch):
    """W014: a slip of the pen, most likely."""
    monkeypatch.setattr(registry, "schedules", {})
    monkeypatch.setattr(registry, "queues", {})
    scheduled("0 3 * * *", name="plain")(sum_of_three)
    scheduled("0 3 * * *", name="default", queue="default")(sum_of_three)
    scheduled("0 3 * * *", name="declared", queue="reports")(sum_of_three)
    assert ids() == ["durable.W014"]
    assert "'declared' starts its runs in the queue 'reports'" in messages()[-1].msg
    Queue("reports")
    assert ids() == []
