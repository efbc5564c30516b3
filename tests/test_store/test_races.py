"""Two verbs at once on one run: whatever the order, the outcome is one that an order explains."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from durable_app import clock
from durable_app.errors import ControlFlow, NonExistentWorkflowError
from durable_app.models import TRANSITIONS, Status, Step, StreamEntry, Workflow
from durable_app.models import Worker as WorkerRow
from durable_app.models.workflow import TERMINAL
from durable_app.store import claims, continuing, database, lifecycle, messages, steps, waits, workers
from durable_app.store.records import Checkpoint, Entry, Outcome, Parcel, Position, Verdict
from durable_app.store.waits import News
from tests.crash.ledger import changes, install_audit, remove_audit
from tests.racing import raced

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6
ATTEMPT = 1

Verb = Callable[[Workflow], Any]


@pytest.fixture(autouse=True)
def audit(transactional_db: None) -> Iterator[None]:
    """Keep every change of a run's status and attempt."""
    install_audit()
    yield
    remove_audit()


def make_run(*, status: str = Status.PENDING) -> Workflow:
    """Make a run that a worker has claimed which has just died."""
    now = clock.now()
    owner = WorkerRow.objects.create(
        id=str(uuid4()),
        name="dead",
        hostname="elsewhere",
        process_space="elsewhere",
        pid=1,
        pid_started="1",
        started_at=now,
        heartbeat_at=now,
        expires_at=now,
        stopped_at=now,
    )
    return Workflow.objects.create(
        workflow_id=str(uuid4()),
        queue_name="default",
        name="raced",
        inputs="{}",
        status=status,
        worker=owner,
        attempt=ATTEMPT,
        created_at=now,
        updated_at=now,
        enqueued_at=now,
    )


def step(run: Workflow, position: int = 1) -> Checkpoint:
    now = clock.now()
    return Checkpoint(
        run=run.pk,
        attempt=ATTEMPT,
        position=Position(position),
        name="step",
        output="1",
        started_at=now,
        finished_at=now,
    )


def written(record: Any, run: Workflow) -> bool:
    """Write a record as the engine does: again while the row is locked, and raise if it is refused."""
    while (verdict := database.commit(record)) is Verdict.LOCKED:
        pass
    if verdict is not Verdict.WRITTEN:
        steps.raise_for(verdict, run.workflow_id)
    return True


def finish(run: Workflow) -> bool:
    now = clock.now()
    done = Outcome(run=run.pk, attempt=ATTEMPT, status="SUCCESS", output="1", error=None, at=now)
    return written(done, run)


def pay(run: Workflow) -> bool:
    """Do what a transactional step does around the user's code."""
    with database.transact():
        steps.fence(run.pk, ATTEMPT, run.workflow_id)
        steps.record_within(step(run, 2))
    return True


def append(run: Workflow) -> bool:
    """Write to a stream as a step of the body does."""
    at = clock.now()
    return written(Entry(run.pk, ATTEMPT, "key", "1", Position(3), at, step="durable.writeStream"), run)


def go_on(run: Workflow) -> bool:
    """Begin anew, as a run does that continues."""
    continuing.hand_over(step(run, 4), run.workflow_id, "{}", "json")
    return True


def park(run: Workflow) -> bool:
    news = (News("message", run.workflow_id, "topic"),)
    return waits.park(run.pk, ATTEMPT, run.workflow_id, news=news) is waits.Parked.PARKED


VERBS: dict[str, Verb] = {
    "checkpoint": lambda run: written(step(run), run),
    "pay": pay,
    "append": append,
    "go on": go_on,
    "finish": finish,
    "park": park,
    "cancel": lambda run: bool(lifecycle.cancel([run.workflow_id])),
    "resume": lambda run: bool(lifecycle.resume([run.workflow_id], None)),
    "delete": lambda run: bool(lifecycle.delete([run.workflow_id])),
    "sweep": lambda run: bool(workers.recover(by_lease=True)),
    "release": lambda run: bool(workers.release(run.worker_id or "")),
    "send": lambda run: messages.send([Parcel(run.workflow_id, "topic", "1")]) is None,
    "claim": lambda run: bool(claims.claim(claims.Claimer(worker_id="heir"), ["raced"], 1)),
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(VERBS, 2)))
def test_two_verbs_at_once_end_as_if_one_had_come_first(one: str, other: str) -> None:
    """81, 95, 99, 111, F08, F23, F39. No error but the fence's, only legal moves, ends that last."""
    for _ in range(ROUNDS):
        run = make_run()

        found = raced(partial(VERBS[one], run), partial(VERBS[other], run))
        answers = {one: found[0], other: found[1]}

        _check_answers(answers)
        _check_life(run, answers)
        _check_rows(run, answers)


def _check_answers(answers: dict[str, Any]) -> None:
    for verb, answer in answers.items():
        if isinstance(answer, BaseException):
            expected = NonExistentWorkflowError if verb in ("send", "resume") else ControlFlow
            assert isinstance(answer, expected), f"{verb} raised {answer!r} in {answers}"
            if verb in ("send", "resume"):
                assert "delete" in answers


def _check_life(run: Workflow, answers: dict[str, Any]) -> None:
    history = changes(run.pk)
    for change in history:
        if change.old_status != change.new_status:
            assert Status(change.new_status) in TRANSITIONS[Status(change.old_status)], history
        if change.old_status in TERMINAL:
            assert "resume" in answers and change.old_status not in (Status.SUCCESS, Status.ERROR), history
        assert change.new_attempt >= change.old_attempt, history
    reached = {change.new_status for change in history}
    assert (answers.get("finish") is True) == (Status.SUCCESS in reached), (answers, history)
    assert (answers.get("cancel") is True) == (Status.CANCELLED in reached), (answers, history)
    assert (answers.get("park") is True) == (Status.WAITING in reached), (answers, history)


def _check_rows(run: Workflow, answers: dict[str, Any]) -> None:
    rows = Workflow.objects.filter(pk=run.pk)
    assert rows.exists() == (answers.get("delete") is not True), answers
    landed = Step.objects.filter(workflow=run).exists()
    assert StreamEntry.objects.filter(workflow=run).exists() == (
        answers.get("append") is True and answers.get("delete") is not True
    ), answers
    if answers.get("delete") is True:
        assert not landed
        return
    claims_to_have = any(answers.get(verb) is True for verb in ("checkpoint", "pay", "append", "go on"))
    assert landed == claims_to_have, answers
    found = rows.get()
    if found.status == Status.ENQUEUED:
        assert found.attempt > ATTEMPT or answers.get("park") is True
    Workflow.objects.update(status=Status.CANCELLED)  # out of the next round's way


@pytest.mark.parametrize("claimers", [4])
def test_claimers_at_once_take_each_run_once(claimers: int) -> None:
    """178, 81. What one claims the others do not; every claim is a new attempt."""
    runs = [make_run(status=Status.ENQUEUED) for _ in range(20)]

    def claim(name: str) -> list[int]:
        return [one.run for one in claims.claim(claims.Claimer(worker_id=name), ["raced"], 10)]

    found = raced(*[lambda index=index: claim(f"worker {index}") for index in range(claimers)])

    taken = [run for answer in found for run in answer]
    assert sorted(taken) == sorted(run.pk for run in runs)
    assert set(Workflow.objects.values_list("status", "attempt")) == {(Status.PENDING, ATTEMPT + 1)}


def test_of_two_outcomes_one_is_written_and_stays() -> None:
    """1, 95, F08. A finished run does not change again, whoever else comes."""
    run = make_run()
    finish(run)
    before = Workflow.objects.values().get(pk=run.pk)

    raced(
        lambda: workers.recover(by_lease=True),
        lambda: lifecycle.cancel([run.workflow_id]),
        lambda: workers.release(run.worker_id or ""),
        lambda: VERBS["park"](run),
        lambda: VERBS["checkpoint"](run),
    )

    assert Workflow.objects.values().get(pk=run.pk) == before
    assert not Step.objects.exists()
