"""Processes that are stopped past their lease and go on later: what they hold is refused."""

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from django.db import connection, connections

from durable_app import clock, start_workflow
from durable_app.handles import WorkflowHandle
from durable_app.models import Receipt, Status, Step, Workflow
from durable_app.models import Worker as WorkerRow
from durable_app.store import database
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.helpers import wait_until
from tests.shop.crash import gated_trip, held_payment, held_shipping
from tests.shop.models import Effect

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]

LEASE = 2

on_postgres = pytest.mark.postgres(reason="SQLite's one writer stops all others")


def stopped(victim: Victim) -> None:
    """Stop a process as a suspended machine would, but not inside a write that locks a whole SQLite file."""
    while True:
        victim.send_signal(signal.SIGSTOP)
        wait_until(lambda: Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        if others_can_write():
            return
        victim.send_signal(signal.SIGCONT)


def others_can_write() -> bool:
    """Return whether the engine's database takes a write now; PostgreSQL locks rows only."""
    if connection.vendor == "postgresql":
        return True
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=1)) as probe:
        try:
            probe.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


def zombie_writes(start: Start, ledger: Ledger, losses: Path, *options: str) -> WorkflowHandle[list[str]]:
    """Stop a worker in its first step; let it go on when another has got to the last; end the run."""
    handle = start_workflow(gated_trip, str(ledger))
    zombie = start("--threads", 1, "--losses", losses, *options, lease=LEASE)
    wait_until(lambda: ledger.executions(step="first"))
    stopped(zombie)

    heir = start("--threads", 1, lease=LEASE)
    wait_until(lambda: len(ledger.executions(step="first")) == 2)
    ledger.gate("first", heir.pid)
    wait_until(lambda: ledger.executions(step="last"))

    ledger.gate("first", zombie.pid)
    ledger.gate("last", zombie.pid)
    zombie.send_signal(signal.SIGCONT)
    wait_until(lambda: losses.exists() or handle.get_status().finished_at)
    ledger.gate("last", heir.pid)
    wait_until(lambda: handle.get_status().finished_at, timeout=PATIENCE)
    return handle


def test_a_zombies_step_is_refused_and_it_runs_no_other(start: Start, ledger: Ledger, tmp_path: Path) -> None:
    """61, 73, 95, F02, F03, F06. A worker that was asleep for a lease cannot write, and stops silently."""
    handle = zombie_writes(start, ledger, tmp_path / "losses")

    assert ledger.violations(crashes=1) == []
    run = Workflow.objects.get(workflow_id=handle.workflow_id)
    assert set(Step.objects.filter(workflow=run).values_list("attempt", flat=True)) == {run.attempt}
    assert Effect.objects.count() == 1
    assert len(ledger.executions(step="last")) == 1


def test_without_the_fence_the_checker_sees_the_zombie(start: Start, ledger: Ledger, tmp_path: Path) -> None:
    """F03, seeded bug. The same, with a zombie whose attempt nobody compares: the checker must object."""
    zombie_writes(start, ledger, tmp_path / "losses", "--blind", "--unfenced")

    assert ledger.violations(crashes=1) != []


def test_a_zombie_without_an_heir_takes_a_new_name_and_the_run_goes_on(start: Start, ledger: Ledger) -> None:
    """F05. A worker that finds its own lease gone drops its runs; nothing is left with the old name."""
    handle = start_workflow(gated_trip, str(ledger))
    zombie = start("--threads", 2, lease=LEASE)
    wait_until(lambda: ledger.executions(step="first"))
    run = Workflow.objects.get()
    first_name = run.worker_id
    expires_at = WorkerRow.objects.get(pk=run.worker_id).expires_at
    stopped(zombie)
    wait_until(lambda: database_time() > expires_at)

    zombie.send_signal(signal.SIGCONT)
    wait_until(lambda: len(ledger.executions(step="first")) == 2)
    ledger.gate("first", zombie.pid)
    ledger.gate("last", zombie.pid)
    handle.get_result(timeout=PATIENCE)

    run.refresh_from_db()
    assert run.worker_id != first_name
    assert Effect.objects.count() == 1
    assert set(Step.objects.values_list("attempt", flat=True)) == {run.attempt}


def database_time() -> datetime:
    database.synchronize_clock()
    return clock.now()


@on_postgres
def test_a_zombie_inside_a_transaction_blocks_nobody_and_pays_once(start: Start, ledger: Ledger) -> None:
    """97, F04. Its row lock keeps the run: the sweep passes it over and goes on with the others."""
    held = start_workflow(held_payment, str(ledger))
    zombie = start("--threads", 1, lease=LEASE)
    wait_until(lambda: ledger.executions(step="paid"))
    other = start_workflow(gated_trip, str(ledger))
    second = start("--threads", 1, lease=LEASE)
    wait_until(lambda: ledger.executions(other.workflow_id, "first"))
    stopped(zombie)
    stopped(second)

    heir = start("--threads", 2, lease=LEASE)
    ledger.gate("first", heir.pid)
    ledger.gate("last", heir.pid)
    other.get_result(timeout=PATIENCE)  # the sweep has passed the locked row and taken this one
    assert held.get_status().status == Status.PENDING

    ledger.gate("paid", heir.pid)
    ledger.gate("paid", zombie.pid)
    zombie.send_signal(signal.SIGCONT)
    held.get_result(timeout=PATIENCE)

    assert Effect.objects.filter(workflow_id=held.workflow_id).count() == 1
    assert len(ledger.executions(held.workflow_id, "paid")) == 1
    assert ledger.violations(crashes=1) == []


@on_postgres
def test_a_zombie_inside_a_transaction_elsewhere_pays_once(
    start: Start, ledger: Ledger, tmp_path: Path
) -> None:
    """66, 97, F04, F73. No row lock of ours protects the run there: its receipt must."""
    handle = start_workflow(held_shipping, str(ledger))
    losses = tmp_path / "losses"
    zombie = start("--threads", 1, "--losses", losses, lease=LEASE)
    wait_until(lambda: ledger.executions(step="shipped"))
    stopped(zombie)

    heir = start("--threads", 1, lease=LEASE)
    ledger.gate("shipped", heir.pid)
    run = Workflow.objects.get()
    wait_until(lambda: _has_ended_or_waits_for_the_zombie(run))
    ledger.gate("shipped", zombie.pid)
    zombie.send_signal(signal.SIGCONT)
    handle.get_result(timeout=PATIENCE)
    wait_until(losses.exists)

    effects = Effect.objects.using("other").filter(workflow_id=handle.workflow_id)
    assert len(effects) == 1
    assert effects[0].step.split()[1] == handle.get_result()[0]
    wait_until(lambda: not Receipt.objects.using("other").exists())


def _has_ended_or_waits_for_the_zombie(run: Workflow) -> bool:
    """Return whether the heir has done all that it can while the zombie sleeps."""
    run.refresh_from_db()
    if run.finished_at:
        return True
    with connections["other"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def test_a_short_lease_is_kept_through_a_long_step(start: Start, ledger: Ledger) -> None:
    """F14. A step longer than the lease does not run again while its worker lives."""
    handle = start_workflow(gated_trip, str(ledger))
    workers = [start("--threads", 1, lease=1), start("--threads", 1, lease=1)]
    wait_until(lambda: ledger.executions(step="first"))
    run = Workflow.objects.get()
    first_end = WorkerRow.objects.get(pk=run.worker_id).expires_at
    wait_until(lambda: (database_time() - first_end).total_seconds() > 2)

    for worker in workers:
        ledger.gate("first", worker.pid)
        ledger.gate("last", worker.pid)
    handle.get_result(timeout=PATIENCE)

    assert ledger.violations(crashes=0) == []
    run.refresh_from_db()
    assert (run.attempt, run.recovery_attempts) == (1, 0)
