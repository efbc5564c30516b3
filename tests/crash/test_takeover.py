"""Runs pass from one process to the next: after several deaths, deaths in recovery, and poison."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from durable_app import retrieve_workflow, send, start_workflow
from durable_app.handles import WorkflowHandle
from durable_app.models import Status, Workflow
from durable_app.worker.worker import Worker
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.helpers import wait_until
from tests.shop.crash import gated_trip, poisonous, short_trip, tour

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]


def finish(*workflow_ids: str) -> None:
    """Let a clean worker bring these runs to their ends."""
    with Worker(threads=4):
        for workflow_id in workflow_ids:
            retrieve_workflow(workflow_id).get_result(timeout=PATIENCE)


def test_a_third_worker_finishes_the_runs_of_two_dead_ones(start: Start, ledger: Ledger) -> None:
    """79, 81, 97, F01. Two workers are killed in the middle of their runs; a third finishes all."""
    ids = [start_workflow(gated_trip, str(ledger)).workflow_id for _ in range(4)]
    victims = [start("--threads", 2), start("--threads", 2)]
    wait_until(lambda: len(ledger.executions(step="first")) == len(ids))
    assert {one.pid for one in ledger.executions()} == {victim.pid for victim in victims}

    for victim in victims:
        victim.kill()
        victim.dies()
    ledger.gate("first", os.getpid())
    ledger.gate("last", os.getpid())
    finish(*ids)

    assert ledger.violations(crashes=1) == []
    assert {run.recovery_attempts for run in Workflow.objects.all()} == {1}


@pytest.mark.parametrize("moment", ["recovering", "recovered"])
def test_a_worker_dies_while_it_recovers_the_run_of_another(
    moment: str, start: Start, ledger: Ledger
) -> None:
    """92, F10. A crash during recovery, on either side of its commit, loses nothing."""
    handle = start_workflow(tour, str(ledger))
    send(handle.workflow_id, "hello", topic="greetings")

    start("--at", "before-checkpoint").dies()
    start("--at", moment).dies()
    finish(handle.workflow_id)

    assert ledger.violations(crashes=1) == []


def test_a_run_survives_a_death_at_each_of_its_steps(start: Start, ledger: Ledger) -> None:
    """53, 84, F10. Four workers die one after the other, each one checkpoint further."""
    handle = start_workflow(tour, str(ledger))
    send(handle.workflow_id, "hello", topic="greetings")

    for point in ("before-checkpoint", "recording", "after-transaction", "parked"):
        start("--at", point).dies()
    finish(handle.workflow_id)

    assert ledger.violations(crashes=4) == []


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("created", 1),
        ("before-checkpoint", 1),
        ("recording", 1),
        ("after-transaction", 1),
        ("before-outcome", 1),
    ],
)
def test_a_worker_finishes_what_a_dead_caller_had_begun(
    point: str, nth: int, start: Start, ledger: Ledger
) -> None:
    """5, 10, 79, F01. A process that called a workflow itself is killed: a worker takes the run over."""
    workflow_id = f"called-{uuid4()}"

    start("--call", "short_trip", workflow_id, ledger, "--at", point, "--nth", nth).dies()
    finish(workflow_id)

    assert ledger.violations(crashes=1) == []


def test_poison_ends_as_a_dead_letter_and_its_neighbours_finish(start: Start, ledger: Ledger) -> None:
    """85, 92, F11. A run that kills its process each time is given up; the others of the process are not."""
    poison = start_workflow(poisonous, str(ledger))
    neighbours = [start_workflow(short_trip, str(ledger)) for _ in range(8)]

    while poison.get_status().status != Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED:
        worker = start("--threads", 4)
        wait_until(partial(_ended, worker, poison))
    for handle in neighbours:
        handle.get_result(timeout=PATIENCE)

    assert len(ledger.executions(poison.workflow_id)) == 3  # the first, one recovery, and the last straw
    found = ledger.violations(crashes=3)
    assert [one for one in found if poison.workflow_id not in one] == []
    assert [one for one in found if one.startswith("L1")] == []


def _ended(worker: Victim, run: WorkflowHandle[Any]) -> bool:
    """Return whether the process, or the run that kills it, has come to an end."""
    return worker.poll() is not None or bool(run.get_status().finished_at)


def test_a_supervisor_starts_anew_the_process_that_poison_killed(start: Start, ledger: Ledger) -> None:
    """F11. The command itself, with two processes, survives poison until it is a dead letter."""
    poison = start_workflow(poisonous, str(ledger))
    neighbours = [start_workflow(short_trip, str(ledger)) for _ in range(4)]

    supervisor = start("--processes", 2)
    wait_until(lambda: poison.get_status().finished_at, timeout=PATIENCE)
    for handle in neighbours:
        handle.get_result(timeout=PATIENCE)

    assert poison.get_status().status == Status.MAX_RECOVERY_ATTEMPTS_EXCEEDED
    supervisor.terminate()
    supervisor.wait(timeout=PATIENCE)
