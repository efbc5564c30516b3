"""A worker is killed at a named point; another finishes what it held, and nothing is lost or doubled."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from durable_app import retrieve_workflow, send, start_workflow
from durable_app.worker.worker import Worker
from tests.crash.conftest import PATIENCE, Victim
from tests.crash.ledger import Ledger
from tests.shop.crash import tour

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.timeout(180),
]

Start = Callable[..., Victim]

# On PostgreSQL events and messages are one statement each, and crash at the points at the list's end.
RECORDED_APART = [] if connection.vendor == "postgresql" else [("recording", 4), ("recording", 5)]

CRASHES = [
    *RECORDED_APART,
    ("claiming", 1),
    ("claimed", 1),
    ("claimed", 2),
    ("reading-history", 1),
    ("before-checkpoint", 1),
    ("before-checkpoint", 2),
    ("before-checkpoint", 3),
    ("after-checkpoint", 1),
    ("after-checkpoint", 3),
    ("recording", 1),
    ("recording", 2),
    ("recording", 3),
    ("consumed", 1),
    ("launched", 1),
    ("after-transaction", 1),
    ("receipt-begun", 1),
    ("receipt", 1),
    ("after-transaction", 2),
    ("before-parking", 1),
    ("parking", 1),
    ("parked", 1),
    ("waking", 1),
    ("before-outcome", 1),
    ("after-outcome", 1),
    ("before-outcome", 2),
    ("after-outcome", 2),
    *[
        pytest.param(point, 1, marks=pytest.mark.postgres(reason="only there it is one statement"))
        for point in ("published", "sent", "taken")
    ],
]


def finished(*workflow_ids: str) -> list[Any]:
    """Let a clean worker bring these runs to their ends."""
    with Worker(threads=4):
        return [retrieve_workflow(one).get_result(timeout=PATIENCE) for one in workflow_ids]


@pytest.mark.parametrize(("point", "nth"), CRASHES)
def test_a_crash_loses_nothing_and_doubles_nothing(
    point: str, nth: int, start: Start, ledger: Ledger
) -> None:
    """97, 98, F01, F47. A worker killed at any point: another one finishes, each effect happens once."""
    handle = start_workflow(tour, str(ledger))
    send(handle.workflow_id, "hello", topic="greetings")

    start("--at", point, "--nth", nth).dies()
    finished(handle.workflow_id)

    assert ledger.violations(crashes=1) == []
