"""Calling and starting workflows: what is written, when, and what is refused before anything is."""

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction

from durable_app import (
    MaxStepRetriesExceeded,
    SerializationError,
    SetWorkflowID,
    Status,
    WorkflowFunctionNotFoundError,
    fork_workflow,
    retrieve_workflow,
    start_workflow,
    step,
    workflow,
    workflow_id,
)
from durable_app.incarnation import forget_callers
from durable_app.models import Worker as WorkerRow
from durable_app.models import Workflow
from durable_app.worker.worker import Worker
from tests.helpers import in_thread, wait_until
from tests.shop.workflows import sum_of_three

executed: list[Any] = []
gates: dict[str, threading.Event] = {}


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    executed.clear()
    gates.clear()


def row(chosen: str) -> dict[str, Any]:
    return {**Workflow.objects.values().get(workflow_id=chosen)}


def row_seen_by_others(chosen: str) -> dict[str, Any]:
    """Return the row as another connection sees it: what is committed."""
    return in_thread(row, chosen).result(60)


@workflow
def see_own_row() -> str:
    executed.append(row_seen_by_others(workflow_id() or ""))
    return "seen"


@workflow
def fail_plainly() -> None:
    executed.append("failed")
    raise ValueError("plainly")


@workflow
def return_unstorable() -> Any:
    executed.append("returned")
    return {"lines": [threading.Lock()]}


@workflow
def take_anything(*given: Any, **named: Any) -> str:
    executed.append((given, named))
    return "taken"


@pytest.mark.django_db(transaction=True)
def test_a_direct_call_is_committed_as_running_before_its_body_begins(settings: Any) -> None:
    """10. 11. PENDING under this process's lease and version, attempt 1; nothing of the end is there."""
    settings.DURABLE = {"APP_VERSION": "v7"}
    with SetWorkflowID("called"):
        assert see_own_row() == "seen"
    (seen,) = executed
    assert (seen["status"], seen["attempt"], seen["app_version"]) == (Status.PENDING, 1, "v7")
    assert WorkerRow.objects.get(pk=seen["worker_id"]).kind == "caller"
    assert (seen["name"], seen["queue_name"], seen["parent_workflow_id"]) == ("see_own_row", None, None)
    assert (seen["output"], seen["error"], seen["finished_at"]) == (None, None, None)
    assert seen["created_at"] == seen["started_at"]


@pytest.mark.django_db(transaction=True)
def test_a_finished_run_tells_its_outcome_and_when() -> None:
    """11. SUCCESS or ERROR, finished_at and updated_at; the attempt stays 1."""
    with SetWorkflowID("succeeds"):
        take_anything()
    with SetWorkflowID("fails"), pytest.raises(ValueError, match="plainly"):
        fail_plainly()
    good, bad = row("succeeds"), row("fails")
    assert (good["status"], good["output"], good["error"]) == (Status.SUCCESS, '"taken"', None)
    assert (bad["status"], bad["output"]) == (Status.ERROR, None)
    assert "plainly" in bad["error"]
    for one in (good, bad):
        assert one["attempt"] == 1
        assert one["created_at"] <= one["started_at"] <= one["finished_at"] == one["updated_at"]


@pytest.mark.django_db(transaction=True)
def test_start_workflow_returns_after_its_commit() -> None:
    """10. Others see the run at once, ready for any worker; it has been dispatched by nobody."""
    handle = start_workflow(take_anything, 1)
    seen = row_seen_by_others(handle.workflow_id)
    assert (seen["status"], seen["attempt"], seen["recovery_attempts"]) == (Status.ENQUEUED, 0, 0)
    assert (seen["queue_name"], seen["worker_id"], seen["started_at"]) == ("default", None, None)
    assert executed == []


@pytest.mark.django_db(transaction=True)
def test_a_start_joins_the_callers_transaction() -> None:
    """10. 177. Invisible until the commit, gone after a rollback."""
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        start_workflow(take_anything)
        1 / 0  # noqa: B018
    assert not Workflow.objects.exists()
    with transaction.atomic():
        start_workflow(take_anything)
        assert in_thread(Workflow.objects.count).result(60) == 0
    assert Workflow.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_calling_a_known_id_again_adds_no_attempt() -> None:
    """12. Neither attempt nor recovery_attempts nor any time changes."""
    with SetWorkflowID("known"):
        take_anything()
    before = row("known")
    for _ in range(3):
        with SetWorkflowID("known"):
            take_anything()
        with SetWorkflowID("known"):
            start_workflow(take_anything)
    assert row("known") == before


@pytest.mark.django_db(transaction=True)
def test_a_failed_run_is_final() -> None:
    """13. It is not recovered, though its process has gone."""
    with SetWorkflowID("failed"), pytest.raises(ValueError, match="plainly"):
        fail_plainly()
    before = row("failed")
    forget_callers()
    with Worker(threads=1) as worker:
        marker = start_workflow(take_anything)
        assert marker.get_result(timeout=60) == "taken"
        assert worker.run_until_idle(60)
    assert row("failed") == before
    assert executed.count("failed") == 1


@pytest.mark.django_db
def test_a_result_that_cannot_be_stored_ends_the_run_in_error() -> None:
    """15. TypeError to the caller, with the path; ERROR in the row; the body does not run again."""
    for _ in range(2):
        with (
            SetWorkflowID("unstorable"),
            pytest.raises(TypeError, match=r"'return_unstorable' cannot be stored: .*lock at \$\.lines\[0\]"),
        ):
            return_unstorable()
    assert row("unstorable")["status"] == Status.ERROR
    assert executed == ["returned"]


@pytest.mark.django_db
@pytest.mark.parametrize("call", [take_anything, functools.partial(start_workflow, take_anything)])
def test_inputs_that_cannot_be_stored_raise_at_the_call(call: Callable[..., Any]) -> None:
    """16. Nothing is written, nothing runs."""
    with pytest.raises(SerializationError, match=r"inputs of workflow 'take_anything'.*\$\.args\[1\]\.a"):
        call(1, {"a": object()})
    with pytest.raises(SerializationError, match=r"\$\.kwargs\.named"):
        call(named={1, object()})
    assert not Workflow.objects.exists()
    assert executed == []


UNMIGRATED = """
import django
django.setup()
from tests.shop.workflows import sum_of_three
from durable_app import start_workflow, DatabaseNotReadyError
for call in (sum_of_three, lambda *given: start_workflow(sum_of_three, *given)):
    try:
        call(1, 2, 3)
    except DatabaseNotReadyError as error:
        print(error)
"""


@pytest.mark.django_db(transaction=True)
def test_without_its_tables_the_engine_says_to_migrate(worker_env: dict[str, str], tmp_path: Path) -> None:
    """23. A call before the engine is set up fails with an error that says what to do."""
    url = f"sqlite:///{tmp_path}/empty.sqlite3"
    if connections["default"].vendor == "postgresql":
        url = worker_env["DATABASE_URL"].rpartition("/")[0] + "/postgres"
    done = subprocess.run(
        [sys.executable, "-c", UNMIGRATED],
        env={**worker_env, "DATABASE_URL": url, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )
    assert done.stdout.count("manage.py migrate") == 2, done.stderr


@pytest.mark.django_db
def test_a_chosen_name_is_what_is_recorded() -> None:
    """24. For workflows and steps; two functions of one name do not meet."""

    def make(letter: str) -> Any:
        @step(name=f"named-step-{letter}")
        def part() -> str:
            return letter

        @workflow(name=f"named-workflow-{letter}")
        def whole() -> str:
            return part()

        return whole

    first, second = make("a"), make("b")
    assert (first(), second()) == ("a", "b")
    names = Workflow.objects.order_by("id").values_list("name", "steps__name")
    assert list(names) == [
        ("named-workflow-a", "named-step-a"),
        ("named-workflow-b", "named-step-b"),
    ]


@pytest.mark.django_db
def test_the_qualified_name_is_recorded_by_default() -> None:
    """25. Including <locals>."""

    @workflow
    def inner() -> str:
        return "inner"

    assert inner() == "inner"
    here = "test_the_qualified_name_is_recorded_by_default.<locals>.inner"
    assert Workflow.objects.get().name == here


def audited(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        executed.append("audited")
        return func(*args, **kwargs)

    return wrapper


@step
def wrapped_part() -> str:
    executed.append("part")
    return "part"


@audited
@workflow
def wrapped_outside() -> str:
    return wrapped_part() + " outside"


@workflow
@audited
def wrapped_inside() -> str:
    return wrapped_part() + " inside"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wrapped", [wrapped_outside, wrapped_inside], ids=["outside", "inside"])
def test_a_workflow_in_another_decorator_starts_and_replays(wrapped: Callable[[], str]) -> None:
    """27. functools.wraps hides it neither from a call, nor from a start, nor from a replay."""
    with SetWorkflowID("original"):
        answer = wrapped()
    assert answer in ("part outside", "part inside")
    assert row("original")["name"] == wrapped.__name__
    with Worker(threads=1):
        assert start_workflow(wrapped).get_result(timeout=60) == answer
        assert executed.count("part") == 2
        assert fork_workflow("original", 2).get_result(timeout=60) == answer
    assert executed.count("part") == 2


def undecorated() -> None: ...


@pytest.mark.django_db
@pytest.mark.parametrize("func", [undecorated, len, functools.partial(undecorated), "sum_of_three", None])
def test_only_a_decorated_function_can_be_started(func: Any) -> None:
    """28. The error says what to do, and nothing is written."""
    with pytest.raises(WorkflowFunctionNotFoundError, match="@workflow"):
        start_workflow(func)
    assert not Workflow.objects.exists()


@workflow
def wait_for_gate(name: str) -> str:
    gates[name + " reached"].set()
    assert gates[name].wait(60)
    return name


@pytest.mark.django_db(transaction=True)
def test_a_worker_runs_as_many_sync_workflows_as_it_has_threads() -> None:
    """29. The next begins when one has ended; until then it is enqueued."""
    for name in "abc":
        gates[name], gates[name + " reached"] = threading.Event(), threading.Event()
    handles = {name: start_workflow(wait_for_gate, name) for name in "abc"}
    with Worker(threads=2) as worker:
        assert gates["a reached"].wait(60) and gates["b reached"].wait(60)
        worker.claimer.wake()
        assert worker.busy == 2
        assert handles["c"].get_status().status == Status.ENQUEUED
        gates["a"].set()
        assert gates["c reached"].wait(60)
        assert handles["a"].get_result(timeout=60) == "a"
        assert handles["b"].get_status().status == Status.PENDING
        gates["b"].set()
        gates["c"].set()
        assert [handle.get_result(timeout=60) for handle in handles.values()] == ["a", "b", "c"]


@step(retries_allowed=True, max_attempts=2, interval_seconds=0)
def always_fail() -> None:
    executed.append("try")
    raise ValueError(f"try {len(executed)}")


@pytest.mark.django_db(transaction=True)
def test_a_started_step_runs_in_a_temporary_workflow_of_its_own() -> None:
    """48. Named after the step, which is its only step."""
    handle = start_workflow(wrapped_part)
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == "part"
        failing = start_workflow(always_fail)
        with pytest.raises(MaxStepRetriesExceeded) as raised:
            failing.get_result(timeout=60)
    assert [str(error) for error in raised.value.errors] == ["try 2", "try 3"]
    found = row(handle.workflow_id)
    assert (found["name"], found["status"]) == ("<temp>.wrapped_part", Status.SUCCESS)
    steps = Workflow.objects.get(workflow_id=handle.workflow_id).steps
    assert list(steps.values_list("position", "name")) == [(1, "wrapped_part")]


@pytest.mark.django_db(transaction=True)
def test_a_temporary_workflow_recovers_like_any_other() -> None:
    """48. A step that was handed back while it ran is run by the next worker."""
    gates["slow"] = threading.Event()
    gates["slow reached"] = threading.Event()
    handle = start_workflow(slow_step)
    with Worker(threads=1) as first:
        assert gates["slow reached"].wait(60)
        assert first.stop(grace=0) == 1
    gates["slow reached"].clear()
    with Worker(threads=1):
        assert gates["slow reached"].wait(60)
        gates["slow"].set()
        assert handle.get_result(timeout=60) == "slow"
    assert row(handle.workflow_id)["attempt"] >= 3
    wait_until(lambda: not any(t.name.startswith("durable-run") for t in threading.enumerate()))


@step
def slow_step() -> str:
    gates["slow reached"].set()
    assert gates["slow"].wait(60)
    return "slow"


@pytest.mark.django_db
def test_steps_and_workflows_also_run_within_a_plain_test_case() -> None:
    """10. Nothing is registered or left behind: the run belongs to the test's transaction."""
    assert sum_of_three(1, 2, 3) == 6
    assert not WorkerRow.objects.exists()
    assert Workflow.objects.get().status == Status.SUCCESS


def test_handles_of_one_run_are_equal_and_tell_whether_it_has_ended(worker: Worker) -> None:
    """298. Equal by the run's id, so that a set of them is one of runs."""
    handle = start_workflow(take_anything, 4)
    same = retrieve_workflow(handle.workflow_id)
    assert {handle} == {same}
    assert same != start_workflow(take_anything, 4)
    handle.get_result(timeout=30)
    assert same.get_status().is_finished
