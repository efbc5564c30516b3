"""A worker is killed while a run goes on as new: it is in the old round or in the new one, never between."""

from collections.abc import Callable

import pytest

from durable_app import list_workflow_steps, start_workflow
from durable_app.worker.worker import Worker
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.shop.rounds import rounds

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", ["before-hand-over", "handing-over", "handed-over"])
def test_a_crash_at_the_hand_over(point: str, nth: int, start: Start, ledger: Ledger) -> None:
    """98, F01. No round is lost, and none is run again: its step was recorded."""
    handle = start_workflow(rounds, str(ledger))
    start("--at", point, "--nth", nth).dies()
    with Worker(threads=2):
        handle.get_result(timeout=PATIENCE)
    assert [one.step for one in ledger.executions()] == ["round3", "round2", "round1", "round0"]
    found = [(step.step_id, step.name, step.output) for step in list_workflow_steps(handle.workflow_id)]
    assert found[0] == (6, "durable.continueAsNew", 4)
    assert [one[:2] for one in found[1:]] == [(7, "plain")]
    assert ledger.violations(crashes=1) == []


@pytest.mark.parametrize(
    ("point", "nth"), [("before-checkpoint", 3), ("after-checkpoint", 3), ("before-outcome", 1)]
)
def test_a_crash_in_a_later_round(point: str, nth: int, start: Start, ledger: Ledger) -> None:
    """97, 98, F01. The round begins where the old history ended, also for the next worker."""
    handle = start_workflow(rounds, str(ledger))
    start("--at", point, "--nth", nth).dies()
    with Worker(threads=2):
        handle.get_result(timeout=PATIENCE)
    assert [one.step_id for one in list_workflow_steps(handle.workflow_id)] == [6, 7]
    assert ledger.violations(crashes=1) == []
