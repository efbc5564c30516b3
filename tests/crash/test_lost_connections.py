"""Connections break at chosen statements: nothing is lost or doubled, and no plain step runs again."""

import signal
from collections.abc import Callable

import pytest
from django.db import connection

from durable_app import retrieve_workflow, send, start_workflow
from durable_app.store import database
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.crash.proxy import Fault, Loss, Proxy
from tests.helpers import wait_until
from tests.shop.crash import gated_trip, held_payment, tour

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
    pytest.mark.postgres(reason="SQLite has no connection to lose"),
]

Start = Callable[..., Victim]

STATEMENTS = {
    "fence": b'FROM "durable_app_workflow" WHERE "durable_app_workflow"."id" = ',
    "child": b"INSERT INTO durable_app_workflow",
    "effect": b'INSERT INTO "shop_effect"',
    "claim": b"WITH line AS MATERIALIZED",
    "checkpoint": b"INSERT INTO durable_app_step",
    "event": b"INSERT INTO durable_app_event (",
    "receive": b"UPDATE durable_app_message",
    "send": b"INSERT INTO durable_app_message",
    "outcome": b"UPDATE durable_app_workflow AS run\nSET status =",
}
TRANSACTIONS = {
    "transaction": b'INSERT INTO "shop_effect"',
    "launch": b"INSERT INTO durable_app_workflow",
    "park": b"SET \"status\" = 'WAITING'",
    "wake": b'DELETE FROM "durable_app_wait"',
}
LOSSES = [
    *(pytest.param(text, False, id=name) for name, text in STATEMENTS.items()),
    *(pytest.param(text, True, id=name) for name, text in TRANSACTIONS.items()),
]

BACKENDS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND {condition}
"""

COMMITTER = "state = 'idle' AND (query LIKE '%INSERT INTO durable_app_step%' OR query LIKE '%pg_notify%')"


@pytest.mark.parametrize("fault", ["request", "reply"])
@pytest.mark.parametrize(("text", "at_commit"), LOSSES)
def test_a_lost_statement_or_reply_changes_nothing(
    text: bytes, at_commit: bool, fault: Fault, start: Start, ledger: Ledger, worker_env: dict[str, str]
) -> None:
    """68, 72, 98, F18, F19. A cut before or after a COMMIT: every effect once, no step again."""
    handle = start_workflow(tour, str(ledger))
    send(handle.workflow_id, "hello", topic="greetings")

    with Proxy(worker_env["DATABASE_URL"], Loss(text=text, at_commit=at_commit, fault=fault)) as proxy:
        worker = start(lease=5, env={"DATABASE_URL": proxy.url})
        handle.get_result(timeout=PATIENCE)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=PATIENCE) == 0

    assert proxy.losses >= 1
    assert ledger.violations(crashes=0) == []


def test_a_caller_whose_insert_got_no_reply_runs_the_workflow_itself(
    start: Start, ledger: Ledger, worker_env: dict[str, str]
) -> None:
    """5, 21, 282, F19. The row that it finds is its own: there is nobody else to wait for."""
    text = b"INSERT INTO durable_app_workflow"
    with Proxy(worker_env["DATABASE_URL"], Loss(text=text, at_commit=False, fault="reply")) as proxy:
        caller = start("--call", "short_trip", "called", ledger, env={"DATABASE_URL": proxy.url})
        wait_until(lambda: caller.poll() is not None, what="the caller's end")

    assert caller.returncode == 0, caller.log.read_text()
    assert proxy.losses >= 1
    assert ledger.violations(crashes=0) == []


def terminate(condition: str) -> None:
    """End the backends that fulfil a condition; fail unless there was one."""
    with connection.cursor() as cursor:
        cursor.execute(BACKENDS.format(condition=condition))
        assert cursor.fetchall()


def test_the_committers_connection_is_terminated_during_a_step(start: Start, ledger: Ledger) -> None:
    """F18. The checkpoint goes through a new connection; the step does not run again."""
    handle = start_workflow(gated_trip, str(ledger))
    worker = start("--threads", 1)
    wait_until(lambda: ledger.executions(step="first"))
    ledger.gate("first", worker.pid)
    wait_until(lambda: ledger.executions(step="last"))

    database.close()  # this process's own committer looks the same
    terminate(COMMITTER)
    ledger.gate("last", worker.pid)

    handle.get_result(timeout=PATIENCE)
    assert ledger.violations(crashes=0) == []


def test_the_connection_of_an_open_transaction_is_terminated(start: Start, ledger: Ledger) -> None:
    """68, F18. The transaction is run again, and its effect is there once."""
    handle = start_workflow(held_payment, str(ledger))
    worker = start("--threads", 1)
    wait_until(lambda: ledger.executions(step="paid"))

    terminate("state = 'idle in transaction'")
    ledger.gate("paid", worker.pid)

    handle.get_result(timeout=PATIENCE)
    assert len(ledger.executions(step="paid")) == 2
    assert len(ledger.executions(step="first")) == 1
    assert _violations_but_for(ledger, "paid") == []


def _violations_but_for(ledger: Ledger, transaction: str) -> list[str]:
    """Return the violations, allowing one more execution of a transaction that was rolled back."""
    lines = ledger.path.read_text().splitlines()
    kept = [line for line in lines if line.split()[1] != transaction]
    ledger.path.write_text("".join(f"{line}\n" for line in kept))
    return ledger.violations(crashes=0)


def test_terminating_every_backend_again_and_again_harms_nothing(start: Start, ledger: Ledger) -> None:
    """68, 282, F18. Whatever the worker's connections were doing, its runs reach their outcomes."""
    handles = [start_workflow(tour, str(ledger)) for _ in range(4)]
    for handle in handles:
        send(handle.workflow_id, "hello", topic="greetings")
    start("--threads", 4, lease=10)
    wait_until(lambda: len(ledger.executions(step="first")) == len(handles))

    for _ in range(12):
        database.close()
        with connection.cursor() as cursor:
            cursor.execute(BACKENDS.format(condition="backend_type = 'client backend'"))
            cursor.execute("SELECT pg_sleep(0.1)")
    for handle in handles:
        retrieve_workflow(handle.workflow_id).get_result(timeout=PATIENCE)

    assert ledger.violations(crashes=0) == []
