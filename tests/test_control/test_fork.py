"""Forking: a history runs again under a new id, from a chosen step on."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from durable_app import (
    ConflictingWorkflowError,
    InvalidOptionError,
    NonExistentWorkflowError,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    afork_workflow,
    fork_workflow,
    get_event,
    get_result,
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    recv,
    send,
    set_event,
    start_workflow,
    step,
    workflow,
    workflow_id,
)
from durable_app.models import Event, EventHistory, Message, Step, StreamEntry, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import status, step_names

calls: list[str] = []


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    yield


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@step
def fail(what: str) -> None:
    calls.append(what)
    raise ValueError(what)


@workflow(name="fork.five")
def five(prefix: str = "") -> list[str]:
    return [note(f"{prefix}{number}") for number in range(1, 6)]


@workflow(name="fork.fails_and_goes_on")
def fails_and_goes_on() -> str:
    try:
        fail("broken")
    except ValueError as error:
        return note(f"after {error}")
    return "whole"


@workflow(name="fork.publishes")
def publishes() -> str:
    set_event("key", "one")
    set_event("key", "two")
    set_event("other", "x")
    set_event("key", "three")
    return note("published")


@workflow(name="fork.child")
def child(what: str) -> str:
    return note(what)


@workflow(name="fork.parent")
def parent() -> list[str]:
    handles = [start_workflow(child, what) for what in ("a", "b")]
    return [handle.get_result() for handle in handles]


@workflow(name="fork.receives")
def receives(seconds: float) -> Any:
    first = recv("go", timeout_seconds=seconds)
    return [first, note("after")]


@workflow(name="fork.forks")
def forks(original: str) -> list[str]:
    first = fork_workflow(original, 1).workflow_id
    with SetWorkflowID("chosen"):
        second = fork_workflow(original, 99).workflow_id
    return [first, second]


@workflow(name="fork.async_operator")
async def async_operator(original: str) -> str:
    handle = await afork_workflow(original, 99)
    return handle.workflow_id


@pytest.mark.django_db
def test_what_a_fork_takes_along_and_what_not() -> None:
    """112, 118. Name, inputs, attributes are copied; timeout, parent, queue options, version are not."""
    with SetWorkflowID("o"), SetWorkflowTimeout(3600), SetWorkflowAttributes({"who": "ann"}):
        five("x")
    Workflow.objects.filter(workflow_id="o").update(
        parent_workflow_id="p",
        user="ann",
        roles=["admin"],
        assumed_role="admin",
        app_version="1",
        queue_name="line",
        priority=7,
        partition_key="part",
        deduplication_id="key",
        schedule_name="nightly",
        class_name="C",
        config_name="c",
    )
    forked = fork_workflow("o", 3)
    original, copy = list_workflows(workflow_ids=["o", forked.workflow_id])
    for name in ("name", "class_name", "config_name", "input", "attributes", "user", "roles", "assumed_role"):
        assert getattr(copy, name) == getattr(original, name), name
    assert copy.input == {"args": ["x"], "kwargs": {}}
    assert copy.attributes == {"who": "ann"}
    assert copy.status == "ENQUEUED"
    for name in ("timeout", "deadline_at", "parent_workflow_id", "app_version", "partition_key", "output"):
        assert getattr(copy, name) is None, name
    assert (copy.priority, copy.deduplication_id, copy.recovery_attempts) == (0, None, 0)
    assert copy.queue_name != "line"
    assert (copy.started_at, copy.finished_at, copy.worker) == (None, None, None)


@pytest.mark.django_db
def test_original_and_fork_know_each_other() -> None:
    """112. forked_from and was_forked_from are set, and both filters find them."""
    with SetWorkflowID("o"):
        five()
    before = get_workflow_status("o")
    assert before is not None
    assert not before.was_forked_from
    with SetWorkflowID("f"):
        assert fork_workflow("o", 1).workflow_id == "f"
    assert [row.workflow_id for row in list_workflows(forked_from="o")] == ["f"]
    assert [row.workflow_id for row in list_workflows(is_fork=True)] == ["f"]
    assert [row.workflow_id for row in list_workflows(was_forked_from=True)] == ["o"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("start", "again"), [(-3, "12345"), (0, "12345"), (1, "12345"), (3, "345"), (5, "5"), (6, ""), (99, "")]
)
def test_steps_below_the_start_are_copied_and_the_rest_runs(worker: Worker, start: int, again: str) -> None:
    """113. start_step <= 1 copies none, beyond the end copies all; copies have outputs and times."""
    with SetWorkflowID("o"):
        five()
    originals = list_workflow_steps("o")
    calls.clear()
    forked = fork_workflow("o", start)
    assert forked.get_result(timeout=60) == list("12345")
    assert calls == list(again)
    kept = 5 - len(again)
    assert list_workflow_steps(forked.workflow_id)[:kept] == originals[:kept]
    assert len(list_workflow_steps(forked.workflow_id)) == 5
    assert list_workflow_steps("o") == originals


@pytest.mark.django_db(transaction=True)
def test_recorded_errors_are_copied(worker: Worker) -> None:
    """113, 44. A copied step raises what it had raised; it is not run again."""
    with SetWorkflowID("o"):
        assert fails_and_goes_on() == "after broken"
    calls.clear()
    assert fork_workflow("o", 2).get_result(timeout=60) == "after broken"
    assert calls == ["after broken"]


@pytest.mark.django_db(transaction=True)
def test_forking_from_the_failed_step_repeats_it(worker: Worker) -> None:
    """123. A run that failed goes on from the failed step under a new id; the original stays ERROR."""
    broken = [True]

    @workflow(name="fork.broken_at_first")
    def broken_at_first() -> str:
        note("kept")
        return maybe()

    @step(name="fork.maybe")
    def maybe() -> str:
        if broken[0]:
            raise ValueError("broken")
        return "mended"

    with SetWorkflowID("o"), pytest.raises(ValueError, match="broken"):
        broken_at_first()
    broken[0] = False
    assert fork_workflow("o", 2).get_result(timeout=60) == "mended"
    assert calls == ["kept"]
    assert status("o") == "ERROR"


@pytest.mark.django_db(transaction=True)
def test_forks_adopt_children_or_their_replacements(worker: Worker) -> None:
    """114. Copied starts point at the original children, or at those that replace them."""
    with SetWorkflowID("o"):
        assert start_workflow(parent).get_result(timeout=60) == ["a", "b"]
    assert fork_workflow("o", 3).get_result(timeout=60) == ["a", "b"]
    with SetWorkflowID("better"):
        child("better b")
    replaced = fork_workflow("o", 3, replacement_children={"o-2": "better"})
    assert replaced.get_result(timeout=60) == ["a", "better b"]
    children = [s.child_workflow_id for s in list_workflow_steps(replaced.workflow_id)]
    assert children == ["o-1", "better", "o-1", "better"]
    assert calls == ["a", "b", "better b"]


@pytest.mark.django_db
@pytest.mark.parametrize(("start", "key", "other"), [(1, None, None), (2, "one", None), (4, "two", "x")])
def test_events_are_those_of_the_copied_steps(start: int, key: str | None, other: str | None) -> None:
    """115. The history below the start is copied; its last value of each key is the fork's event."""
    with SetWorkflowID("o"):
        publishes()
    forked = fork_workflow("o", start).workflow_id
    assert get_event(forked, "key", timeout_seconds=0) == key
    assert get_event(forked, "other", timeout_seconds=0) == other
    assert EventHistory.objects.filter(workflow__workflow_id=forked).count() == start - 1
    assert get_event("o", "key", timeout_seconds=0) == "three"
    assert EventHistory.objects.filter(workflow__workflow_id="o").count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_fork_goes_on_publishing(worker: Worker) -> None:
    """115, 153. The fork's later set_event updates its copied event, and not the original's."""
    with SetWorkflowID("o"):
        publishes()
    Event.objects.filter(workflow__workflow_id="o", key="key").update(value='"changed by hand"')
    forked = fork_workflow("o", 3)
    forked.get_result(timeout=60)
    assert get_event(forked.workflow_id, "key", timeout_seconds=0) == "three"
    assert get_event("o", "key", timeout_seconds=0) == "changed by hand"


@pytest.mark.django_db
def test_stream_entries_below_the_start_are_copied_at_their_offsets() -> None:
    """116. Entries of steps below the start are copied, others are not."""
    with SetWorkflowID("o"):
        five()
    run = Workflow.objects.get(workflow_id="o")
    for offset, position in enumerate([1, 1, 2, 4]):
        StreamEntry.objects.create(
            workflow=run,
            key="s",
            offset=offset,
            value=f'"{offset}"',
            position=position,
            written_at=timezone.now(),
        )
    forked = fork_workflow("o", 3).workflow_id
    copied = StreamEntry.objects.filter(workflow__workflow_id=forked).order_by("offset")
    assert list(copied.values_list("offset", "value", "position")) == [
        (0, '"0"', 1),
        (1, '"1"', 1),
        (2, '"2"', 2),
    ]
    assert StreamEntry.objects.filter(workflow=run).count() == 4


@pytest.mark.django_db(transaction=True)
def test_messages_are_not_copied(worker: Worker) -> None:
    """117. The fork has an empty mailbox: neither consumed nor unread messages come along."""
    with SetWorkflowID("o"):
        handle = start_workflow(receives, 3600)
    send("o", "first", "go")
    assert handle.get_result(timeout=60) == ["first", "after"]
    send("o", "unread", "go")
    forked = fork_workflow("o", 1)
    assert not Message.objects.filter(destination__workflow_id=forked.workflow_id).exists()
    send(forked.workflow_id, "its own", "go")
    assert forked.get_result(timeout=60) == ["its own", "after"]
    assert fork_workflow("o", 3).get_result(timeout=60) == ["first", "after"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", [2, 3, 4])
def test_a_recorded_timeout_is_replayed(worker: Worker, start: int) -> None:
    """122. A recv that timed out delivers None in the fork as well, without waiting."""
    with SetWorkflowID("o"):
        assert receives(0.05) == [None, "after"]
    assert step_names("o") == [(1, "durable.recv"), (2, "durable.sleep"), (3, "note")]
    forked = fork_workflow("o", start)
    send(forked.workflow_id, "too late", "go")
    assert forked.get_result(timeout=60) == [None, "after"]


@pytest.mark.django_db
def test_version_queue_and_timeout_of_a_fork() -> None:
    """118, 119, 112. They are those given; a timeout is above zero and counts from the claim."""
    with SetWorkflowID("o"):
        five()
    forked = fork_workflow(
        "o",
        2,
        application_version="2",
        queue_name="line",
        queue_partition_key="part",
        timeout_seconds=60,
    )
    found = forked.get_status()
    assert (found.app_version, found.queue_name, found.partition_key) == ("2", "line", "part")
    assert (found.timeout, found.deadline_at) == (timedelta(minutes=1), None)
    for timeout in (0, -1):
        with pytest.raises(InvalidOptionError):
            fork_workflow("o", 2, timeout_seconds=timeout)


@pytest.mark.django_db(transaction=True)
def test_a_forks_timeout_starts_at_the_claim(worker: Worker) -> None:
    """119. The deadline is set when a worker takes the fork."""
    with SetWorkflowID("o"):
        five()
    forked = fork_workflow("o", 2, timeout_seconds=3600)
    forked.get_result(timeout=60)
    found = forked.get_status()
    assert found.started_at is not None
    assert found.deadline_at == found.started_at + timedelta(hours=1)


@pytest.mark.django_db
def test_a_fork_of_nothing_and_a_fork_onto_something() -> None:
    """120. A missing original raises; so does an id that is taken, and nothing changes."""
    with pytest.raises(NonExistentWorkflowError):
        fork_workflow("nobody", 1)
    for name in ("o", "taken"):
        with SetWorkflowID(name):
            five()
    with pytest.raises(ConflictingWorkflowError), SetWorkflowID("taken"):
        fork_workflow("o", 1)
    assert status("taken") == "SUCCESS"
    assert Workflow.objects.count() == 2
    assert Step.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_forks_of_one_run_and_forks_of_forks(worker: Worker) -> None:
    """121. A run may be forked often, and its forks in turn."""
    with SetWorkflowID("o"):
        five()
    calls.clear()
    forked = [fork_workflow("o", 6) for _ in range(3)]
    assert [one.get_result(timeout=60) for one in forked] == [list("12345")] * 3
    grandchild = fork_workflow(forked[0].workflow_id, 5)
    assert grandchild.get_result(timeout=60) == list("12345")
    assert grandchild.get_status().forked_from == forked[0].workflow_id
    assert calls == ["5"]


@pytest.mark.django_db(transaction=True)
def test_forking_inside_a_workflow_is_a_step(worker: Worker) -> None:
    """106, 112. The new id is recorded: a replay forks nothing, and SetWorkflowID gives it."""
    with SetWorkflowID("o"):
        five()
    with SetWorkflowID("operator"):
        first, second = forks("o")
    assert second == "chosen"
    assert step_names("operator") == [(1, "durable.forkWorkflow"), (2, "durable.forkWorkflow")]
    assert get_result(first, timeout=60) == get_result("chosen", timeout=60) == list("12345")
    assert fork_workflow("operator", 99).get_result(timeout=60) == [first, "chosen"]
    assert len(list_workflows(forked_from="o")) == 2
    third = start_workflow(async_operator, "o").get_result(timeout=60)
    assert get_result(third, timeout=60) == list("12345")


@pytest.mark.django_db(transaction=True)
def test_a_running_run_can_be_forked(worker: Worker) -> None:
    """112. The fork of a run that has not ended continues after the steps it had recorded by then."""
    ids: list[str] = []

    @workflow(name="fork.forks_itself")
    def forks_itself() -> str:
        note("before")
        if workflow_id() == "o":
            ids.append(fork_workflow("o", 2).workflow_id)
        return note("after")

    with SetWorkflowID("o"):
        assert forks_itself() == "after"
    assert status("o") == "SUCCESS"
    assert get_result(ids[0], timeout=60) == "after"
    assert step_names(ids[0]) == [(1, "note"), (2, "note")]
    assert calls.count("before") == 1
