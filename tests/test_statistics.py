"""Figures of runs and steps: by group, by span of time, in a window."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from durable_app import (
    InvalidOptionError,
    SetWorkflowID,
    aworkflow_metrics,
    fork_workflow,
    start_workflow,
    step,
    step_aggregates,
    workflow,
    workflow_aggregates,
    workflow_metrics,
)
from durable_app.models import Status, Step, Wait, Workflow
from durable_app.models.workflow import TERMINAL
from durable_app.store import statistics
from durable_app.worker.worker import Worker
from tests.helpers import step_names

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@step
def look_up() -> int:
    return 1


@step
def fail() -> None:
    raise ValueError("no")


@workflow(name="statistics.counts")
def counts() -> list[Any]:
    found = workflow_aggregates(["name"], measures=["count"], status="SUCCESS")
    metrics = workflow_metrics(NOON, NOON + 10 * MINUTE)
    return [{**row.group, "count": row.count} for row in found] + [metrics.workflows_created]


@workflow(name="statistics.acounts")
async def acounts() -> Any:
    return (await aworkflow_metrics(NOON, NOON + 10 * MINUTE)).steps_completed


def make_run(minute: int, status: str = "SUCCESS", *, name: str = "a", **columns: Any) -> Workflow:
    """Make a run that was created so many minutes after noon, began 10 s later and ended 20 s after that."""
    created = NOON + minute * MINUTE
    is_over = status in ("SUCCESS", "ERROR", "CANCELLED")
    values: dict[str, Any] = {
        "workflow_id": f"{name}-{Workflow.objects.count()}",
        "name": name,
        "status": status,
        "inputs": '{"args":[],"kwargs":{}}',
        "created_at": created,
        "updated_at": created,
        "started_at": created + timedelta(seconds=10) if status != "ENQUEUED" else None,
        "finished_at": created + timedelta(seconds=30) if is_over else None,
    }
    return Workflow.objects.create(**{**values, **columns})


def make_step(run: Workflow, position: int, minute: float, *, name: str = "s", **columns: Any) -> None:
    """Make a step that ended so many minutes after noon, having taken as many seconds as its position."""
    ended = NOON + minute * MINUTE
    Step.objects.create(
        workflow=run,
        position=position,
        name=name,
        started_at=ended - timedelta(seconds=position),
        finished_at=ended,
        attempt=1,
        **{"output": "1", **columns},
    )


@pytest.fixture
def six_runs(db: None) -> None:
    make_run(0, queue_name="q", app_version="1")
    make_run(1, queue_name="q", app_version="2", started_at=NOON + 3 * MINUTE)
    make_run(1, "ERROR", name="b", worker_id="w")
    make_run(6, name="b", run_after=NOON + 7 * MINUTE, started_at=NOON + 8 * MINUTE)
    make_run(7, "ENQUEUED", queue_name="q")
    make_run(11, "PENDING", name="b", worker_id="w")


def groups(found: list[Any]) -> dict[Any, Any]:
    return {tuple(row.group.values()): row.count for row in found}


@pytest.mark.usefixtures("six_runs")
@pytest.mark.parametrize(
    ("group_by", "filters", "expected"),
    [
        (["status"], {}, {("SUCCESS",): 3, ("ERROR",): 1, ("ENQUEUED",): 1, ("PENDING",): 1}),
        ("name", {}, {("a",): 3, ("b",): 3}),
        (["queue_name"], {}, {("q",): 3, (None,): 3}),
        (["worker"], {}, {("w",): 2, (None,): 4}),
        (["app_version"], {"queue_name": "q"}, {("1",): 1, ("2",): 1, (None,): 1}),
        (["name", "status"], {"status": ["SUCCESS", "ERROR"]},
         {("a", "SUCCESS"): 2, ("b", "SUCCESS"): 1, ("b", "ERROR"): 1}),
        ([], {}, {(): 6}),
        (["status"], {"name": "nobody"}, {}),
        (["name"], {"start_time": NOON + MINUTE, "end_time": NOON + 7 * MINUTE}, {("a",): 2, ("b",): 2}),
        (["name"], {"completed_after": NOON + MINUTE}, {("a",): 1, ("b",): 2}),
        (["name"], {"start_time": (NOON + 8 * MINUTE).isoformat()}, {("b",): 1}),
    ],
)  # fmt: skip
def test_runs_by_group(group_by: Any, filters: dict[str, Any], expected: dict[Any, int]) -> None:
    """268. Per status, name, queue, worker and version, with the filters of the listing."""
    assert groups(workflow_aggregates(group_by, **filters)) == expected


@pytest.mark.usefixtures("six_runs")
def test_runs_by_spans_of_time() -> None:
    """268. Buckets begin at whole multiples from the epoch on, in UTC."""
    found = workflow_aggregates(["name"], time_bucket=5 * MINUTE)
    assert [(row.group["name"], row.group["bucket"], row.count) for row in found] == [
        ("a", NOON, 2),
        ("a", NOON + 5 * MINUTE, 1),
        ("b", NOON, 1),
        ("b", NOON + 5 * MINUTE, 1),
        ("b", NOON + 10 * MINUTE, 1),
    ]
    alone = workflow_aggregates([], time_bucket=timedelta(days=1))
    assert [(row.group, row.count) for row in alone] == [({"bucket": datetime(2024, 3, 1, tzinfo=UTC)}, 6)]


@pytest.mark.usefixtures("six_runs")
def test_ages_waits_and_latencies_of_runs() -> None:
    """268. The oldest, the longest wait from being ready, the longest from creation to end."""
    a, b = workflow_aggregates(
        "name", measures=["count", "oldest_created_at", "longest_wait", "longest_latency"]
    )
    assert (a.group, a.count) == ({"name": "a"}, 3)
    assert (a.oldest_created_at, a.longest_wait) == (NOON, 2 * MINUTE)
    assert (b.oldest_created_at, b.longest_wait) == (NOON + MINUTE, MINUTE)  # ready only at its run_after
    assert a.longest_latency == b.longest_latency == timedelta(seconds=30)
    (only_count,) = workflow_aggregates([], name="a")
    assert (only_count.count, only_count.oldest_created_at, only_count.longest_wait) == (3, None, None)
    (waiting,) = workflow_aggregates([], measures=["longest_wait", "longest_latency"], status="ENQUEUED")
    assert (waiting.longest_wait, waiting.longest_latency) == (None, None)


@pytest.fixture
def steps_of_three_runs(db: None) -> None:
    one, two, running = make_run(0), make_run(4, "ERROR"), make_run(0, "PENDING")
    make_step(one, 1, 0.2)
    make_step(one, 2, 0.4, name="t")
    make_step(two, 1, 4.1)
    make_step(two, 2, 4.2, output=None, error='{"type":"x","message":""}')
    make_step(running, 9, 9.5)


@pytest.mark.usefixtures("steps_of_three_runs")
@pytest.mark.parametrize(
    ("group_by", "filters", "expected"),
    [
        ("name", {}, {("s",): 4, ("t",): 1}),
        (["status"], {}, {("SUCCESS",): 4, ("ERROR",): 1}),
        (["name", "status"], {}, {("s", "SUCCESS"): 3, ("s", "ERROR"): 1, ("t", "SUCCESS"): 1}),
        (["name"], {"status": "ERROR"}, {("s",): 1}),
        (["status"], {"name": ["t", "u"]}, {("SUCCESS",): 1}),
        (["name"], {"completed_after": NOON + 4 * MINUTE}, {("s",): 3}),
        (["name"], {"completed_before": NOON + MINUTE}, {("s",): 1, ("t",): 1}),
        ([], {"workflow_ids": ["a-0", "a-2"]}, {(): 3}),
        ([], {"workflow_id_prefix": "b"}, {(): 0}),
        (["name"], {"workflow_id_prefix": "b"}, {}),
    ],
)
def test_steps_by_group(group_by: Any, filters: dict[str, Any], expected: dict[Any, int]) -> None:
    """268. Per name and status."""
    assert groups(step_aggregates(group_by, **filters)) == expected


@pytest.mark.usefixtures("steps_of_three_runs")
def test_steps_by_spans_of_time_and_their_duration() -> None:
    """268. Buckets of their ends; the longest from start to end."""
    found = step_aggregates("name", time_bucket=5 * MINUTE, measures=["count", "longest_duration"])
    assert [(row.group["bucket"], row.count, row.longest_duration) for row in found] == [
        (NOON, 3, timedelta(seconds=2)),
        (NOON + 5 * MINUTE, 1, timedelta(seconds=9)),
        (NOON, 1, timedelta(seconds=2)),
    ]


@pytest.mark.usefixtures("steps_of_three_runs")
def test_metrics_of_a_window() -> None:
    """269. Created runs and completed steps by name; the start belongs to the window, the end does not."""
    make_run(4, name="b")
    make_run(5, name="b")
    found = workflow_metrics(NOON, NOON + 5 * MINUTE)
    assert found.workflows_created == {"a": 3, "b": 1}
    assert found.steps_completed == {"s": 3, "t": 1}
    late = workflow_metrics((NOON + 4 * MINUTE).isoformat(), "2024-03-01T12:09:30Z")
    assert late.workflows_created == {"a": 1, "b": 2}
    assert late.steps_completed == {"s": 2}


@pytest.mark.django_db
def test_a_window_finds_runs_in_every_state() -> None:
    """269. Whatever state a run is in, it counts: what is found through indexes is all there is."""
    expected = {}
    for state in Status:
        ended = NOON + 2 * MINUTE if state in TERMINAL else None
        run = make_run(1, state, name=state, finished_at=ended)
        make_step(run, 1, 1.5, name=state)
        expected[str(state)] = 1
    parked = make_run(1, "WAITING", name="for news")
    Wait.objects.create(workflow=parked, key="result:x")
    Wait.objects.create(workflow=parked, key="result:y")
    Workflow.objects.filter(status="WAITING").exclude(pk=parked.pk).update(wake_at=NOON)
    found = workflow_metrics(NOON, NOON + 9 * MINUTE)
    assert found.workflows_created == {**expected, "for news": 1}
    assert found.steps_completed == expected
    assert not set(statistics.alive_since(NOON + 3 * MINUTE).values_list("pk", flat=True)) & set(
        Workflow.objects.filter(finished_at__isnull=False).values_list("pk", flat=True)
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: workflow_aggregates(["colour"]), "'colour' is none of status, name, queue_name"),
        (lambda: workflow_aggregates(measures=["sum"]), "'sum' is none of count, oldest_created_at"),
        (lambda: workflow_aggregates(colour="red"), "unknown filter 'colour'"),
        (lambda: workflow_aggregates(status="HAPPY"), "'HAPPY' is none of CANCELLED"),
        (lambda: workflow_aggregates(time_bucket=timedelta(0)), "whole number of seconds"),
        (lambda: workflow_aggregates(time_bucket=timedelta(seconds=1.5)), "whole number of seconds"),
        (lambda: step_aggregates(["worker"]), "'worker' is none of name, status"),
        (lambda: step_aggregates(status="PENDING"), "SUCCESS or ERROR"),
        (lambda: step_aggregates(queue_name="q"), "unknown filter 'queue_name'"),
        (lambda: workflow_metrics("yesterday", NOON), "ISO 8601, not 'yesterday'"),
        (lambda: workflow_metrics(None, NOON), "need a start_time"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_refused(call: Any, said: str) -> None:
    """268, 269. With what there is."""
    with pytest.raises(InvalidOptionError, match=said):
        call()


@pytest.mark.django_db(transaction=True)
def test_figures_in_a_workflow_are_recorded(worker: Worker) -> None:
    """264. A replay sees the figures of then."""
    make_run(1)
    make_step(Workflow.objects.get(), 1, 1)
    with SetWorkflowID("c"):
        found = start_workflow(counts).get_result(timeout=60)
    assert found == [{"name": "a", "count": 1}, {"a": 1}]
    assert [name for _, name in step_names("c")] == ["durable.workflowAggregates", "durable.workflowMetrics"]
    assert start_workflow(acounts).get_result(timeout=60) == {"s": 1}
    make_run(1)
    assert fork_workflow("c", 99).get_result(timeout=60) == found


@pytest.mark.django_db
def test_a_window_is_found_through_indexes() -> None:
    """268, 269, F68. No statement of a window reads a whole table, however large it has become."""
    make_step(make_run(1), 1, 1)
    runs = Workflow.objects.filter(created_at__gte=NOON, pk__in=statistics.alive_since(NOON))
    steps = Step.objects.filter(finished_at__gte=NOON, workflow_id__in=statistics.alive_since(NOON))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # a table of one row is always read whole
    for rows in (runs.order_by(), steps.order_by()):
        plan = rows.explain()
        scans = [line for line in plan.splitlines() if re.search(r"\b(Seq Scan on|SCAN) \S*", line)]
        whole = [line for line in scans if "INDEX" not in line and "durable_app_wait" not in line]
        assert [line for line in whole if re.search(r"durable_app_(workflow|step)|\bU\d", line)] == [], plan
