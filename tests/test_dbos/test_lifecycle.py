"""`DBOS(config=...)`, `launch()`, `destroy()`: many lives in one process, and nothing left of them."""

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

import durable_app
from durable_app import checks
from durable_app.dbos import DBOS, DBOSClient, DBOSConfig
from durable_app.dbos.error import DBOSException, DBOSInitializationError
from durable_app.models import Queue, Worker, Workflow
from durable_app.registry import registry
from durable_app.store import database
from tests.helpers import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CONFIG: DBOSConfig = {"name": "test-app"}


def other_sessions() -> int:
    """Return how many connections there are to the database, besides this thread's."""
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_type = 'client backend'"
                " AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])
    gc.collect()
    return sum(isinstance(one, sqlite3.Connection) and is_open(one) for one in gc.get_objects()) - 1


def is_open(found: sqlite3.Connection) -> bool:
    try:
        return found.total_changes >= 0
    except sqlite3.ProgrammingError as error:
        return "closed" not in str(error)


def new_threads(before: set[threading.Thread]) -> list[str]:
    """Return the engine's new threads. (Under test asgiref keeps one of its own.)"""
    return [one.name for one in set(threading.enumerate()) - before if one.name.startswith("durable")]


def launch(**config: Any) -> None:
    DBOS(config={**CONFIG, **config})  # type: ignore[typeddict-item]
    DBOS.launch()


def test_several_lives_leave_no_thread_and_no_connection():
    """279. Each life runs sync and async workflows, steps, children, messages; each ends without a trace."""
    before, sessions = set(threading.enumerate()), other_sessions()
    for life in range(3):
        launch()

        @DBOS.step()
        def double(number):
            return Workflow.objects.count() * 0 + number * 2

        @DBOS.workflow()
        def child(number):
            return double(number)

        @DBOS.workflow()
        async def achild(number):
            return double(number)

        @DBOS.workflow()
        async def aparent(number):
            handle = await DBOS.start_workflow_async(achild, number)
            message: int = await DBOS.recv_async(timeout_seconds=30)
            return await handle.get_result() + message

        handle = DBOS.start_workflow(aparent, life)
        DBOS.send(handle.workflow_id, 100)
        assert handle.get_result() == life * 2 + 100
        assert child(4) == 8
        DBOS.destroy()
        wait_until(lambda: not new_threads(before), what=f"the end of {new_threads(before)}")
        wait_until(lambda: other_sessions() <= sessions, what="the end of its connections")
    assert not Worker.objects.filter(stopped_at__isnull=True).exists()


def test_a_second_construction_returns_the_first(caplog):
    """279. The configuration stays, and a warning says so; after destroy() another one may come."""
    first = DBOS(config=CONFIG)
    assert DBOS(config={"name": "another-app"}) is first
    assert "created already" in caplog.text
    assert DBOS.config == CONFIG
    DBOS.destroy()
    assert DBOS(config={"name": "another-app"}) is not first
    assert DBOS.config == {"name": "another-app"}


def test_launch_twice_only_warns(dbos, caplog):
    """279. There is one worker."""
    DBOS.launch()
    assert "called already" in caplog.text
    assert Worker.objects.filter(kind="worker").count() == 1


def test_launch_needs_a_configuration():
    """279. Without DBOS(config=...) there is nothing to launch; destroying nothing is fine."""
    DBOS.destroy()
    with pytest.raises(DBOSException, match="before DBOS was created"):
        DBOS.launch()


def test_workflows_need_a_launch():
    """23. Calls and starts are refused before both; functions may be decorated before."""

    @DBOS.workflow()
    def early():
        return "run"

    def attempts(what):
        calls: list[Callable[[], Any]] = [early, lambda: DBOS.start_workflow(early)]
        for call in calls:
            with pytest.raises(DBOSException, match=what):
                call()

    attempts("before DBOS initialized")
    DBOS(config=CONFIG)
    attempts("before DBOS was launched")
    assert not Workflow.objects.exists()
    DBOS.launch()
    assert early() == "run"
    DBOS.destroy()
    attempts("before DBOS initialized")


def test_steps_need_nothing():
    """41. Outside a workflow a step is a plain call: before, and after destroy()."""

    @DBOS.step()
    def double(number):
        return number * 2

    assert double(2) == 4
    launch()
    DBOS.destroy()
    assert double(3) == 6
    assert DBOS.run_step(None, lambda: 5) == 5


def test_any_worker_executes_them(worker):
    """In production the workers are processes of their own, and nobody launches anything."""

    @DBOS.step()
    def double(number):
        return number * 2

    @DBOS.workflow()
    def child(number):
        return double(number)

    @DBOS.workflow()
    def parent(number):
        DBOS.set_event("number", number)
        return child(number) + DBOS.start_workflow(child, 10).get_result()

    handle = durable_app.start_workflow(parent, 1)
    assert handle.get_result(timeout=60) == 22
    assert DBOS.get_event(handle.workflow_id, "number") == 1
    assert DBOSClient().retrieve_workflow(handle.workflow_id).get_result() == 22


def test_destroy_waits_for_runs_as_long_as_it_is_told():
    """279. A run that ends within the timeout is not handed back."""
    launch()
    begun, go_on = threading.Event(), threading.Event()

    @DBOS.workflow()
    def slow():
        begun.set()
        assert go_on.wait(30)
        return "done"

    handle = DBOS.start_workflow(slow)
    assert begun.wait(30)
    threading.Timer(0.8, go_on.set).start()
    DBOS.destroy(workflow_completion_timeout_sec=30)
    assert Workflow.objects.get(workflow_id=handle.workflow_id).status == "SUCCESS"


def test_runs_that_do_not_end_go_on_in_the_next_life():
    """279, 79. Steps that were recorded are not run again."""
    launch()
    calls: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    @DBOS.step()
    def first():
        calls.append("first")

    @DBOS.step()
    def second():
        begun.set()
        assert go_on.wait(30)
        return "second"

    @DBOS.workflow()
    def two_steps():
        first()
        return second()

    handle = DBOS.start_workflow(two_steps)
    assert begun.wait(30)
    DBOS.destroy()
    run = Workflow.objects.get(workflow_id=handle.workflow_id)
    assert (run.status, run.recovery_attempts) == ("ENQUEUED", 0)
    go_on.set()
    launch()
    assert handle.get_result() == "second"
    assert calls == ["first"]


def test_reset_empties_the_tables(dbos):
    """280. Never under a running DBOS; without any configuration it only warns."""

    @DBOS.workflow()
    def some(): ...

    DBOS.register_queue("some-queue")
    some()
    with pytest.raises(DBOSException, match="under a running DBOS"):
        DBOS.reset_system_database()
    assert Workflow.objects.exists()
    DBOS.destroy()
    DBOS.reset_system_database()
    assert Workflow.objects.exists()
    DBOS(config=CONFIG)
    DBOS.reset_system_database()
    assert not any(model.objects.exists() for model in (Workflow, Queue, Worker))


def test_destroy_may_forget_all_functions(dbos):
    """279. With `destroy_registry`, and only what the seed's decorators have made."""
    others = set(registry.workflows)

    @DBOS.workflow(name="forgotten-workflow")
    def some(): ...

    @DBOS.step(name="forgotten-step")
    def step(): ...

    @DBOS.dbos_class("forgotten-class")
    class Some: ...

    DBOS.destroy()
    assert {"forgotten-workflow", "<temp>.forgotten-step"} <= set(registry.workflows)
    DBOS.destroy(destroy_registry=True)
    assert set(registry.workflows) == others
    assert "forgotten-step" not in registry.steps
    assert "forgotten-class" not in registry.classes


def test_a_life_on_an_event_loop():
    """287. Launch and destroy may be called from a coroutine."""
    before = set(threading.enumerate())

    async def main():
        DBOS(config=CONFIG)
        DBOS.launch()

        @DBOS.workflow()
        async def double(number):
            return number * 2

        handle = await DBOS.start_workflow_async(double, 4)
        result = await handle.get_result() + await double(1)
        DBOS.destroy()
        await sync_to_async(connections.close_all)()
        return result

    assert asyncio.run(main()) == 10
    wait_until(lambda: not new_threads(before), what=f"the end of {new_threads(before)}")


def test_launch_without_tables_says_what_to_do(monkeypatch):
    """281. Nothing is migrated behind the project's back."""
    DBOS(config=CONFIG)
    monkeypatch.setattr(checks, "is_migrated", lambda: False)
    with pytest.raises(DBOSInitializationError, match="manage.py migrate"):
        DBOS.launch()


def test_a_database_in_memory_is_refused(monkeypatch):
    """Its threads could not share it."""
    DBOS(config=CONFIG)
    monkeypatch.setattr(database, "in_memory", lambda: True)
    with pytest.raises(DBOSInitializationError, match="memory"):
        DBOS.launch()


def test_handles_are_equal_by_their_run(dbos):
    """Like ours; but a blocking one is no awaitable one."""
    first, again = (DBOS.retrieve_workflow("w", existing_workflow=False) for _ in range(2))
    other = DBOS.retrieve_workflow("v", existing_workflow=False)
    assert first == again and hash(first) == hash(again)
    assert first != other
    assert first != "w"


def test_persistent_connections_end_too(monkeypatch):
    """279. Those that runs opened on the worker's threads, where the project keeps connections."""
    sessions = other_sessions()
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    launch()

    @DBOS.workflow()
    def counts():
        return Workflow.objects.count()

    @DBOS.workflow()
    async def acounts():
        return await Workflow.objects.acount()

    for workflow in (counts, acounts):
        handles = [DBOS.start_workflow(workflow) for _ in range(5)]
        assert all(handle.get_result() for handle in handles)
    DBOS.destroy()
    wait_until(lambda: other_sessions() <= sessions, what="the end of its connections")
