"""Every write of a run carries its attempt, and is refused under another one."""

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest

import durable_app.store
from durable_app import clock
from durable_app.errors import OwnershipLost, WorkflowCancelled
from durable_app.models import Event, EventHistory, Message, Status, Step, StreamEntry, Wait, Workflow
from durable_app.store import (
    approvals,
    bulk,
    continuing,
    database,
    delays,
    messages,
    runs,
    steps,
    streams,
    waits,
)
from durable_app.store.records import Checkpoint, Entry, NewRun, Outcome, Parcel, Payload, Position, Verdict
from durable_app.store.waits import News

pytestmark = pytest.mark.django_db(transaction=True)

CURRENT = 3

Write = Callable[[Workflow, int], Any]


def make_run(status: str = Status.PENDING) -> Workflow:
    now = clock.now()
    return Workflow.objects.create(
        workflow_id=str(uuid4()),
        queue_name="default",
        name="fenced",
        inputs='{"args": [], "kwargs": {}}',
        status=status,
        attempt=CURRENT,
        created_at=now,
        updated_at=now,
    )


def checkpoint(run: Workflow, attempt: int) -> Checkpoint:
    now = clock.now()
    return Checkpoint(
        run=run.pk,
        attempt=attempt,
        position=Position(1),
        name="step",
        output="1",
        started_at=now,
        finished_at=now,
    )


def outcome(run: Workflow, attempt: int) -> Outcome:
    return Outcome(run=run.pk, attempt=attempt, status="SUCCESS", output="1", error=None, at=clock.now())


def entry(run: Workflow, attempt: int, step: str | None = None) -> Entry:
    return Entry(
        run=run.pk,
        attempt=attempt,
        key="key",
        value="1",
        position=Position(1),
        at=clock.now(),
        step=step,
    )


def committed(record: Any, run: Workflow, write: Callable[[Any], Any] = database.commit) -> None:
    """Write through the hot path, which answers with a verdict, and say what it means."""
    verdict = write(record)
    if verdict is not Verdict.WRITTEN:
        steps.raise_for(verdict, run.workflow_id)


def child(run: Workflow) -> NewRun:
    return NewRun(
        workflow_id=f"{run.workflow_id}-1",
        name="child",
        inputs="{}",
        status="ENQUEUED",
        created_at=clock.now(),
    )


WRITES: dict[str, Write] = {
    "checkpoint": lambda run, attempt: committed(checkpoint(run, attempt), run),
    "outcome": lambda run, attempt: committed(outcome(run, attempt), run),
    "commit_all": lambda run, attempt: committed(
        outcome(run, attempt), run, lambda record: database.commit_all([record])[0]
    ),
    "entry": lambda run, attempt: committed(entry(run, attempt, "step"), run),
    "entry from a step": lambda run, attempt: committed(entry(run, attempt), run),
    "append_awaited": lambda run, attempt: committed(
        entry(run, attempt, "step"), run, lambda record: streams.append_awaited(record, run.workflow_id)
    ),
    "hand_over": lambda run, attempt: continuing.hand_over(
        checkpoint(run, attempt), run.workflow_id, "{}", "json"
    ),
    "finish_awaited": lambda run, attempt: runs.finish_awaited(outcome(run, attempt), run.workflow_id),
    "launch_child": lambda run, attempt: runs.launch_child(
        child(run), checkpoint(run, attempt), run.workflow_id, runs.start
    ),
    "bounce a child": lambda run, attempt: runs.launch_child(
        child(run), checkpoint(run, attempt), run.workflow_id, delays.bounce
    ),
    "ask": lambda run, attempt: approvals.ask(
        approvals.Question(title="May I?"), checkpoint(run, attempt), run.workflow_id
    ),
    "launch_children": lambda run, attempt: bulk.launch_children(
        [child(run)], checkpoint(run, attempt), run.workflow_id
    ),
    "send": lambda run, attempt: messages.send(
        [Parcel(run.workflow_id, "topic", "1")],
        sender=(run.pk, attempt, run.workflow_id),
        step=checkpoint(run, attempt),
    ),
    "send from a step": lambda run, attempt: messages.send(
        [Parcel(run.workflow_id, "topic", "1")], sender=(run.pk, attempt, run.workflow_id)
    ),
    "consume": lambda run, attempt: messages.consume(
        checkpoint(run, attempt), run.workflow_id, "topic", last_chance=True
    ),
    "set_event": lambda run, attempt: messages.set_event(
        run.pk, attempt, run.workflow_id, "key", Payload("1"), checkpoint(run, attempt)
    ),
    "set_event from a step": lambda run, attempt: messages.set_event(
        run.pk, attempt, run.workflow_id, "key", Payload("1"), None
    ),
    "park": lambda run, attempt: waits.park(
        run.pk, attempt, run.workflow_id, news=(News("message", run.workflow_id, "topic"),)
    ),
    "block": lambda run, attempt: waits.block(run.pk, attempt, run.workflow_id, "changed code"),
    "check_held": lambda run, attempt: steps.check_held(run.pk, attempt, run.workflow_id),
    "fence": lambda run, attempt: in_transaction(steps.fence, run.pk, attempt, run.workflow_id),
}

INDIRECT = {
    "commit": "the door of the hot path: tested as checkpoint and outcome",
    "acommit": "the same door for coroutines",
    "write_mixed": "behind that door",
    "write_within": "behind that door",
    "record_within": "writes in a transaction whose owner has fenced",
    "landed": "reads",
    "recorded_by": "reads",
    "append": "behind that door: tested as entry",
    "step_of": "reads",
    "take": "the way of consume while there is a message: tested below",
    "publish": "the first try of set_event: what it declines, that refuses",
    "judge": "explains a refusal",
    "raise_for": "explains a refusal",
}
"""Functions of the store that are given an attempt or a checkpoint, but fence nothing, and why."""


def in_transaction(function: Callable[..., Any], *args: Any) -> None:
    with database.transact():
        function(*args)


def everything() -> list[Any]:
    """Return all that a write could have changed."""
    models = (Workflow, Step, Message, Event, EventHistory, StreamEntry, Wait)
    return [list(model.objects.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("attempt", [CURRENT - 1, CURRENT + 1])
@pytest.mark.parametrize("name", WRITES)
def test_a_write_under_another_attempt_is_refused_and_changes_nothing(name: str, attempt: int) -> None:
    """61, 73, 95, F02, F03. OwnershipLost for every kind of write, and no row is touched."""
    run = make_run()
    before = everything()

    with pytest.raises(OwnershipLost):
        WRITES[name](run, attempt)

    assert everything() == before


@pytest.mark.parametrize("name", WRITES)
def test_a_write_of_a_cancelled_run_is_refused_as_such(name: str) -> None:
    """100, 101. A cancelled run keeps its attempt: its execution learns what has happened."""
    run = make_run(Status.CANCELLED)
    before = everything()

    with pytest.raises(WorkflowCancelled):
        WRITES[name](run, CURRENT)

    assert everything() == before


@pytest.mark.parametrize("status", [Status.ENQUEUED, Status.WAITING, Status.ERROR])
@pytest.mark.parametrize("name", WRITES)
def test_a_write_of_a_run_that_nobody_executes_is_refused(name: str, status: str) -> None:
    """95. The attempt alone does not suffice: the run must be executing."""
    run = make_run(status)
    before = everything()

    with pytest.raises(OwnershipLost):
        WRITES[name](run, CURRENT)

    assert everything() == before


@pytest.mark.parametrize("name", WRITES)
def test_a_write_to_a_deleted_run_is_refused(name: str) -> None:
    """95, 173. Nothing is written for a run that is gone."""
    run = make_run()
    gone = Workflow(pk=run.pk, workflow_id=run.workflow_id)
    run.delete()

    with pytest.raises(OwnershipLost):
        WRITES[name](gone, CURRENT)

    assert not any(everything())


@pytest.mark.parametrize("name", [name for name in WRITES if name not in ("fence", "check_held")])
def test_the_owners_write_lands(name: str) -> None:
    """97. The same writes under the current attempt: the refusals above are the fence's doing."""
    run = make_run()
    before = everything()

    WRITES[name](run, CURRENT)

    assert everything() != before


@pytest.mark.parametrize("attempt", [CURRENT - 1, CURRENT, CURRENT + 1])
def test_a_message_is_taken_under_the_current_attempt_only(attempt: int) -> None:
    """147, F03. The message that a refused receiver saw stays in the inbox, and no step is recorded."""
    run = make_run()
    messages.send([Parcel(run.workflow_id, "topic", "1")])
    before = everything()

    if attempt == CURRENT:
        found = messages.consume(checkpoint(run, attempt), run.workflow_id, "topic", last_chance=False)
        assert found == Payload("1")
        assert (Step.objects.get().output, Message.objects.get().consumed_by_position) == ("1", 1)
        return
    with pytest.raises(OwnershipLost):
        messages.consume(checkpoint(run, attempt), run.workflow_id, "topic", last_chance=False)
    assert everything() == before


def test_a_lost_reply_is_told_from_another_executions_record() -> None:
    """60, 72. The own record counts as written; one of an earlier attempt at the position does not."""
    run = make_run()
    own = checkpoint(run, CURRENT)

    assert database.commit(own) is Verdict.WRITTEN
    assert database.commit(own) is Verdict.WRITTEN
    Step.objects.update(attempt=CURRENT - 1)
    assert database.commit(own) is Verdict.TAKEN
    assert Step.objects.count() == 1


def test_a_lost_reply_to_an_entry_does_not_write_it_twice() -> None:
    """162, 72. The step that was recorded with it tells; an entry of a step, which has none, is repeated."""
    run = make_run()

    assert database.commit(entry(run, CURRENT, "step")) is Verdict.WRITTEN
    assert database.commit(entry(run, CURRENT, "step")) is Verdict.WRITTEN
    assert StreamEntry.objects.count() == 1
    Step.objects.update(attempt=CURRENT - 1)
    assert database.commit(entry(run, CURRENT, "step")) is Verdict.TAKEN
    assert database.commit(entry(run, CURRENT)) is Verdict.WRITTEN
    assert list(StreamEntry.objects.order_by("offset").values_list("offset", flat=True)) == [0, 1]


def test_an_awaited_runs_entry_goes_the_way_that_looks_for_waiters() -> None:
    """169. While a run is awaited, the hot path refuses its entries and says why; nothing is written."""
    run = make_run()
    Workflow.objects.update(awaited=True)

    assert database.commit(entry(run, CURRENT, "step")) is Verdict.AWAITED
    assert database.commit(entry(run, CURRENT)) is Verdict.AWAITED
    assert not StreamEntry.objects.exists() and not Step.objects.exists()
    assert streams.append_awaited(entry(run, CURRENT, "step"), run.workflow_id) is Verdict.WRITTEN
    assert (StreamEntry.objects.count(), Step.objects.count()) == (1, 1)


def test_a_batch_writes_each_streams_entries_in_order() -> None:
    """161, 163. Many runs and streams share a commit; entries of one stream keep the order of the batch."""
    runs_ = [make_run() for _ in range(3)]
    lost = make_run(Status.ENQUEUED)
    records: list[Any] = []
    for number in range(4):
        for run in (*runs_, lost):
            one = entry(run, CURRENT)._replace(value=str(number))
            records += [one, one._replace(key="other", position=Position(number + 1), step="step")]

    with database.transact():
        verdicts = database.write_within(records)

    assert [v for v, r in zip(verdicts, records, strict=True) if r.run == lost.pk] == [Verdict.LOST] * 8
    assert [v for v, r in zip(verdicts, records, strict=True) if r.run != lost.pk] == [Verdict.WRITTEN] * 24
    for run in runs_:
        for key in ("key", "other"):
            rows = StreamEntry.objects.filter(workflow=run, key=key).order_by("offset")
            assert list(rows.values_list("offset", "value")) == [(n, str(n)) for n in range(4)]
    assert Step.objects.count() == 12


def test_no_write_of_the_store_is_missing_here() -> None:
    """F03. Whatever function of the store takes an attempt is either tested above, or known to be safe."""
    tested = {name.split()[0] for name in WRITES} | INDIRECT.keys()

    found = set()
    for module in pkgutil.iter_modules(durable_app.store.__path__, "durable_app.store."):
        if ".postgres" in module.name and not database.is_postgres():
            continue
        for name, function in inspect.getmembers(import_module(module.name), inspect.isfunction):
            if function.__module__ == module.name and not name.startswith("_") and _is_a_runs_write(function):
                found.add(name)

    assert found - tested == set()
    assert {"park", "send", "consume", "launch_child", "append_awaited", "hand_over"} <= found


def _is_a_runs_write(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters
    texts = [str(one.annotation) for one in parameters.values()]
    return "attempt" in parameters or any(
        kind in text for text in texts for kind in ("Checkpoint", "Entry", "Outcome")
    )
