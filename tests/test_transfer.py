"""A run leaves the database as JSON and comes back with every field, or not at all."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models, transaction

from durable_app import (
    InvalidOptionError,
    NonExistentWorkflowError,
    QueueDeduplicatedError,
    SetEnqueueOptions,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    WorkflowIDInUseError,
    aexport_workflow,
    aimport_workflow,
    cancel_workflow,
    close_stream,
    delete_workflow,
    delete_workflows,
    enqueue,
    export_workflow,
    gather,
    get_all_events,
    get_result,
    import_workflow,
    list_workflow_steps,
    list_workflows,
    recv,
    retrieve_workflow,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    workflow,
    write_stream,
)
from durable_app.models import Approval, Status, Workflow
from durable_app.store import transfer
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, step_names, wait_for_status

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran_yet() -> None:
    ran.clear()


@step
def note(what: str) -> str:
    ran.append(what)
    return what


@workflow(name="transfer.leaf")
def leaf(what: Any) -> Any:
    return note(what)


@workflow(name="transfer.fails")
def fails() -> None:
    raise ValueError("no")


@workflow(name="transfer.rich")
def rich(topic: str) -> list[Any]:
    """Leave something in every table."""
    note("first")
    set_event("key", ("one", 1))
    set_event("key", "two")
    write_stream("stream", {"a": 1})
    write_stream("stream", b"two")
    close_stream("stream")
    message = recv(topic, 60)
    gather(lambda: note("left"), lambda: note("right"))
    child = start_workflow(leaf, "child").get_result()
    try:
        fails()
    except ValueError as error:
        return [message, child, str(error)]
    return []


@workflow(name="transfer.two_notes")
def two_notes() -> None:
    note("one")
    note("two")


@workflow(name="transfer.sleeps")
def sleeps() -> str:
    note("before")
    sleep(3600)
    return "slept"


@workflow(name="transfer.waits_for")
def waits_for(other: str) -> Any:
    note("before")
    return get_result(other)


@workflow(name="transfer.moves")
def moves(name: str) -> list[str]:
    exported = export_workflow(name)
    delete_workflow(name)
    return import_workflow(exported)


@workflow(name="transfer.amoves")
async def amoves(name: str) -> list[str]:
    exported = await aexport_workflow(name)
    for run in exported["runs"]:
        run["workflow"]["workflow_id"] += "-copy"
    return await aimport_workflow(exported)


def tables() -> dict[str, list[dict[str, Any]]]:
    """Return all rows about runs, but for their own numbers."""
    found = {}
    parts: list[tuple[Any, str]] = [(Workflow, ""), *transfer.PARTS.values()]
    for model, owner in parts:
        rows = []
        for row in model._base_manager.order_by("pk").values():
            if owner:
                row[owner] = Workflow.objects.get(pk=row[owner]).workflow_id
            row.pop("id", None)
            row.pop("pk", None)
            rows.append(row)
        found[model.__name__] = sorted(rows, key=repr)
    return found


@pytest.fixture
def rich_run(transactional_db: None) -> None:
    with (
        SetWorkflowID("rich"),
        SetWorkflowAttributes({"é": [1, None]}),
        SetWorkflowTimeout(timedelta(days=3, microseconds=7)),
        SetEnqueueOptions(priority=3, deduplication_id="dedup"),
    ):
        handle = enqueue("default", rich, "topic")
    for number in range(3):
        send("rich", number, "topic", idempotency_key=str(number))
    send("rich", "unread", "other")
    with Worker(threads=3):
        assert handle.get_result(timeout=60) == [0, "child", "no"]
    run = Workflow.objects.get(workflow_id="rich")
    Workflow.objects.filter(pk=run.pk).update(user="ann", roles=["a"], assumed_role="a", worker=None)
    Approval.objects.create(workflow=run, position=99, title="?", context={"a": 1}, created_at=run.created_at)


@pytest.mark.usefixtures("rich_run")
def test_every_field_comes_back() -> None:
    """270. Status, steps, events, history, streams, messages, children: exported, deleted, imported."""
    before = tables()
    assert [len(before[name]) for name in ("Workflow", "Message", "StreamEntry", "Event")] == [3, 4, 3, 1]
    exported = export_workflow("rich", export_children=True)
    delete_workflow("rich", delete_children=True)
    assert not any(tables().values())
    assert import_workflow(json.loads(json.dumps(exported))) == ["rich", *child_ids()]
    assert tables() == before
    assert get_result("rich") == [0, "child", "no"]
    assert get_all_events("rich") == {"key": "two"}
    assert [run.workflow_id for run in list_workflows(parent_workflow_id="rich")] == child_ids()


def child_ids() -> list[str]:
    return [one.child_workflow_id for one in list_workflow_steps("rich") if one.name.startswith("transfer.")]  # type: ignore[misc]


@pytest.mark.usefixtures("rich_run")
def test_an_imported_run_replays_its_steps() -> None:
    """270. Nothing runs again that was recorded."""
    exported = export_workflow("rich", export_children=True)
    delete_workflow("rich", delete_children=True)
    import_workflow(exported)
    names, ran_before = step_names("rich"), list(ran)
    execute_again("rich")
    with Worker(threads=1):
        assert retrieve_workflow("rich").get_result(timeout=60) == [0, "child", "no"]
    assert (step_names("rich"), ran) == (names, ran_before)


@pytest.mark.django_db
def test_a_run_alone_is_exported_without_its_children() -> None:
    """270. Unless they are asked for; an unknown run is an error."""
    with SetWorkflowID("one"):
        leaf("x")
    exported = export_workflow("one")
    assert [run["workflow"]["workflow_id"] for run in exported["runs"]] == ["one"]
    assert exported["format"] == "durable_app/1"
    with pytest.raises(NonExistentWorkflowError):
        export_workflow("nobody")


@pytest.mark.usefixtures("rich_run")
def test_an_existing_id_fails_and_nothing_is_imported() -> None:
    """270. The whole family or nothing, also in a transaction of the caller's."""
    exported = export_workflow("rich", export_children=True)
    last = child_ids()[-1]
    delete_workflows(["rich", *child_ids()[:-1]])
    before = tables()
    with pytest.raises(WorkflowIDInUseError) as raised:
        import_workflow(exported)
    assert (raised.value.workflow_id, raised.value.workflow_status) == (last, "ERROR")
    assert tables() == before
    with transaction.atomic():
        with pytest.raises(WorkflowIDInUseError):
            import_workflow(exported)
        delete_workflow(last)
        import_workflow(exported)
    assert get_result("rich") == [0, "child", "no"]


@pytest.mark.django_db
def test_a_deduplication_id_that_is_held_fails() -> None:
    """270, 190. As a start would."""
    with SetWorkflowID("first"), SetEnqueueOptions(deduplication_id="d"):
        enqueue("q", leaf, 1)
    exported = export_workflow("first")
    cancel_workflow("first")
    delete_workflow("first")
    with SetWorkflowID("second"), SetEnqueueOptions(deduplication_id="d"):
        enqueue("q", leaf, 2)
    with pytest.raises(QueueDeduplicatedError) as raised:
        import_workflow(exported)
    assert raised.value.workflow_id == "second"
    assert [run.workflow_id for run in list_workflows()] == ["second"]


@pytest.mark.django_db(transaction=True)
def test_active_runs_go_on_where_they_are_imported(settings: Any) -> None:
    """270. Enqueued, running, sleeping and waiting ones; what they recorded is not done again."""
    settings.DURABLE = {"LEASE": timedelta(seconds=2)}  # the time after which an unknown worker is dead
    for name, run, args in (
        ("enqueued", leaf, ["x"]), ("running", leaf, ["y"]), ("asleep", sleeps, []),
        ("awaited", leaf, ["z"]), ("waiting", waits_for, ["awaited"]),
    ):  # fmt: skip
        with SetWorkflowID(name):
            start_workflow(run, *args)
    Workflow.objects.filter(workflow_id__in=["enqueued", "running", "awaited"]).update(queue_name="later")
    with Worker(threads=2):
        wait_for_status("asleep", "WAITING")
        wait_for_status("waiting", "WAITING")
    Workflow.objects.filter(workflow_id="running").update(status="PENDING", worker_id="gone", attempt=1)
    names = ["enqueued", "running", "asleep", "awaited", "waiting"]
    exported = [export_workflow(name) for name in names]
    slept = Workflow.objects.get(workflow_id="asleep").wake_at
    delete_workflows(names)
    for one in exported:
        import_workflow(one)
    assert Workflow.objects.get(workflow_id="asleep").wake_at == slept
    Workflow.objects.filter(queue_name="later").update(queue_name="default")
    with Worker(threads=2):
        assert retrieve_workflow("enqueued").get_result(timeout=60) == "x"
        assert retrieve_workflow("running").get_result(timeout=60) == "y"
        assert retrieve_workflow("waiting").get_result(timeout=60) == "z"
    assert sorted(ran) == ["before", "before", "x", "y", "z"]
    assert Workflow.objects.get(workflow_id="asleep").status == "WAITING"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("move", [moves, amoves])
def test_moving_in_a_workflow_is_recorded(worker: Worker, move: Any) -> None:
    """264, 270. Each verb is a step."""
    with SetWorkflowID("cargo"):
        leaf("x")
    with SetWorkflowID("m"):
        moved = start_workflow(move, "cargo").get_result(timeout=60)
    assert get_result(moved[0]) == "x"
    names = [name for _, name in step_names("m")]
    assert names == ["durable.exportWorkflow", *(["durable.deleteWorkflow"] if move is moves else []),
                     "durable.importWorkflow"]  # fmt: skip


def first(exported: dict[str, Any], part: str = "workflow") -> Any:
    found = exported["runs"][0][part]
    return found if part == "workflow" else found[0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: e.clear(), "format is 'durable_app/1'"),
        (lambda e: e.update(format="durable_app/2"), "format is 'durable_app/1'"),
        (lambda e: e.update(runs={}), "list of runs"),
        (lambda e: e.update(runs=[None]), "an exported run is an object of workflow, steps"),
        (lambda e: e["runs"][0].pop("steps"), "an exported run is an object"),
        (lambda e: e["runs"][0].update(steps={}), "exported steps are no list"),
        (lambda e: first(e).pop("name"), "an exported Workflow has the columns workflow_id, name"),
        (lambda e: first(e).update(id=1), "has the columns"),
        (lambda e: first(e).update(status="HAPPY"), "status 'HAPPY'"),
        (lambda e: first(e).update(workflow_id=" "), "no run has the id ' '"),
        (lambda e: first(e).update(workflow_id="x" * 256), "cannot be the workflow_id"),
        (lambda e: first(e).update(workflow_id="nul\x00"), "cannot be the workflow_id"),
        (lambda e: first(e).update(name=None), "None cannot be the name"),
        (lambda e: first(e).update(created_at="yesterday"), "'yesterday' cannot be the created_at"),
        (lambda e: first(e).update(created_at="2024-01-01T00:00:00"), "cannot be the created_at"),
        (lambda e: first(e).update(attempt=-1), "-1 cannot be the attempt"),
        (lambda e: first(e).update(priority="high"), "'high' cannot be the priority"),
        (lambda e: first(e).update(timeout="long"), "'long' cannot be the timeout"),
        (lambda e: first(e, "steps").update(position=2), "same row twice"),
        (lambda e: first(e, "steps").update(workflow_id=5), "an exported Step has the columns"),
        (lambda e: e["runs"].append(e["runs"][0]), "same row twice"),
    ],
)
def test_what_is_no_export_is_refused(change: Any, said: str) -> None:
    """270. With what is wrong, and nothing is changed."""
    with SetWorkflowID("two"):
        two_notes()
    exported = export_workflow("two")
    delete_workflow("two")
    before = tables()
    change(exported)
    with pytest.raises(InvalidOptionError, match=said):
        import_workflow(exported)
    assert tables() == before


@pytest.mark.django_db(transaction=True)
def test_hostile_payloads_are_only_text() -> None:
    """270, F75. What an import brings is decoded like any row: by the settings, not by what it says."""
    with SetWorkflowID("h"):
        leaf("x")
    exported = export_workflow("h")
    first(exported).update(output='{"$t":"os.system","v":"true"}', serialization="pickle", workflow_id="i")
    import_workflow(exported)
    with pytest.raises(TypeError, match="'pickle'"):
        get_result("i")
    assert retrieve_workflow("i").get_status().output == '{"$t":"os.system","v":"true"}'


def test_nothing_that_belongs_to_a_run_is_left_behind() -> None:
    """270. A new table with rows of runs must be exported, too."""
    owned = {
        model
        for model in apps.get_app_config("durable_app").get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and field.related_model is Workflow
    }
    assert owned == {model for model, _ in transfer.PARTS.values()}


@pytest.mark.postgres(reason="a snapshot of several statements needs an isolation level there")
@pytest.mark.django_db(transaction=True)
def test_an_export_is_of_one_moment() -> None:
    """270. All its statements see the same state; inside the caller's transaction, the caller's."""
    with SetWorkflowID("s"):
        leaf("x")
    levels = []
    original = connection.execute_wrapper

    def note_level(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "ISOLATION" in sql:
            levels.append(sql)
        return execute(sql, params, many, context)

    with original(note_level):
        export_workflow("s")
        assert levels == ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"]
        with transaction.atomic():
            export_workflow("s")
    assert len(levels) == 1
    assert Workflow.objects.get().status == Status.SUCCESS


@pytest.mark.django_db(transaction=True)
def test_news_that_came_while_a_run_was_away_is_found() -> None:
    """270, 136. What it waits for ended between its export and its import: it looks at once."""
    with SetWorkflowID("awaited"):
        start_workflow(leaf, "x")
    Workflow.objects.filter(workflow_id="awaited").update(queue_name="later")
    with SetWorkflowID("waiting"):
        start_workflow(waits_for, "awaited")
    with Worker(threads=1):
        wait_for_status("waiting", "WAITING")
        exported = export_workflow("waiting")
        delete_workflow("waiting")
        Workflow.objects.filter(workflow_id="awaited").update(queue_name="default")
        assert retrieve_workflow("awaited").get_result(timeout=60) == "x"
        import_workflow(exported)
        assert retrieve_workflow("waiting").get_result(timeout=60) == "x"
