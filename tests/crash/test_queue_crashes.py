"""A worker is killed around the claim from a limited queue: places and starts are counted right after it."""

from collections.abc import Callable

import pytest

from durable_app import enqueue, register_queue, retrieve_workflow
from durable_app.models import QueueStart, Status, Workflow
from durable_app.worker.worker import Worker
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.shop.crash import short_trip

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]


def put(ledger: Ledger, count: int) -> list[str]:
    return [enqueue("line", short_trip, str(ledger)).workflow_id for _ in range(count)]


def finish(*workflow_ids: str) -> None:
    with Worker(threads=4):
        for workflow_id in workflow_ids:
            retrieve_workflow(workflow_id).get_result(timeout=PATIENCE)


@pytest.mark.parametrize("point", ["claiming-limited", "claimed-limited"])
def test_a_place_is_free_again_after_the_death_of_who_took_it(point: str, start: Start, ledger: Ledger):
    """181, 104, F01. Killed before the commit of its claim, or between claim and start."""
    register_queue("line", concurrency=1)
    ids = put(ledger, 3)

    start("--at", point).dies()
    finish(*ids)

    assert ledger.violations(crashes=1) == []


@pytest.mark.parametrize(("point", "counted"), [("claiming-limited", 0), ("claimed-limited", 2)])
def test_a_start_counts_if_and_only_if_its_claim_was_committed(
    point: str, counted: int, start: Start, ledger: Ledger
):
    """183, F34. Two of the rate are used up by a claim whose worker died; the run itself goes on."""
    register_queue("line", limiter={"limit": 2, "period": 3600})
    first, second, _ = put(ledger, 3)

    start("--at", point).dies()
    assert QueueStart.objects.count() == counted
    finish(first, second)

    assert QueueStart.objects.count() == 2
    assert Workflow.objects.filter(status=Status.ENQUEUED).count() == 1
    assert Workflow.objects.filter(started_at__isnull=False).count() == 2


def test_deaths_right_after_the_claim_do_not_multiply_the_rate(start: Start, ledger: Ledger):
    """183, F34. Three workers claim and die: what they claimed are the same runs."""
    register_queue("line", limiter={"limit": 2, "period": 3600})
    put(ledger, 6)

    for _ in range(3):
        start("--at", "claimed-limited").dies()

    assert QueueStart.objects.count() == 2
    assert Workflow.objects.filter(started_at__isnull=False).count() == 2
