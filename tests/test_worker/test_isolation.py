"""Coroutine runs share a loop, but no connection and no transaction."""

import gc
import sqlite3

import pytest
from django.db import connection

from durable_app import start_workflow
from durable_app.models import Status, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import wait_until
from tests.shop import crowd
from tests.shop.crowd import Gates, Meeting
from tests.shop.hold import write_effect
from tests.shop.models import Effect
from tests.test_worker.test_pools import ENGINE_CONNECTIONS

pytestmark = pytest.mark.django_db(transaction=True)


def written() -> list[str]:
    return sorted(Effect.objects.values_list("step", flat=True))


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_transaction_of_one_run_holds_and_hides_nothing_of_another(ending):
    """200. An open atomic() in one coroutine does not swallow the writes of the next one."""
    Gates.close()
    can_write_at_once = connection.vendor == "postgresql"  # SQLite has one writer at a time
    holding = start_workflow(crowd.hold_transaction, ending)
    looking = start_workflow(crowd.look_beside_transaction, can_write_at_once)
    with Worker(threads=1, async_concurrency=2):
        assert looking.get_result(timeout=60) == []
        assert holding.get_result(timeout=60) == ending
    expected = ["beside"] * can_write_at_once + ["inside"] * (ending == "commit")
    assert written() == expected


def test_every_coroutine_run_has_a_connection_of_its_own_and_closes_it():
    """200. Twenty runs that use the ORM at once: twenty connections, none of them left at the end."""
    Meeting.of(20)
    before = sessions()
    names = [f"run {number}" for number in range(20)]
    handles = [start_workflow(crowd.write_while_meeting, name) for name in names]
    with Worker(threads=1, async_concurrency=20) as worker:
        results = [handle.get_result(timeout=60) for handle in handles]
        assert [name for name, _ in results] == names
        assert len({used for _, used in results}) == 20
        wait_until(lambda: worker.busy == 0)
        wait_until(lambda: sessions() <= before + ENGINE_CONNECTIONS)
    assert written() == sorted(names)


def sessions() -> int:
    """Count the connections of this process to the test's database.

    SQLite keeps the file open while another connection has a lock: its Python objects are counted.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            return int(cursor.fetchone()[0])
    return sum(issubclass(type(found), sqlite3.Connection) for found in gc.get_objects())


def test_sync_runs_share_the_connections_of_their_threads():
    """29. Fifty sync runs that use the ORM need one connection a thread, kept from run to run."""
    before = sessions()
    handles = [start_workflow(write_effect, f"run {number}") for number in range(50)]
    with Worker(threads=2):
        for handle in handles:
            handle.get_result(timeout=60)
        assert sessions() <= before + ENGINE_CONNECTIONS + 2
    assert len(written()) == 50
    assert Workflow.objects.filter(status=Status.SUCCESS).count() == 50
