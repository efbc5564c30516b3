"""Rewinding: a finished run runs again under its own id, from a chosen step on."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from durable_app import (
    InvalidOptionError,
    InvalidTransitionError,
    NonExistentWorkflowError,
    SetWorkflowID,
    SetWorkflowTimeout,
    arewind_workflow,
    cancel_workflow,
    fork_workflow,
    get_event,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    recv,
    rewind_workflow,
    send,
    set_event,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import EventHistory, Message, Step, StreamEntry, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import status, step_names, wait_for_status

calls: list[str] = []
broken: list[bool] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    broken[:] = [True]
    yield


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@step
def maybe_fail() -> str:
    if broken[0]:
        raise ValueError("broken")
    return "mended"


@workflow(name="rewind.five")
def five() -> list[str]:
    return [note(str(number)) for number in range(1, 6)]


@workflow(name="rewind.broken")
def broken_at_first() -> str:
    note("kept")
    return maybe_fail()


@workflow(name="rewind.parent")
def parent() -> str:
    note("parent")
    return start_workflow(broken_at_first).get_result()


@workflow(name="rewind.publishes")
def publishes() -> str:
    set_event("key", "one")
    set_event("key", "two")
    set_event("other", "x")
    return note("published")


@workflow(name="rewind.receives")
def receives() -> list[Any]:
    return [recv("go", timeout_seconds=3600), recv("go", timeout_seconds=3600)]


@workflow(name="rewind.waits")
def waits() -> Any:
    return recv("never", timeout_seconds=3600)


@workflow(name="rewind.rewinds")
def rewinds(other: str) -> str:
    rewind_workflow(other, 2)
    return note("rewound it")


@workflow(name="rewind.async_operator")
async def async_operator(other: str) -> list[str]:
    handle = await arewind_workflow(other, 5)
    result: list[str] = await handle.aget_result()
    return result


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("start", "again"), [(1, "12345"), (3, "345"), (5, "5"), (6, ""), (99, "")])
def test_steps_from_the_start_on_run_again(worker: Worker, start: int, again: str) -> None:
    """124. Steps below the start are kept as they were; the others run again under the same id."""
    with SetWorkflowID("r"):
        five()
    before = list_workflow_steps("r")
    calls.clear()
    handle = rewind_workflow("r", start)
    assert handle.workflow_id == "r"
    assert handle.get_result(timeout=60) == list("12345")
    assert calls == list(again)
    kept = 5 - len(again)
    assert list_workflow_steps("r")[:kept] == before[:kept]
    assert len(list_workflow_steps("r")) == 5
    assert len(list_workflows()) == 1


@pytest.mark.django_db
def test_the_row_of_a_rewound_run() -> None:
    """124, 300. Output, error, times, owner and attempts are cleared, and the run is ENQUEUED."""
    with SetWorkflowID("r"), SetWorkflowTimeout(3600):
        five()
    before = get_workflow_status("r")
    Workflow.objects.filter(workflow_id="r").update(recovery_attempts=3)
    rewind_workflow("r", 2)
    found = get_workflow_status("r")
    assert before is not None and found is not None
    assert (found.status, found.recovery_attempts) == ("ENQUEUED", 0)
    cleared = (
        found.output,
        found.error,
        found.started_at,
        found.finished_at,
        found.deadline_at,
        found.worker,
    )
    assert cleared == (None,) * 6
    assert found.attempt > before.attempt
    assert (found.input, found.created_at) == (before.input, before.created_at)


@pytest.mark.django_db(transaction=True)
def test_a_failed_run_is_repaired(worker: Worker) -> None:
    """124. An ERROR run goes on from its failed step, once that is mended."""
    with SetWorkflowID("r"), pytest.raises(ValueError, match="broken"):
        broken_at_first()
    broken[0] = False
    assert rewind_workflow("r", 2).get_result(timeout=60) == "mended"
    assert calls == ["kept"]
    found = get_workflow_status("r")
    assert found is not None
    assert (found.status, found.error) == ("SUCCESS", None)


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_may_be_rewound(worker: Worker) -> None:
    """124. Every terminal state allows it."""
    with SetWorkflowID("r"):
        start_workflow(five)
    get_result("r", timeout=60)
    for state in ("CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
        Workflow.objects.filter(workflow_id="r").update(status=state)
        assert rewind_workflow("r").get_result(timeout=60) == list("12345")


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["ENQUEUED", "DELAYED", "PENDING", "WAITING"])
def test_an_active_run_is_not_rewound(state: str) -> None:
    """124. A run that has not ended raises, and is not touched."""
    with SetWorkflowID("r"):
        start_workflow(five)
    Workflow.objects.filter(workflow_id="r").update(status=state)
    before = list(Workflow.objects.values())
    with pytest.raises(InvalidTransitionError) as raised:
        rewind_workflow("r")
    assert raised.value.status == state
    assert list(Workflow.objects.values()) == before


@pytest.mark.django_db
def test_bad_steps_and_missing_runs() -> None:
    """124. A start below 1 is a ValueError, a missing run NonExistentWorkflowError."""
    with SetWorkflowID("r"):
        five()
    for start in (0, -1):
        with pytest.raises(InvalidOptionError):
            rewind_workflow("r", start)
    assert issubclass(InvalidOptionError, ValueError)
    with pytest.raises(NonExistentWorkflowError):
        rewind_workflow("nobody")
    assert status("r") == "SUCCESS"


@pytest.mark.django_db
@pytest.mark.parametrize(("start", "key", "other"), [(1, None, None), (2, "one", None), (4, "two", "x")])
def test_events_go_back_to_what_they_were(start: int, key: str | None, other: str | None) -> None:
    """124. History from the start on is deleted; each event has its last value below the cut, or none."""
    with SetWorkflowID("r"):
        publishes()
    rewind_workflow("r", start)
    assert get_event("r", "key", timeout_seconds=0) == key
    assert get_event("r", "other", timeout_seconds=0) == other
    assert EventHistory.objects.count() == start - 1


@pytest.mark.django_db(transaction=True)
def test_a_rewound_run_publishes_again(worker: Worker) -> None:
    """124, 153. The steps that run again set their events, and write their history, again."""
    with SetWorkflowID("r"):
        publishes()
    rewind_workflow("r", 2).get_result(timeout=60)
    assert get_event("r", "key", timeout_seconds=0) == "two"
    assert list(EventHistory.objects.order_by("position").values_list("position", flat=True)) == [1, 2, 3]


@pytest.mark.django_db
def test_stream_entries_stay_and_closed_streams_open() -> None:
    """124. Entries are kept, also those behind the cut; the end of a stream is removed."""
    with SetWorkflowID("r"):
        five()
    run = Workflow.objects.get(workflow_id="r")
    for offset, (position, value) in enumerate([(1, '"a"'), (4, '"b"'), (5, None)]):
        StreamEntry.objects.create(
            workflow=run, key="s", offset=offset, value=value, position=position, written_at=timezone.now()
        )
    rewind_workflow("r", 2)
    assert list(StreamEntry.objects.order_by("offset").values_list("offset", "value")) == [
        (0, '"a"'),
        (1, '"b"'),
    ]


@pytest.mark.django_db(transaction=True)
def test_messages_from_the_cut_on_are_gone(worker: Worker) -> None:
    """124. Messages consumed behind the cut and unread ones are deleted; those before it stay."""
    with SetWorkflowID("r"):
        start_workflow(receives)
    for number in (1, 2, 3):
        send("r", number, "go")
    assert get_result("r", timeout=60) == [1, 2]
    assert step_names("r")[0] == (1, "durable.recv")
    second = step_names("r")[-1] if step_names("r")[-1][1] == "durable.recv" else step_names("r")[-2]
    handle = rewind_workflow("r", int(second[0]))
    left = Message.objects.order_by("id").values_list("value", "consumed_by_position")
    assert list(left) == [("1", 1)]
    send("r", "new", "go")
    assert handle.get_result(timeout=60) == [1, "new"]


@pytest.mark.django_db(transaction=True)
def test_child_then_parent_are_repaired(worker: Worker) -> None:
    """125. A rewound parent adopts its child; the child rewound first repairs both."""
    with SetWorkflowID("p"):
        start_workflow(parent)
    with pytest.raises(ValueError, match="broken"):
        get_result("p", timeout=60)
    broken[0] = False
    assert rewind_workflow("p-2", 2).get_result(timeout=60) == "mended"
    with pytest.raises(ValueError, match="broken"):
        rewind_workflow("p", 99).get_result(timeout=60)
    assert rewind_workflow("p", 3).get_result(timeout=60) == "mended"
    assert rewind_workflow("p", 2).get_result(timeout=60) == "mended"
    assert [row.workflow_id for row in list_workflows()] == ["p", "p-2"]
    assert calls == ["parent", "kept"]


@pytest.mark.django_db
def test_queue_version_and_partition_of_a_rewound_run() -> None:
    """125. A run may be rewound onto a queue, partition and version; the version stays if not given."""
    with SetWorkflowID("r"):
        five()
    Workflow.objects.filter(workflow_id="r").update(app_version="1")
    rewind_workflow("r", 2)
    found = get_workflow_status("r")
    assert found is not None
    assert found.app_version == "1"
    cancel_workflow("r")
    options = {"application_version": "2", "queue_name": "line", "queue_partition_key": "part"}
    found = rewind_workflow("r", 2, **options).get_status()
    assert (found.app_version, found.queue_name, found.partition_key) == ("2", "line", "part")


@pytest.mark.django_db(transaction=True)
def test_rewinding_inside_a_workflow_is_a_step(worker: Worker) -> None:
    """126. It is recorded: a replay of the operator's run does not rewind again."""
    with SetWorkflowID("r"):
        five()
    calls.clear()
    with SetWorkflowID("operator"):
        assert rewinds("r") == "rewound it"
    assert step_names("operator") == [(1, "durable.rewindWorkflow"), (2, "note")]
    get_result("r", timeout=60)
    attempt = Workflow.objects.get(workflow_id="r").attempt
    assert fork_workflow("operator", 99).get_result(timeout=60) == "rewound it"
    assert Workflow.objects.get(workflow_id="r").attempt == attempt
    assert start_workflow(async_operator, "r").get_result(timeout=60) == list("12345")


@pytest.mark.django_db(transaction=True)
def test_a_rewound_run_has_its_timeout_again(worker: Worker) -> None:
    """124, 127. The deadline counts anew from the claim: an old one does not cancel the new try."""
    with SetWorkflowID("r"), SetWorkflowTimeout(3600):
        five()
    past = timezone.now() - timedelta(days=1)
    Workflow.objects.filter(workflow_id="r").update(deadline_at=past)
    assert rewind_workflow("r", 2).get_result(timeout=60) == list("12345")


@pytest.mark.django_db(transaction=True)
def test_what_was_parked_may_be_rewound_after_its_end(worker: Worker, settings: Any) -> None:
    """124. A wait behind the cut is taken up anew: the recorded deadline is gone with its step."""
    settings.DURABLE = {"PARK_AFTER": timedelta(0)}
    with Worker(threads=1), SetWorkflowID("r"):
        start_workflow(waits)
        wait_for_status("r", "WAITING")
        first = Step.objects.get(workflow__workflow_id="r", name="durable.sleep").finished_at
        cancel_workflow("r")
        rewind_workflow("r", 1)
        wait_for_status("r", "WAITING")
        assert Step.objects.get(workflow__workflow_id="r", name="durable.sleep").finished_at > first
