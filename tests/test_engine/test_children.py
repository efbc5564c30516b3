"""A workflow that calls or starts another one: identity, recorded steps, replay."""

import threading
from collections.abc import Iterator

import pytest

from durable_app import (
    ConflictingWorkflowError,
    NotAllowedInStepError,
    SetWorkflowID,
    StepNondeterminismError,
    WorkflowHandle,
    fork_workflow,
    get_result,
    list_workflow_steps,
    list_workflows,
    rewind_workflow,
    start_workflow,
    step,
    workflow,
    workflow_id,
)
from durable_app.models import Step, Workflow
from durable_app.store import notify
from durable_app.worker.worker import Worker
from tests.helpers import Crash, crash, in_thread, status, step_names, wait_for_status, wait_until

calls: list[str] = []
dies = threading.Event()
gate = threading.Event()


@pytest.fixture(autouse=True)
def nothing_happened_yet() -> Iterator[None]:
    calls.clear()
    dies.clear()
    gate.clear()
    yield
    gate.set()


@step
def note(what: str) -> str:
    calls.append(what)
    return what


@step
def pass_the_gate() -> None:
    assert gate.wait(60)


@step
def maybe_die() -> None:
    if dies.is_set():
        dies.clear()
        raise Crash


@workflow
def child(what: str = "child") -> str:
    return note(what).upper()


@workflow
def failing_child() -> None:
    raise ValueError("no luck")


@workflow
def gated_child() -> str:
    pass_the_gate()
    return "through"


@workflow
def caller() -> list[str]:
    return [note("before"), child("a"), child("b")]


@workflow
def starter() -> list[str]:
    first = start_workflow(child, "a")
    second = start_workflow(child, "b")
    return [first.workflow_id, second.workflow_id, second.get_result(), first.get_result()]


@workflow
def starts_and_dies() -> str:
    handle = start_workflow(child, "once")
    maybe_die()
    return handle.get_result()


@workflow
def calls_and_dies() -> str:
    result = child("once")
    maybe_die()
    return result


@workflow
def starts_gated() -> str:
    return start_workflow(gated_child).get_result()


@workflow
def survives_its_child() -> str:
    try:
        failing_child()
    except ValueError as error:
        return f"child said {error}"
    return "nothing said"


@workflow
def calls_one_id_twice() -> list[str]:
    results = []
    for what in ("first", "second"):
        with SetWorkflowID("chosen"):
            results.append(child(what))
    return results


@workflow
def asks_for_status() -> str:
    return start_workflow(child).get_status().status


@pytest.mark.django_db
def test_children_are_named_after_the_parent_and_the_step() -> None:
    """30, 293. A child's id is `<parent>-<step>`; a direct call takes two steps."""
    with SetWorkflowID("p"):
        assert caller() == ["before", "A", "B"]
    assert [row.workflow_id for row in list_workflows(parent_workflow_id="p")] == ["p-2", "p-4"]


@pytest.mark.django_db(transaction=True)
def test_started_children_take_one_step_to_start_and_one_to_await(worker: Worker) -> None:
    """30, 32, 293. Starting a child takes one step, awaiting it another, in the order of the code."""
    with SetWorkflowID("p"):
        assert starter() == ["p-1", "p-2", "B", "A"]
    steps = list_workflow_steps("p")
    assert [(s.step_id, s.name, s.child_workflow_id, s.output, s.error) for s in steps] == [
        (1, "child", "p-1", None, None),
        (2, "child", "p-2", None, None),
        (3, "durable.getResult", "p-2", "B", None),
        (4, "durable.getResult", "p-1", "A", None),
    ]


@pytest.mark.django_db
def test_a_direct_call_records_start_and_result() -> None:
    """32. A direct call of a child records both: its start, and its result."""
    with SetWorkflowID("p"):
        caller()
    steps = list_workflow_steps("p")[1:3]
    assert [(s.step_id, s.name, s.child_workflow_id, s.output, s.error) for s in steps] == [
        (2, "child", "p-2", None, None),
        (3, "durable.getResult", "p-2", "A", None),
    ]


@pytest.mark.django_db
def test_a_child_knows_its_parent_and_can_be_found_by_it() -> None:
    """31. The child's row names its parent; both filters find it."""
    with SetWorkflowID("p"):
        caller()
    assert [row.parent_workflow_id for row in list_workflows(workflow_ids=["p", "p-2"])] == [None, "p"]
    assert {row.workflow_id for row in list_workflows(has_parent=True)} == {"p-2", "p-4"}
    assert {row.workflow_id for row in list_workflows(has_parent=False)} == {"p"}
    assert list_workflows(parent_workflow_id="p-2") == []


@pytest.mark.django_db(transaction=True)
def test_the_launch_ends_before_the_child_does_and_the_result_spans_the_wait(worker: Worker) -> None:
    """33. The launch row spans only the launch, the result's row the wait for the child."""
    with SetWorkflowID("p"):
        running = in_thread(starts_gated)
    wait_until(lambda: "result:p-1" in notify.bulletin._waiting, what="the parent to wait")
    gate.set()
    assert running.result(60) == "through"
    launch, result = list_workflow_steps("p")
    passed = list_workflow_steps("p-1")[0]
    assert launch.finished_at <= result.started_at <= passed.finished_at <= result.finished_at


@pytest.mark.django_db(transaction=True)
def test_the_child_and_its_start_are_recorded_together_or_not_at_all() -> None:
    """34. With another child recorded at the step the start fails, and no child row is left."""

    @workflow(name="children.usurped")
    def usurped() -> str:
        Step(
            workflow=Workflow.objects.get(workflow_id="p"),
            position=1,
            name="child",
            output="null",
            child_workflow_id="somebody-else",
            attempt=1,
            started_at="2026-01-01T00:00:00Z",
            finished_at="2026-01-01T00:00:00Z",
        ).save(force_insert=True)
        return start_workflow(child).workflow_id

    with SetWorkflowID("p"), pytest.raises(StepNondeterminismError):
        usurped()
    assert status("p-1") is None
    assert [s.child_workflow_id for s in list_workflow_steps("p")] == ["somebody-else"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("parent", [starts_and_dies, calls_and_dies])
def test_a_recovered_parent_adopts_the_child_it_had_started(parent, worker: Worker) -> None:
    """35, 198. After a crash the parent gets a handle to the recorded child, which ran once."""
    dies.set()
    with SetWorkflowID("p"):
        crash(parent)
    assert get_result("p", timeout=60) == "ONCE"
    assert calls == ["once"]
    assert len(list_workflows(parent_workflow_id="p")) == 1


@pytest.mark.django_db(transaction=True)
def test_a_fork_adopts_the_children_of_the_original(worker: Worker) -> None:
    """35, 114. A replay under another id awaits the recorded children, and starts none."""
    with SetWorkflowID("p"):
        starter()
    forked = fork_workflow("p", start_step=3)
    assert forked.get_result(timeout=60) == ["p-1", "p-2", "B", "A"]
    assert sorted(calls) == ["a", "b"]
    assert list_workflows(parent_workflow_id=forked.workflow_id) == []


@pytest.mark.django_db
def test_a_chosen_id_is_the_childs_and_runs_once() -> None:
    """36. An explicit id is used for the child; a second call with it returns the first's result."""
    assert calls_one_id_twice() == ["FIRST", "FIRST"]
    assert calls == ["first"]
    assert status("chosen") == "SUCCESS"


@pytest.mark.django_db(transaction=True)
def test_a_started_child_waits_in_the_queue() -> None:
    """37. A started child is ENQUEUED until a worker comes; the parent recorded what it saw."""
    with SetWorkflowID("p"):
        assert asks_for_status() == "ENQUEUED"
    assert status("p-1") == "ENQUEUED"
    with Worker(threads=1):
        assert get_result("p-1", timeout=60) == "CHILD"
        rewind_workflow("p", 99)
        assert get_result("p", timeout=60) == "ENQUEUED"


@pytest.mark.django_db
@pytest.mark.parametrize("attempt", [child, lambda: start_workflow(child), lambda: start_workflow(note, "x")])
def test_a_step_cannot_start_workflows(attempt) -> None:
    """38. Calling or starting a workflow, or starting a step, inside a step is refused."""

    @step(name="children.step_that_tries")
    def tries() -> None:
        attempt()

    @workflow(name="children.parent_of_step_that_tries")
    def parent() -> None:
        tries()

    with SetWorkflowID("p"), pytest.raises(NotAllowedInStepError):
        parent()
    assert list_workflows(has_parent=True) == []
    assert calls == []


@pytest.mark.django_db
def test_a_fork_inside_a_step_leaves_the_childs_id_alone() -> None:
    """39. A fork in a step does not consume the SetWorkflowID meant for a child."""
    with SetWorkflowID("original"):
        child()

    @step(name="children.step_that_forks")
    def forks() -> str:
        return fork_workflow("original", 1).workflow_id

    @workflow(name="children.parent_that_forks")
    def parent() -> str:
        with SetWorkflowID("meant-for-the-child"):
            forked = forks()
            child()
        return forked

    forked = parent()
    assert forked not in ("meant-for-the-child", "original")
    found = list_workflows(workflow_ids=["meant-for-the-child"])
    assert [row.forked_from for row in found] == [None]


@pytest.mark.django_db
def test_a_childs_error_is_recorded_with_the_parent_and_can_be_handled() -> None:
    """4, 32. The child's exception is raised in the parent, and is the error of its result step."""
    with SetWorkflowID("p"):
        assert survives_its_child() == "child said no luck"
    launch, result = list_workflow_steps("p")
    assert launch.error is None
    assert isinstance(result.error, ValueError)
    assert status("p-1") == "ERROR"
    assert status("p") == "SUCCESS"


@pytest.mark.django_db(transaction=True)
def test_a_refused_child_is_refused_again_on_replay(worker: Worker) -> None:
    """7, 22. An id that belongs to another function is refused as a recorded step, and so on replay."""
    with SetWorkflowID("taken"):
        caller()

    @workflow(name="children.collides")
    def collides() -> str:
        try:
            with SetWorkflowID("taken"):
                child()
        except ConflictingWorkflowError as error:
            return f"refused: {error.workflow_id}"
        return "accepted"

    with SetWorkflowID("p"):
        assert collides() == "refused: taken"
    assert fork_workflow("p", 99).get_result(timeout=60) == "refused: taken"
    rewind_workflow("p", 99)
    assert get_result("p", timeout=60) == "refused: taken"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["call", "start"])
def test_an_async_parent_has_children_of_both_colours(worker: Worker, verb: str) -> None:
    """30, 32. Async parents call and start async children, and start sync ones, with the same steps."""

    @workflow(name="children.async_child")
    async def async_child(what: str) -> str:
        return f"{await note.acall(what)}!"

    @workflow(name="children.async_parent")
    async def async_parent(how: str) -> list[str]:
        if how == "call":
            return [await async_child("x"), workflow_id() or ""]
        started = await async_child.astart("x")
        sync_one: WorkflowHandle[str] = await child.astart("y")
        return [await started.aget_result(), await sync_one.aget_result()]

    with SetWorkflowID("p"):
        handle = start_workflow(async_parent, verb)
    if verb == "call":
        assert handle.get_result(timeout=60) == ["x!", "p"]
        expected = [(1, "children.async_child"), (2, "durable.getResult")]
    else:
        assert handle.get_result(timeout=60) == ["x!", "Y"]
        expected = [(1, "children.async_child"), (2, "child"), (3, "durable.getResult")]
        expected.append((4, "durable.getResult"))
    assert step_names("p") == expected


@pytest.mark.django_db(transaction=True)
def test_two_parents_may_wait_for_one_child(worker: Worker) -> None:
    """5, 32. Several runs that await the same run all get its result."""

    @workflow(name="children.awaits")
    def awaits(child_id: str) -> str:
        return str(get_result(child_id))

    with SetWorkflowID("shared"):
        start_workflow(gated_child)
    parents = [start_workflow(awaits, "shared") for _ in range(2)]
    for parent in parents:
        wait_for_status(parent.workflow_id, "WAITING")
    gate.set()
    assert [parent.get_result(timeout=60) for parent in parents] == ["through", "through"]
