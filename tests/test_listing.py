"""Looking at runs and their steps: filters, order, paging, what is loaded, and what a workflow records."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from durable_app import (
    InvalidOptionError,
    NonExistentWorkflowError,
    SerializationError,
    SetWorkflowAttributes,
    SetWorkflowID,
    WorkflowHandle,
    alist_workflow_steps,
    alist_workflows,
    aretrieve_workflow,
    cancel_workflow,
    fork_workflow,
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    retrieve_workflow,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import step_names

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    ran.clear()
    yield


@step
def note(what: str) -> str:
    ran.append(what)
    return what


@workflow(name="listing.first")
def first(number: int = 0) -> int:
    note(f"first {number}")
    return number


@workflow(name="listing.second")
def second(number: int = 0) -> None:
    raise ValueError(f"second {number}")


@workflow(name="listing.many_steps")
def many_steps(count: int) -> None:
    for number in range(1, count + 1):
        note(str(number))


@workflow(name="listing.looks")
def looks(other: str) -> list[Any]:
    found = retrieve_workflow(other)
    return [
        found.get_status().status,
        [row.status for row in list_workflows(workflow_ids=[other])],
        [one.name for one in list_workflow_steps(other)],
        get_workflow_status("nobody"),
        found.workflow_id,
    ]


@workflow(name="listing.looks_async")
async def looks_async(other: str) -> list[Any]:
    found = await aretrieve_workflow(other)
    status = await found.aget_status()
    rows = await alist_workflows(workflow_ids=other)
    steps = await alist_workflow_steps(other)
    return [status.status, len(rows), len(steps)]


def ids(**filters: Any) -> list[str]:
    return [row.workflow_id for row in list_workflows(**filters)]


@pytest.fixture
def six_runs(db: None) -> None:
    """Make runs a1, a2 (SUCCESS), b1 (ERROR), b2 (CANCELLED), c1, c2 (ENQUEUED), in this order."""
    for number, name in enumerate(["a1", "a2"]):
        with SetWorkflowID(name):
            first(number)
    with SetWorkflowID("b1"), pytest.raises(ValueError, match="second 2"):
        second(2)
    for name in ("b2", "c1", "c2"):
        with SetWorkflowID(name):
            start_workflow(second if name == "c2" else first)
    cancel_workflow("b2")


@pytest.mark.usefixtures("six_runs")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "a1 a2 b1 b2 c1 c2"),
        ({"sort_desc": True}, "c2 c1 b2 b1 a2 a1"),
        ({"workflow_ids": ["c1", "a1", "nobody"]}, "a1 c1"),
        ({"workflow_ids": "c1"}, "c1"),
        ({"workflow_ids": []}, ""),
        ({"workflow_id_prefix": "b"}, "b1 b2"),
        ({"status": "SUCCESS"}, "a1 a2"),
        ({"status": ["ERROR", "CANCELLED"]}, "b1 b2"),
        ({"name": "listing.second"}, "b1 c2"),
        ({"name": ["listing.first", "listing.second"], "status": "ENQUEUED"}, "c1 c2"),
        ({"queues_only": True}, "c1 c2"),
        ({"limit": 2}, "a1 a2"),
        ({"limit": 2, "offset": 3}, "b2 c1"),
        ({"limit": 0}, ""),
        ({"offset": 4}, "c1 c2"),
        ({"limit": 2, "offset": 1, "sort_desc": True}, "c1 b2"),
        ({"status": "SUCCESS", "workflow_id_prefix": "b"}, ""),
    ],
)
def test_filters_order_and_paging(filters: dict[str, Any], expected: str) -> None:
    """257, 261. Filters are combined with AND, lists with OR; oldest first; limit and offset page."""
    assert ids(**filters) == expected.split()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("queue_name", "queue_name"),
        ("app_version", "app_version"),
        ("user", "user"),
        ("worker", "worker"),
        ("schedule_name", "schedule_name"),
        ("parent_workflow_id", "parent_workflow_id"),
        ("forked_from", "forked_from"),
    ],
)
def test_filters_on_columns_take_one_or_several(name: str, column: str) -> None:
    """257. Each takes one text or a list of alternatives."""
    for value in ("x", "y", "z"):
        with SetWorkflowID(f"run-{value}"):
            start_workflow(first)
        Workflow.objects.filter(workflow_id=f"run-{value}").update(**{column: value})
    assert ids(**{name: "y"}) == ["run-y"]
    assert ids(**{name: ["z", "x"]}) == ["run-x", "run-z"]
    assert ids(**{name: "w"}) == []


@pytest.mark.django_db
def test_an_id_prefix_is_no_pattern() -> None:
    """257. Characters that are wildcards in SQL mean themselves."""
    for name in ("a_1", "ab1", "a%1"):
        with SetWorkflowID(name):
            start_workflow(first)
    assert ids(workflow_id_prefix="a_") == ["a_1"]
    assert ids(workflow_id_prefix="a%") == ["a%1"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("column", "since", "until"),
    [
        ("created_at", "start_time", "end_time"),
        ("finished_at", "completed_after", "completed_before"),
        ("started_at", "dequeued_after", "dequeued_before"),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_windows_of_time_include_their_ends(column: str, since: str, until: str, as_text: bool) -> None:
    """258. >= and <=, as datetimes or as texts of ISO 8601."""
    noon = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)
    times = [noon + timedelta(hours=number) for number in range(4)]
    for number, time in enumerate(times):
        with SetWorkflowID(str(number)):
            start_workflow(first)
        Workflow.objects.filter(workflow_id=str(number)).update(**{column: time})

    def given(time: datetime) -> Any:
        return time.isoformat() if as_text else time

    assert ids(**{since: given(times[1])}) == ["1", "2", "3"]
    assert ids(**{until: given(times[1])}) == ["0", "1"]
    assert ids(**{since: given(times[1]), until: given(times[2])}) == ["1", "2"]


@pytest.mark.django_db
def test_an_unknown_filter_is_refused() -> None:
    """257. A misspelt filter raises and names those that exist, instead of listing everything."""
    with pytest.raises(InvalidOptionError, match=r"'statuses'.*status"):
        list_workflows(statuses="SUCCESS")


@pytest.mark.usefixtures("six_runs")
def test_payloads_are_loaded_only_if_wanted() -> None:
    """259. load_input and load_output False leave these fields None; the rest is there."""
    good, bad = list_workflows(workflow_ids=["a2", "b1"])
    assert (good.input, good.output, good.error) == ({"args": [1], "kwargs": {}}, 1, None)
    assert (str(bad.error), bad.output) == ("second 2", None)
    good, bad = list_workflows(workflow_ids=["a2", "b1"], load_input=False, load_output=False)
    assert (good.input, good.output, bad.error) == (None, None, None)
    assert (good.status, bad.status) == ("SUCCESS", "ERROR")


@pytest.mark.usefixtures("six_runs")
def test_unreadable_payloads_are_shown_as_text() -> None:
    """260. What cannot be decoded is listed as it is stored; nothing fails."""
    Workflow.objects.filter(workflow_id="a1").update(inputs="{not json", output='{"$t":"unheard-of","v":1}')
    Workflow.objects.filter(workflow_id="b1").update(error="{not json")
    Step.objects.filter(workflow__workflow_id="a1").update(output="\x01?")
    good, bad = list_workflows(workflow_ids=["a1", "b1"])
    assert (good.input, good.output) == ("{not json", '{"$t":"unheard-of","v":1}')
    assert bad.error is not None
    assert list_workflow_steps("a1")[0].output == "\x01?"
    assert get_workflow_status("a1") == good


@pytest.mark.django_db
def test_steps_are_listed_in_order_and_paged() -> None:
    """262. By position, as numbers: 2 before 10; limit, offset and load_output work."""
    with SetWorkflowID("m"):
        many_steps(12)
    assert [s.step_id for s in list_workflow_steps("m")] == list(range(1, 13))
    assert [s.output for s in list_workflow_steps("m", limit=3, offset=8)] == ["9", "10", "11"]
    assert [s.output for s in list_workflow_steps("m", offset=11)] == ["12"]
    assert {s.output for s in list_workflow_steps("m", load_output=False)} == {None}
    assert list_workflow_steps("nobody") == []


@pytest.mark.django_db
def test_retrieving_what_does_not_exist() -> None:
    """263. It raises, unless existing_workflow is False; the handle's status raises then."""
    with pytest.raises(NonExistentWorkflowError):
        retrieve_workflow("nobody")
    handle: WorkflowHandle[Any] = retrieve_workflow("nobody", existing_workflow=False)
    assert handle.workflow_id == "nobody"
    with pytest.raises(NonExistentWorkflowError):
        handle.get_status()
    with pytest.raises(NonExistentWorkflowError):
        handle.get_result()
    with SetWorkflowID("somebody"):
        first(7)
    assert retrieve_workflow("somebody").get_result() == 7


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("run", [looks, looks_async])
def test_looking_inside_a_workflow_is_recorded(worker: Worker, run: Any) -> None:
    """264. Each look is a step; a replay sees what was seen then."""
    with SetWorkflowID("seen"):
        first(1)
    with SetWorkflowID("l"):
        seen = start_workflow(run, "seen").get_result(timeout=60)
    if run is looks:
        assert seen == ["SUCCESS", ["SUCCESS"], ["note"], None, "seen"]
        verbs = ["getStatus", "getStatus", "listWorkflows", "listWorkflowSteps", "getStatus"]
    else:
        assert seen == ["SUCCESS", 1, 1]
        verbs = ["getStatus", "getStatus", "listWorkflows", "listWorkflowSteps"]
    assert [name for _, name in step_names("l")] == [f"durable.{verb}" for verb in verbs]
    Workflow.objects.filter(workflow_id="seen").update(status="ERROR")
    Step.objects.filter(workflow__workflow_id="seen").delete()
    assert fork_workflow("l", 99).get_result(timeout=60) == seen


@pytest.mark.django_db(transaction=True)
def test_a_status_is_as_good_on_replay_as_at_first(worker: Worker) -> None:
    """264. A recorded WorkflowStatus comes back with its times, errors and attributes."""
    with (
        SetWorkflowID("seen"),
        SetWorkflowAttributes({"a": [1]}),
        pytest.raises(ValueError, match="second 3"),
    ):
        second(3)

    @workflow(name="listing.returns_status")
    def returns_status() -> list[Any]:
        found = retrieve_workflow("seen").get_status()
        return [type(found).__name__, found.created_at, str(found.error), found.attributes, found.input]

    with SetWorkflowID("l"):
        seen = returns_status()
    row = Workflow.objects.get(workflow_id="seen")
    assert seen == ["WorkflowStatus", row.created_at, "second 3", {"a": [1]}, {"args": [3], "kwargs": {}}]
    assert fork_workflow("l", 99).get_result(timeout=60) == seen


# Attributes


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"customer": "ann"}, "one two"),
        ({"customer": "ann", "vip": True}, "one"),
        ({"customer": "bob"}, "three"),
        ({"vip": False}, "two"),
        ({"vip": None}, "three"),
        ({"count": 1}, "one"),
        ({"count": "1"}, "two"),
        ({"missing": 1}, ""),
        ({"customer": "Ann"}, ""),
        ({"tags": ["a", "b"]}, "one"),
        ({"exact": "x"}, "four"),
        ({"isnull": True}, "four"),
        ({"contains": "y"}, "four"),
        ({"a__b": 1}, "four"),
        ({"2026": "year"}, "four"),
        ({'a"b': 2}, "four"),
        ({"": "empty"}, "four"),
        ({"with space.and$": 3}, "four"),
    ],
)
def test_attributes_filter_by_all_pairs(wanted: dict[str, Any], expected: str) -> None:
    """265. On both databases: runs that have all these pairs, of whatever key."""
    odd = {"exact": "x", "isnull": True, "contains": "y", "a__b": 1, "2026": "year", 'a"b': 2, "": "empty"}
    attributes: dict[str, dict[str, Any] | None] = {
        "one": {"customer": "ann", "vip": True, "count": 1, "tags": ["a", "b"]},
        "two": {"customer": "ann", "vip": False, "count": "1"},
        "three": {"customer": "bob", "vip": None},
        "four": {**odd, "with space.and$": 3},
        "none": None,
    }
    for name, value in attributes.items():
        with SetWorkflowID(name), SetWorkflowAttributes(value):
            start_workflow(first)
    assert ids(attributes=wanted) == expected.split()


@pytest.mark.django_db
def test_attributes_are_a_json_object() -> None:
    """266. Anything else raises, before a run exists."""
    for wrong in ([1], "text", 1):
        with pytest.raises(SerializationError):
            SetWorkflowAttributes(wrong)  # type: ignore[arg-type]
    for wrong_value in (object(), {1, 2}, float("nan")):
        with pytest.raises(SerializationError), SetWorkflowAttributes({"a": wrong_value}):
            start_workflow(first)
    assert not Workflow.objects.exists()


@pytest.mark.django_db
def test_attributes_are_set_shown_copied_and_not_leaked() -> None:
    """266, 40, 288. Runs of the block have them; a fork copies them; behind the block there are none."""
    given = {"nested": {"a": [1, None, "x"]}, "umlaut": "ä"}
    with SetWorkflowID("in"), SetWorkflowAttributes(given):
        first(1)
    with SetWorkflowID("out"):
        first(1)
    inside, outside = list_workflows(workflow_ids=["in", "out"])
    assert (inside.attributes, outside.attributes) == (given, None)
    assert fork_workflow("in", 1).get_status().attributes == given
