"""What becomes of streams when a run is forked or rewound: readers never meet a gap."""

from typing import Any

import pytest

from durable_app import (
    SetWorkflowID,
    awrite_stream,
    close_stream,
    fork_workflow,
    get_result,
    read_stream,
    rewind_workflow,
    start_workflow,
    step,
    workflow,
    write_stream,
)
from durable_app.models import StreamEntry
from durable_app.worker.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)


@step
def write_two() -> None:
    write_stream("log", "step 1")
    write_stream("log", "step 2")


@workflow(name="history.writes")
def writes() -> str:
    write_stream("log", "body")
    write_two()
    write_stream("other", "x")
    close_stream("other")
    write_stream("log", "last")
    return "written"


@workflow(name="history.writes_out_of_order")
async def writes_out_of_order() -> None:
    first = awrite_stream("log", "late")  # its position is taken now
    await awrite_stream("log", "soon")
    await first


def run(workflow_id: str, func: Any) -> None:
    with SetWorkflowID(workflow_id):
        start_workflow(func)
    with Worker(threads=2):
        get_result(workflow_id, timeout=60)


def forked(start_step: int) -> str:
    handle = fork_workflow("w", start_step)
    return handle.workflow_id


def entries(workflow_id: str, key: str) -> list[tuple[int, str | None]]:
    rows = StreamEntry.objects.filter(workflow__workflow_id=workflow_id, key=key).order_by("offset")
    return list(rows.values_list("offset", "value"))


def test_a_fork_gets_the_entries_before_the_cut_at_their_offsets():
    """116. Those of steps too; and it writes the rest itself, behind them."""
    run("w", writes)
    copies = {start: forked(start) for start in (1, 2, 3, 5, 6)}
    assert entries(copies[1], "log") == []
    assert entries(copies[2], "log") == [(0, '"body"')]
    assert entries(copies[3], "log") == [(0, '"body"'), (1, '"step 1"'), (2, '"step 2"')]
    assert entries(copies[3], "other") == []
    assert entries(copies[5], "other") == [(0, '"x"'), (1, None)]
    with Worker(threads=2):
        for copy in copies.values():
            assert get_result(copy, timeout=60) == "written"
    for copy in copies.values():
        assert list(read_stream(copy, "log")) == ["body", "step 1", "step 2", "last"]
        assert list(read_stream(copy, "other")) == ["x"]


def test_a_fork_has_no_gap_where_tasks_wrote_out_of_order():
    """116, 161. An entry below the cut may stand behind one above it: the copy closes up."""
    run("w", writes_out_of_order)
    placed = StreamEntry.objects.order_by("offset").values_list("value", "position")
    assert list(placed) == [('"soon"', 2), ('"late"', 1)]
    copy = forked(2)
    assert entries(copy, "log") == [(0, '"late"')]
    with Worker(threads=2):
        get_result(copy, timeout=60)
    assert list(read_stream(copy, "log")) == ["late", "soon"]


def test_a_rewound_run_keeps_its_entries_and_loses_its_ends():
    """124. Readers have seen the entries; the run writes on behind them, in closed streams too."""
    run("w", writes)
    rewind_workflow("w", 4)
    assert entries("w", "other") == [(0, '"x"')]
    with Worker(threads=2):
        assert get_result("w", timeout=60) == "written"
    assert list(read_stream("w", "log")) == ["body", "step 1", "step 2", "last", "last"]
    assert list(read_stream("w", "other")) == ["x"]
    rewind_workflow("w", 3)
    with Worker(threads=2):
        assert get_result("w", timeout=60) == "written"
    assert list(read_stream("w", "other")) == ["x", "x"]
    assert [offset for offset, _ in entries("w", "other")] == [0, 1, 2]
