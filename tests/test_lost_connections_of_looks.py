"""What only looks or operates survives a connection that is gone, too."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from durable_app import (
    SetWorkflowID,
    cancel_workflow,
    export_workflow,
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    prune_workflows,
    start_workflow,
    step_aggregates,
    update_workflow_attributes,
    workflow,
    workflow_aggregates,
    workflow_metrics,
)
from tests.helpers import in_thread

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@workflow(name="lost.leaf")
def leaf() -> None: ...


VERBS: dict[str, Callable[[], Any]] = {
    "status": lambda: get_workflow_status("a"),
    "list": list_workflows,
    "steps": lambda: list_workflow_steps("a"),
    "aggregates": workflow_aggregates,
    "step aggregates": step_aggregates,
    "metrics": lambda: workflow_metrics(NOW, NOW + timedelta(days=1)),
    "attributes": lambda: update_workflow_attributes("a", {"x": 1}, merge=True),
    "export": lambda: export_workflow("a", export_children=True),
    "prune": lambda: list(prune_workflows(older_than=NOW, keep_newest=5)),
    "cancel": lambda: cancel_workflow("a", cancel_children=True),
}


@pytest.mark.postgres(reason="SQLite has no connection to lose")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", VERBS)
def test_a_verb_outlives_its_connection(name: str) -> None:
    """282. The server has closed it: another one is opened, and the verb is done."""
    with SetWorkflowID("a"):
        start_workflow(leaf)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()

    def terminate() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    in_thread(terminate).result(30)
    VERBS[name]()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone()[0] != pid
