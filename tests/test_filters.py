"""What a listing can be asked for beyond plain columns: prefixes, times, kinship, queues, pages of steps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_app import (
    InvalidOptionError,
    SetWorkflowID,
    alist_queued_workflows,
    cancel_workflow,
    delete_workflow,
    fork_workflow,
    gather,
    list_queued_workflows,
    list_workflow_steps,
    list_workflows,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.helpers import step_names


@step
def note(what: str) -> str:
    return what


@workflow(name="filters.leaf")
def leaf() -> None: ...


@workflow(name="filters.parent")
def parent() -> None:
    leaf()


@workflow(name="filters.branches")
def branches() -> list[list[str]]:
    note("before")

    def branch() -> list[str]:
        return [note(str(number)) for number in range(1, 12)]

    found = gather(branch, branch)
    note("after")
    return list(found)


@workflow(name="filters.looks")
def looks() -> list[str]:
    return [run.workflow_id for run in list_queued_workflows(name="filters.leaf")]


@workflow(name="filters.alooks")
async def alooks() -> list[str]:
    return [run.workflow_id for run in await alist_queued_workflows(name="filters.leaf")]


def ids(**filters: Any) -> list[str]:
    return [run.workflow_id for run in list_workflows(**filters)]


@pytest.mark.django_db
def test_prefixes_are_exact_and_may_be_several() -> None:
    """257. Case counts on both databases; a list is an OR."""
    for name in ("abc", "ABC", "b", "éa", "e"):
        with SetWorkflowID(name):
            start_workflow(leaf)
    assert ids(workflow_id_prefix="a") == ["abc"]
    assert ids(workflow_id_prefix="A") == ["ABC"]
    assert ids(workflow_id_prefix=["A", "b", "é"]) == ["ABC", "b", "éa"]
    assert ids(workflow_id_prefix=[]) == []
    assert len(ids(workflow_id_prefix="")) == 5


@pytest.mark.django_db(transaction=True)
def test_kinship() -> None:
    """257, 299. Children, forks, and what was forked, also after the forks are gone."""
    with SetWorkflowID("p"):
        parent()
    with SetWorkflowID("f"):
        fork_workflow("p", 1)
    assert ids(has_parent=True) == ["p-1"]
    assert ids(has_parent=False) == ["p", "f"]
    assert ids(parent_workflow_id="p") == ["p-1"]
    assert ids(is_fork=True) == ids(forked_from=["p"]) == ["f"]
    assert ids(is_fork=False) == ["p", "p-1"]
    assert ids(was_forked_from=True) == ["p"]
    assert ids(was_forked_from=False) == ["p-1", "f"]
    delete_workflow("f")
    assert ids(was_forked_from=True) == ["p"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "is_after"),
    [
        ("2024-03-01T12:00:00Z", True),
        ("2024-03-01T13:00:01+01:00", False),
        ("2024-03-01 12:00", True),
        ("20240301T120000Z", True),
        ("2024-03-02", False),
        (datetime(2024, 3, 1, 12), True),  # noqa: DTZ001  (in the project's time zone)
        (None, True),
    ],
)
def test_times_are_understood(given: Any, is_after: bool) -> None:
    """258. ISO 8601 as the standard library reads it; without a zone in the project's."""
    with SetWorkflowID("noon"):
        start_workflow(leaf)
    Workflow.objects.update(created_at=datetime(2024, 3, 1, 12, tzinfo=UTC))
    assert ids(start_time=given) == (["noon"] if is_after else [])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"start_time": "soon"}, "start_time is a datetime, or a text of ISO 8601, not 'soon'"),
        ({"completed_before": 1_700_000_000}, "completed_before is a datetime"),
        ({"dequeued_after": ""}, "dequeued_after"),
        ({"status": "RUNNING"}, "status 'RUNNING' is none of CANCELLED, DELAYED"),
        ({"status": ["PENDING", "pending"]}, "'pending'"),
    ],
)
def test_values_that_make_no_sense_are_refused(filters: dict[str, Any], said: str) -> None:
    """257, 258. Instead of an empty list that nobody questions."""
    with pytest.raises(InvalidOptionError, match=said):
        list_workflows(**filters)


@pytest.mark.django_db
def test_queued_workflows() -> None:
    """261. In a queue and not ended, oldest first; other filters narrow them."""
    for name in ("a", "b", "c", "d", "e"):
        with SetWorkflowID(name):
            start_workflow(leaf)
    cancel_workflow("a")
    Workflow.objects.filter(workflow_id="b").update(status="PENDING", queue_name=None)
    Workflow.objects.filter(workflow_id="c").update(status="DELAYED", run_after=datetime.now(UTC))
    Workflow.objects.filter(workflow_id="d").update(status="PENDING", queue_name="other")
    assert [run.workflow_id for run in list_queued_workflows()] == ["c", "d", "e"]
    assert [run.workflow_id for run in list_queued_workflows(queue_name="other")] == ["d"]
    assert [run.workflow_id for run in list_queued_workflows(status="ENQUEUED")] == ["e"]
    assert [run.workflow_id for run in list_queued_workflows(sort_desc=True, limit=1)] == ["e"]
    assert list_queued_workflows(load_input=False)[0].input is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("look", [looks, alooks])
def test_looking_at_queues_in_a_workflow_is_recorded(worker: Worker, look: Any) -> None:
    """264. As a step with the seed's name."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with SetWorkflowID("queued"):
        start_workflow(leaf)
    Workflow.objects.filter(workflow_id="queued").update(status="DELAYED", run_after=tomorrow)
    with SetWorkflowID("l"):
        found = start_workflow(look).get_result(timeout=60)
    assert step_names("l") == [(1, "durable.listQueuedWorkflows")]
    cancel_workflow("queued")
    assert fork_workflow("l", 99).get_result(timeout=60) == found


@pytest.mark.django_db
def test_pages_of_steps_keep_the_order_of_branches() -> None:
    """262. 1.10 comes after 1.9, on every page."""
    with SetWorkflowID("b"):
        branches()
    every = [info.step_id for info in list_workflow_steps("b")]
    expected = [1, *[f"2.{b}.{n}" for b in (1, 2) for n in range(1, 12)], 3]
    assert sorted(map(str, every)) == sorted(map(str, expected))
    assert every == expected
    paged: list[Any] = []
    while page := list_workflow_steps("b", limit=5, offset=len(paged), load_output=False):
        assert {info.output for info in page} == {None}
        paged += [info.step_id for info in page]
    assert paged == expected
    assert list_workflow_steps("b", limit=0) == list_workflow_steps("b", offset=99) == []
    with pytest.raises(InvalidOptionError, match="offset must not be below zero"):
        list_workflow_steps("b", offset=-1)
