"""Progress: reported at any rate, written a few times a second, and the last report always."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction as django_transaction

from durable_app import (
    InvalidOptionError,
    Progress,
    SetWorkflowID,
    agather,
    aget_progress,
    aprogress,
    fork_workflow,
    gather,
    get_all_events,
    get_event,
    get_progress,
    get_result,
    progress,
    rewind_workflow,
    set_event,
    sleep,
    start_workflow,
    step,
    transaction,
    workflow,
)
from durable_app.models import Event, EventHistory, Status, Workflow
from durable_app.store import progress as store
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, in_thread, step_names, wait_for_status, wait_until

LOOP = 10_000
BAR = store.Bar(None, 1, 2)
AT = datetime(2026, 1, 1, tzinfo=UTC)


@step
def count_up(to: int, total: int | None = None) -> int:
    for number in range(1, to + 1):
        progress(number, to if total is None else total, f"item {number}")
    return to


@step
async def acount_up(to: int) -> int:
    for number in range(1, to + 1):
        await aprogress(number, to)
    return to


@transaction
def count_up_in_a_transaction(to: int) -> int:
    for number in range(1, to + 1):
        progress(number, to)
    return to


@step
def quiet() -> None:
    pass


@workflow
def counts(to: int) -> int:
    return count_up(to)


@workflow
async def acounts(to: int) -> int:
    return await acount_up(to)


@workflow
def counts_in_a_transaction(to: int) -> int:
    return count_up_in_a_transaction(to)


@workflow
def reports_between_steps(rounds: int) -> None:
    for number in range(rounds):
        progress(number, rounds)
        quiet()
    progress(rounds, rounds)


@workflow
def fails_half_way() -> None:
    progress(5, 10, "half")
    raise ValueError("half-way")


@workflow
def reports_and_sleeps() -> None:
    progress(1, 2, "before the night")
    sleep(3600)
    progress(2, 2)


@workflow
def reports_in_branches() -> None:
    gather(*[lambda number=number: progress(number, 4) for number in (2, 3, 1)])


@workflow
async def areports_in_branches() -> None:
    await agather(*[aprogress(number, 4) for number in (2, 3, 1)])


@workflow
def looks_at(workflow_id: str) -> Progress | None:
    return get_progress(workflow_id)


@workflow
def uses_the_key() -> None:
    set_event("durable.progress", 1)


def finish(handle: Any) -> Any:
    with Worker(threads=2):
        return handle.get_result(timeout=60)


def shown(workflow_id: str) -> tuple[Any, ...]:
    found = get_progress(workflow_id)
    assert found is not None
    return found.done, found.total, found.message


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the writes of reports."""
    counted: list[int] = []
    original = store.write

    def write(reports: list[store.Report]) -> list[store.Report]:
        counted.append(len(reports))
        return original(reports)

    monkeypatch.setattr(store, "write", write)
    return counted


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("counting", "to"), [(counts, LOOP), (acounts, 1000)])
def test_ten_thousand_reports_cost_a_handful_of_commits(counting: Any, to: int, writes: list[int]) -> None:
    """The newest is written a few times a second, the last before the run ends; nothing is recorded."""
    began = time.monotonic()
    handle = start_workflow(counting, to)
    assert finish(handle) == to
    at_most = (time.monotonic() - began) / store.INTERVAL + 2
    assert 1 <= len(writes) <= at_most
    assert shown(handle.workflow_id)[:2] == (to, to)
    assert len(step_names(handle.workflow_id)) == 1
    assert not EventHistory.objects.exists()


@pytest.mark.django_db
def test_a_test_in_a_transaction_sees_the_last_report(writes: list[int]) -> None:
    """In a TestCase everything stays on the test's own connection, at the same rate."""
    with SetWorkflowID("w"):
        assert counts(LOOP) == LOOP
    assert shown("w") == (LOOP, LOOP, f"item {LOOP}")
    assert len(writes) < LOOP / 10
    with SetWorkflowID("a"):
        assert async_to_sync(acounts.acall)(20) == 20
    assert shown("a")[0] == 20


@pytest.mark.django_db(transaction=True)
def test_a_step_that_goes_on_is_seen_at_its_last_report() -> None:
    """A report is written soon, though nothing follows it."""
    handle = start_workflow(reports_then_works)
    with Worker(threads=1):
        wait_until(lambda: get_progress(handle.workflow_id))
        wait_until(lambda: shown(handle.workflow_id) == (2, 3, "the long part"))
        Workflow.objects.update(attributes={"go": True})
        assert handle.get_result(timeout=60) is None
    assert shown(handle.workflow_id)[0] == 3


@step
def work() -> None:
    progress(1, 3, "the short part")
    progress(2, 3, "the long part")
    wait_until(Workflow.objects.filter(attributes__has_pairs={"go": True}).exists)
    progress(3, 3)


@workflow
def reports_then_works() -> None:
    work()


@pytest.mark.django_db(transaction=True)
def test_a_body_reports_without_taking_a_position() -> None:
    """Reports may be added to a workflow whose runs are under way."""
    handle = start_workflow(reports_between_steps, 3)
    finish(handle)
    assert step_names(handle.workflow_id) == [(1, "quiet"), (2, "quiet"), (3, "quiet")]
    assert shown(handle.workflow_id)[:2] == (3, 3)


@pytest.mark.django_db(transaction=True)
def test_a_replay_does_not_report_again_what_it_passes_over(writes: list[int]) -> None:
    """Only what comes after the last recorded step is news."""
    handle = start_workflow(replayed_reports)
    finish(handle)
    Event.objects.all().delete()
    execute_again(handle.workflow_id)
    writes.clear()
    finish(handle)
    assert get_progress(handle.workflow_id) is None
    assert writes == []


@workflow
def replayed_reports() -> None:
    progress(1, 2)
    quiet()
    progress(2, 2)
    quiet()


@pytest.mark.django_db
def test_a_failing_run_keeps_its_last_report() -> None:
    """What was reached is what people want to know."""
    with SetWorkflowID("w"), pytest.raises(ValueError, match="half-way"):
        fails_half_way()
    assert shown("w") == (5, 10, "half")


@pytest.mark.django_db(transaction=True)
def test_a_parked_run_shows_its_last_report(settings: Any) -> None:
    """It is written before the run parks."""
    handle = start_workflow(reports_and_sleeps)
    with Worker(threads=1):
        wait_for_status(handle.workflow_id, Status.WAITING)
        assert shown(handle.workflow_id) == (1, 2, "before the night")


@pytest.mark.django_db(transaction=True)
def test_a_transactions_reports_are_no_part_of_it() -> None:
    """They are shown once it has ended; while it is open, its run's row is locked."""
    handle = start_workflow(counts_in_a_transaction, 100)
    assert finish(handle) == 100
    assert shown(handle.workflow_id)[:2] == (100, 100)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("reporting", [reports_in_branches, areports_in_branches])
def test_branches_report_into_one_bar_that_does_not_go_back(reporting: Any) -> None:
    """Whatever their order: the highest stays."""
    handle = start_workflow(reporting)
    finish(handle)
    assert shown(handle.workflow_id)[:2] == (3, 4)


@pytest.mark.parametrize(
    ("earlier", "later", "follows"),
    [
        (None, (1, 3), True),
        ((1, 3), (2, 3), True),
        ((2, 3), (2, 3), True),
        ((2, 3), (1, 3), False),
        ((2, 3), (0, 3), True),
        ((3, 3), (1, 3), True),
        ((4, 3), (1, 3), True),
        ((2, 3), (1, 4), True),
        ((2, 3), (1, None), True),
        ((2, None), (1, None), False),
        ((2, None), (0, None), True),
    ],
)
def test_a_bar_goes_forward_until_it_is_full(earlier: Any, later: Any, follows: bool) -> None:
    """Zero, another total or a full bar begin a new one; so does another step, or another try of it."""
    bar = store.Bar(source="step", done=later[0], total=later[1])
    before = None if earlier is None else store.Bar(source="step", done=earlier[0], total=earlier[1])
    assert bar.may_follow(before) is follows
    if before is not None:
        assert bar.may_follow(store.Bar(source="other step", done=before.done, total=before.total))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [{"attempt": 2}, {"status": Status.CANCELLED}, {"status": Status.SUCCESS}])
def test_a_report_of_an_execution_that_was_ended_is_dropped(change: dict[str, Any]) -> None:
    """F03. A report carries its attempt, as every write of a run does."""
    run = running("w")
    Workflow.objects.filter(pk=run.pk).update(**change)
    assert store.write([store.Report(run.pk, 1, "w", BAR, 1)]) == []
    assert not Event.objects.exists()


@pytest.mark.postgres(reason="elsewhere there are no row locks")
@pytest.mark.django_db(transaction=True)
def test_a_locked_run_does_not_hold_up_the_reports_of_others() -> None:
    """F04. Its report waits for another time; nobody waits for its lock."""
    locked, free = running("locked"), running("free")
    reports = [store.Report(run.pk, 1, run.workflow_id, BAR, 1) for run in (locked, free)]
    with django_transaction.atomic():
        Workflow.objects.select_for_update(no_key=True).get(pk=locked.pk)
        assert in_thread(store.write, reports).result(60) == reports[:1]
    assert Event.objects.values_list("workflow__workflow_id", flat=True).get() == "free"
    assert store.write(reports[:1]) == []
    assert Event.objects.count() == 2


def running(workflow_id: str) -> Workflow:
    with SetWorkflowID(workflow_id):
        start_workflow(counts, 1)
    Workflow.objects.filter(workflow_id=workflow_id).update(status=Status.PENDING, attempt=1)
    return Workflow.objects.get(workflow_id=workflow_id)


@pytest.mark.django_db
def test_outside_of_a_workflow_nothing_happens() -> None:
    """41. A step that is called plainly may report to nobody."""
    progress(1, 2)
    assert count_up(3) == 3
    assert not Event.objects.exists()
    assert get_progress("nobody") is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "given", [(-1,), (float("nan"),), (float("inf"),), ("1",), (True,), (1, -1), (1, "2")]
)
def test_numbers_out_of_range_are_refused(given: Any) -> None:
    """A bar has a length."""

    @workflow(name="progress.misuse")
    def misuse() -> None:
        progress(*given)

    with pytest.raises(InvalidOptionError, match="must be a number from zero on"):
        misuse()


@pytest.mark.django_db(transaction=True)
def test_a_workflow_that_looks_keeps_what_it_saw() -> None:
    """264. Inside a workflow looking is a step; its value replays."""
    with SetWorkflowID("w"):
        counts(3)
    handle = start_workflow(looks_at, "w")
    found = finish(handle)
    assert (found.done, found.total, found.message, found.share) == (3, 3, "item 3", 1.0)
    assert found.at.tzinfo is not None
    assert step_names(handle.workflow_id) == [(1, "durable.getProgress")]
    Event.objects.all().delete()
    execute_again(handle.workflow_id)
    assert finish(handle) == found
    assert async_to_sync(aget_progress)("w") is None


@pytest.mark.django_db
def test_the_key_is_reserved_and_not_listed() -> None:
    """158. Progress is an event, and not one of the project's."""
    with pytest.raises(InvalidOptionError, match="are the engine's"):
        uses_the_key()
    with SetWorkflowID("w"):
        counts(3)
    assert get_all_events("w") == {}
    assert isinstance(get_event("w", "durable.progress", 0), Progress)


@pytest.mark.django_db(transaction=True)
def test_forks_and_rewound_runs_begin_without_progress() -> None:
    """115, 124. What was reported is not in the history."""
    with SetWorkflowID("w"):
        counts(3)
    assert get_progress(fork_workflow("w", 2).workflow_id) is None
    rewind_workflow("w", 2)
    assert get_progress("w") is None
    with Worker(threads=2):
        assert get_result("w", timeout=60) == 3


def test_the_share_that_is_done() -> None:
    """None without a total, and never above one."""
    given: list[tuple[float, float | None, float | None]] = [
        (1, 4, 0.25),
        (5, 4, 1.0),
        (5, None, None),
        (0, 0, None),
    ]
    for done, total, share in given:
        assert Progress(done=done, total=total, message="", at=AT).share == share
