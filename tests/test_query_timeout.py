"""Looking has a limit: a listing or statistic that takes too long is ended, and harms nobody."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from durable_app import (
    QueryTimeoutError,
    list_queued_workflows,
    list_workflow_steps,
    list_workflows,
    step_aggregates,
    workflow_aggregates,
    workflow_metrics,
)
from durable_app.models import Workflow
from durable_app.store.observing import limited
from tests.helpers import in_thread

NOW = datetime(2024, 1, 1, tzinfo=UTC)
MANY = 3000

ENDLESS = """
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 100000000)
SELECT count(*) FROM number
"""

LOOKS: dict[str, Callable[[], Any]] = {
    "list_workflows": list_workflows,
    "list_queued_workflows": lambda: list_queued_workflows(name="slow"),
    "list_workflow_steps": lambda: list_workflow_steps("slow-0"),
    "workflow_aggregates": workflow_aggregates,
    "step_aggregates": step_aggregates,
    "workflow_metrics": lambda: workflow_metrics(NOW, NOW + timedelta(days=1)),
}


FILL = f"""
WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < {MANY})
INSERT INTO durable_app_workflow (workflow_id, name, status, inputs, serialization, created_at, updated_at)
SELECT 'slow-' || n, 'slow', 'ENQUEUED', '{{}}', 'json', '2024-01-01', '2024-01-01' FROM number
"""

FILL_STEPS = """
INSERT INTO durable_app_step
    (workflow_id, position, name, output, serialization, started_at, finished_at, attempt)
SELECT (SELECT id FROM durable_app_workflow WHERE workflow_id = 'slow-0'), id, 's', '1', 'json', created_at,
    created_at, 1
FROM durable_app_workflow
"""


@pytest.fixture
def many_runs(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute(FILL_STEPS)


@contextmanager
def everything_is_slow(settings: Any) -> Iterator[None]:
    """Let every look take too long: the tables are locked, or (SQLite) no time is enough."""
    if connection.vendor == "sqlite":
        settings.DURABLE = {"QUERY_TIMEOUT": timedelta(microseconds=1)}
        yield
        return
    settings.DURABLE = {"QUERY_TIMEOUT": timedelta(milliseconds=100)}
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE durable_app_workflow, durable_app_step IN ACCESS EXCLUSIVE MODE")
            locked.set()
            done.wait(30)

    holder = in_thread(hold)
    assert locked.wait(30)
    try:
        yield
    finally:
        done.set()
        holder.result(30)


def statement_timeout() -> str:
    if connection.vendor == "sqlite":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


@pytest.mark.usefixtures("many_runs")
def test_every_look_has_a_limit(settings: Any) -> None:
    """267. QueryTimeoutError, with the seconds; afterwards all is as before."""
    before = statement_timeout()
    with everything_is_slow(settings):
        for look in LOOKS.values():
            with pytest.raises(QueryTimeoutError) as raised:
                look()
            assert raised.value.timeout_seconds == settings.DURABLE["QUERY_TIMEOUT"].total_seconds()
            assert "DURABLE['QUERY_TIMEOUT']" in str(raised.value)
    settings.DURABLE = {}
    for look in LOOKS.values():
        look()
    assert statement_timeout() == before


@pytest.mark.usefixtures("many_runs")
def test_a_timeout_leaves_the_callers_transaction_usable(settings: Any) -> None:
    """267. What was written before is not lost, and what follows has no limit."""
    with transaction.atomic():
        Workflow.objects.filter(workflow_id="slow-1").update(name="changed")
        settings.DURABLE = {"QUERY_TIMEOUT": timedelta(milliseconds=50)}
        with pytest.raises(QueryTimeoutError), limited(), connection.cursor() as cursor:
            cursor.execute(ENDLESS)
        assert statement_timeout() in ("", "0")
        settings.DURABLE = {}
        assert len(list_workflows(name="changed")) == 1
        assert statement_timeout() in ("", "0")
    assert Workflow.objects.get(workflow_id="slow-1").name == "changed"


@pytest.mark.usefixtures("many_runs")
def test_other_errors_pass_through() -> None:
    """267. A mistake in a query is no timeout."""
    with pytest.raises(Exception, match="nowhere"), limited(), connection.cursor() as cursor:
        cursor.execute("SELECT * FROM nowhere")
    assert len(list_workflows(limit=1)) == 1


@pytest.mark.postgres(reason="statement_timeout is PostgreSQL's")
@pytest.mark.django_db(transaction=True)
def test_a_stricter_limit_of_the_project_stays() -> None:
    """267. Ours never prolongs the one that the role or the connection has."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '60ms'")
        with pytest.raises(QueryTimeoutError), limited():
            assert statement_timeout() == "60ms"
            with connection.cursor() as cursor:
                cursor.execute(ENDLESS)
        assert statement_timeout() == "60ms"
        with limited():
            pass
        assert statement_timeout() == "60ms"
