"""A worker process ends while it holds runs that it has claimed ahead of its slots."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from durable_app import SetWorkflowID, retrieve_workflow, start_workflow
from durable_app.models import Status, Workflow
from durable_app.worker.worker import Worker
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.helpers import status, wait_for_status, wait_until
from tests.shop.crash import gated_trip, short_trip

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]

AHEAD = [f"ahead{number}" for number in range(5)]


@pytest.fixture
def victim(start: Start, ledger: Ledger) -> Victim:
    """Return a worker whose only thread a run holds, and which has claimed five more."""
    for name, func in [("held", gated_trip), *((name, short_trip) for name in AHEAD)]:
        with SetWorkflowID(name):
            start_workflow(func, str(ledger))
    found = start("--far-ahead", "--threads", 1)
    wait_until(lambda: Workflow.objects.filter(status=Status.PENDING).count() == 6)
    wait_until(lambda: len(ledger.executions()) == 1)
    return found


def finish(*workflow_ids: str) -> None:
    for workflow_id in workflow_ids:
        retrieve_workflow(workflow_id).get_result(timeout=PATIENCE)


def open_gates(ledger: Ledger, pid: int) -> None:
    for name in ("first", "last"):
        Path(f"{ledger}.{name}.{pid}").touch()


def counts() -> dict[str, tuple[int, int]]:
    rows = Workflow.objects.values_list("workflow_id", "attempt", "recovery_attempts")
    return {name: (attempt, crashes) for name, attempt, crashes in rows}


def test_runs_claimed_ahead_by_a_killed_worker_are_executed_once_by_another(
    victim: Victim, ledger: Ledger
) -> None:
    """81, 84, F01. None of them had begun; all are taken back as the one that had, and are counted so."""
    victim.kill()
    victim.wait()
    assert {status(name) for name in AHEAD} == {Status.PENDING}
    with Worker(threads=2) as worker:
        open_gates(ledger, os.getpid())
        finish("held", *AHEAD)
        wait_until(lambda: worker.busy == 0)
    assert counts() == dict.fromkeys(["held", *AHEAD], (3, 1))
    assert [len(ledger.executions(name)) for name in AHEAD] == [2] * 5
    assert ledger.violations(crashes=1) == []


def test_a_worker_that_is_told_to_stop_hands_back_at_once_what_it_has_claimed_ahead(
    victim: Victim, ledger: Ledger
) -> None:
    """83, F12. Its own run may take its time; the others are another worker's meanwhile, and no crash."""
    victim.send_signal(signal.SIGTERM)
    for name in AHEAD:
        wait_for_status(name, Status.ENQUEUED)
    assert (status("held"), victim.poll()) == (Status.PENDING, None)
    assert counts() == dict.fromkeys(["held", *AHEAD], (1, 0))
    assert not Workflow.objects.filter(workflow_id__in=AHEAD, started_at__isnull=False).exists()
    with Worker(threads=2):
        finish(*AHEAD)
    open_gates(ledger, victim.pid)
    assert victim.wait(timeout=PATIENCE) == 0
    assert counts() == {"held": (1, 0), **dict.fromkeys(AHEAD, (2, 0))}
    assert ledger.violations(crashes=0) == []
