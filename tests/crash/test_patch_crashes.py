"""A worker is killed around the marker of a patch: the run takes one way, and keeps to it."""

from collections.abc import Callable

import pytest

from durable_app import retrieve_workflow, start_workflow
from durable_app.worker.worker import Worker
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.helpers import step_names
from tests.shop.crash import patched_trip

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]


@pytest.mark.parametrize("point", ["before-checkpoint", "after-checkpoint"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_crash_around_the_marker(
    point: str, nth: int, start: Callable[..., Victim], ledger: Ledger
) -> None:
    """253, 98. Killed at the checkpoint before it, at its own, and at the one that follows."""
    handle = start_workflow(patched_trip, str(ledger))
    start("--at", point, "--nth", nth).dies()
    with Worker(threads=1):
        retrieve_workflow(handle.workflow_id).get_result(timeout=PATIENCE)
    assert step_names(handle.workflow_id) == [
        (1, "plain"),
        (2, "durable.patch-way"),
        (3, "plain"),
        (4, "plain"),
    ]
    assert ledger.executions(step="old") == []
    assert ledger.violations(crashes=1) == []
