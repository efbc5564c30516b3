"""Bad input: a clear error at the call, and nothing half-written behind it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.db import connection, transaction

import durable_app
from durable_app import (
    DurableError,
    InvalidOptionError,
    InvalidWorkflowIDError,
    NonExistentWorkflowError,
    NotAllowedInStepError,
    PayloadTooLargeError,
    ResultTimeoutError,
    SerializationError,
    SetWorkflowAttributes,
    SetWorkflowID,
    SetWorkflowTimeout,
    SynchronousCallError,
    WorkflowFunctionNotFoundError,
    WorkflowHandle,
    arun_step,
    get_event,
    list_workflows,
    recv,
    retrieve_workflow,
    run_step,
    send,
    set_event,
    sleep,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Workflow
from tests.shop.models import Effect
from tests.shop.workflows import add, sum_of_three

pytestmark = pytest.mark.django_db

BAD_IDS = ["", "  ", "\n", None, 5, b"id", "x" * 256, "a\x00b", "\ud800"]


@workflow
def swallow(*args: Any, **kwargs: Any) -> Any:
    Effect.objects.create(workflow_id="", step="ran")
    return kwargs.get("give", args)


@workflow
async def aswallow(*args: Any, **kwargs: Any) -> Any:
    await Effect.objects.acreate(workflow_id="", step="ran")
    return args


@step
def call_in_step(verb: str) -> Any:
    return VERBS[verb]()


@workflow
def use_in_step(verb: str) -> Any:
    return call_in_step(verb)


@workflow
def use(verb: str) -> Any:
    return VERBS[verb]()


VERBS: dict[str, Callable[[], Any]] = {
    "call": lambda: sum_of_three(1, 2, 3),
    "start": lambda: start_workflow(sum_of_three, 1, 2, 3),
    "start a step": lambda: start_workflow(add, 1, 2),
    "handle": lambda: sum_of_three.start(1, 2, 3),
    "sleep": lambda: sleep(1),
    "recv": lambda: recv(timeout_seconds=0),
    "gather": lambda: durable_app.gather(lambda: 1),
    "child of a long id": lambda: start_workflow(sum_of_three, 1, 2, 3),
    "long event": lambda: set_event("k" * 256, 1),
    "event with NUL": lambda: set_event("a\x00b", 1),
    "numbered event": lambda: set_event(5, 1),  # type: ignore[arg-type]
    "long topic": lambda: recv("t" * 256, 0),
    "text as a span": lambda: sleep("1"),  # type: ignore[arg-type]
    "no number": lambda: sleep(float("nan")),
    "truth": lambda: sleep(True),
    "negative spans": lambda: [sleep(span) for span in (-5, timedelta(days=-1))] and recv(None, -5),  # type: ignore[func-returns-value]
    "text as a timeout": lambda: recv(None, "1"),  # type: ignore[arg-type]
}


def rows() -> dict[str, int]:
    """Count the rows of every table of the engine and of the tests."""
    models: list[Any] = [*apps.get_app_config("durable_app").get_models(), Effect]
    return {model.__name__: model._base_manager.count() for model in models}


@contextmanager
def refused(error: type[BaseException], match: str | None = None) -> Iterator[None]:
    """Expect an error, no new row anywhere, and a transaction that goes on."""
    before = rows()
    with pytest.raises(error, match=match):
        yield
    assert rows() == before


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_workflow_id_is_a_text_of_1_to_255_characters(bad):
    """17. Empty, blank, over-long and unstorable ids are refused when they are given."""
    with refused(InvalidWorkflowIDError, "workflow ID"), SetWorkflowID(bad):
        sum_of_three(1, 2, 3)


def test_an_id_of_255_characters_is_used_whole_and_its_childs_would_be_too_long():
    """17, 30. The longest id works; the id derived for a child is checked as well."""
    longest = "ä" * 255
    with SetWorkflowID(longest):
        assert sum_of_three(1, 2, 3) == 6
    assert retrieve_workflow(longest).get_result(timeout=0) == 6
    with SetWorkflowID("x" * 255), pytest.raises(InvalidWorkflowIDError, match="255 characters"):
        use("child of a long id")
    assert Workflow.objects.count() == 2


LOOKUPS: dict[str, Callable[[Any], Any]] = {
    "retrieve": retrieve_workflow,
    "handle": lambda name: WorkflowHandle(name).get_status(),
    "result": lambda name: durable_app.get_result(name, timeout=60),
    "send": lambda name: send(name, "hello"),
    "fork": lambda name: durable_app.fork_workflow(name, 1),
    "rewind": durable_app.rewind_workflow,
    "resume": durable_app.resume_workflow,
}

QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "event": lambda name: get_event(name, "key", 0),
    "events": durable_app.get_all_events,
    "status": durable_app.get_workflow_status,
    "steps": durable_app.list_workflow_steps,
    "cancel": durable_app.cancel_workflow,
    "delete": durable_app.delete_workflow,
}


@pytest.mark.parametrize("verb", LOOKUPS)
def test_a_run_that_does_not_exist_is_named(verb):
    """140, 263. The error has the id, and the caller's transaction goes on."""
    with refused(NonExistentWorkflowError, "'nobody'"):
        LOOKUPS[verb]("nobody")


@pytest.mark.parametrize("verb", QUESTIONS)
def test_questions_about_a_run_that_does_not_exist_have_an_empty_answer(verb):
    """155, 257. Nothing is found, nothing done, and nothing raised."""
    before = rows()
    assert not QUESTIONS[verb]("nobody")
    assert rows() == before


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("verb", [*LOOKUPS, *QUESTIONS])
def test_what_can_be_no_id_is_refused_before_the_database_is_asked(verb, bad):
    """17. NUL and lone surrogates, which PostgreSQL would call an encoding error, and all the others."""
    with refused(InvalidWorkflowIDError, "workflow ID"):
        {**LOOKUPS, **QUESTIONS}[verb](bad)


CALLERS: dict[str, Callable[..., Any]] = {
    "call": swallow,
    "start": lambda *args, **kwargs: start_workflow(swallow, *args, **kwargs),
    "acall": lambda *args, **kwargs: awaited(aswallow, *args, **kwargs),
    "astart": lambda *args, **kwargs: awaited(durable_app.astart_workflow, aswallow, *args, **kwargs),
}


def awaited(function: Any, *args: Any, **kwargs: Any) -> Any:
    async def call() -> Any:
        return await function(*args, **kwargs)

    return async_to_sync(call)()


@pytest.mark.parametrize("caller", list(CALLERS))
@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ([object()], {}, r"builtins.object at \$\.args\[0\]"),
        ([1, {"a": [1, {"b": object()}]}], {}, r"\$\.args\[1\]\.a\[1\]\.b"),
        ([], {"order": {1: "x"}}, r"the key 1 at \$\.kwargs\.order is not a string"),
        ([float("nan")], {}, r"nan at \$\.args\[0\]"),
        ([Effect(step="new")], {}, r"unsaved Effect at \$\.args\[0\]"),
        ([lambda: 1], {}, r"builtins.function at \$\.args\[0\]"),
    ],
)
def test_inputs_that_cannot_be_stored_are_refused_with_their_path(caller, args, kwargs, path):
    """16. Before there is a row, and before the body runs."""
    with refused(SerializationError, rf"the inputs of workflow '\w+' cannot be stored: .*{path}"):
        CALLERS[caller](*args, **kwargs)


@pytest.mark.parametrize("caller", list(CALLERS))
@pytest.mark.parametrize("limit", [1_000, 100_000])
def test_too_large_inputs_are_refused_with_their_size(caller, limit, settings):
    """271. The limit is the setting's, small or large; the error says both numbers."""
    settings.DURABLE = {"MAX_PAYLOAD": limit}
    with refused(PayloadTooLargeError, rf"\d+ bytes, and DURABLE\['MAX_PAYLOAD'\] is {limit}"):
        CALLERS[caller]("x" * limit)


def test_a_result_that_cannot_be_stored_leaves_one_run_in_error():
    """15. The caller gets the path; the run is ERROR, with the same sentence."""
    with pytest.raises(SerializationError, match=r"builtins.module at \$\.deep\[0\]") as caught:
        swallow.func = lambda **kwargs: {"deep": [asyncio]}
        swallow()
    run = Workflow.objects.get()
    assert (run.status, run.output) == ("ERROR", None)
    assert str(caught.value) in str(durable_app.list_workflows()[0].error)


@pytest.mark.parametrize("thing", [len, lambda: 1, "sum_of_three", None, sum_of_three.func, Effect])
def test_what_is_not_a_workflow_cannot_be_started(thing):
    """28. The error says what to do; the async twin says the same."""
    with refused(WorkflowFunctionNotFoundError, "is not a workflow: decorate it with @workflow"):
        start_workflow(thing)
    with refused(WorkflowFunctionNotFoundError, "is not a workflow"):
        awaited(durable_app.astart_workflow, thing)


@pytest.mark.parametrize("verb", ["call", "start", "start a step", "handle", "sleep", "recv", "gather"])
def test_a_step_starts_no_workflow_and_waits_for_nothing(verb):
    """47. What records a step of its own is refused inside a step, and says where to move it."""
    with pytest.raises(NotAllowedInStepError, match="inside the step 'call_in_step': move it into"):
        use_in_step(verb)
    assert [(run.name, run.status) for run in Workflow.objects.all()] == [("use_in_step", "ERROR")]
    assert [found.name for found in durable_app.list_workflow_steps(Workflow.objects.get().workflow_id)] == [
        "call_in_step"
    ]


@pytest.mark.parametrize(
    "verb",
    [
        "long event",
        "event with NUL",
        "numbered event",
        "long topic",
        "text as a span",
        "no number",
        "truth",
        "text as a timeout",
    ],
)
def test_an_argument_out_of_range_records_no_step(verb):
    """133, 148, 153. The workflow gets InvalidOptionError; nothing is recorded of the attempt."""
    with pytest.raises(InvalidOptionError):
        use(verb)
    assert durable_app.list_workflow_steps(Workflow.objects.get().workflow_id) == []


@pytest.mark.parametrize("field", ["topic", "idempotency_key"])
@pytest.mark.parametrize("bad", ["x" * 256, "a\x00b", "\ud800", 5])
def test_a_message_has_a_topic_and_a_key_that_can_be_stored(field, bad):
    """139, 143. The same error on both databases, before anything is written."""
    handle = start_workflow(sum_of_three, 1, 2, 3)
    with refused(InvalidOptionError, "text of at most 255 characters"):
        send(handle.workflow_id, "hello", **{field: bad})


@pytest.mark.parametrize("bad", [0, -1, timedelta(0), timedelta(seconds=-1), float("nan"), "1", True])
def test_a_workflow_timeout_is_above_zero(bad):
    """133. Refused where it is said, before a run exists."""
    with refused(InvalidOptionError, "a workflow timeout must be"), SetWorkflowTimeout(bad):
        sum_of_three(1, 2, 3)


def test_a_negative_wait_is_over_at_once():
    """137, 155. A timeout below zero looks once and never waits; the sleep is no step."""
    handle = start_workflow(sum_of_three, 1, 2, 3)
    assert get_event(handle.workflow_id, "key", -5) is None
    with pytest.raises(ResultTimeoutError):
        handle.get_result(timeout=-5)

    def waits() -> object:
        sleep(-5)
        return recv(None, -5)

    VERBS["negative"] = waits
    with SetWorkflowID("negative"):
        assert use("negative") is None
    assert [found.name for found in durable_app.list_workflow_steps("negative")] == ["durable.recv"]


@pytest.mark.parametrize(
    ("call", "twin"),
    [
        (lambda: sum_of_three(1, 2, 3), "sum_of_three.acall"),
        (lambda: start_workflow(sum_of_three, 1, 2, 3), "astart_workflow"),
        (lambda: run_step(None, len, "abc"), "arun_step"),
        (lambda: send("nobody", 1), "asend"),
    ],
)
def test_a_blocking_call_on_an_event_loop_writes_nothing(call, twin):
    """65. The error names what to await instead."""

    async def main() -> None:
        call()

    with refused(SynchronousCallError, f"use `await .*{twin}"):
        asyncio.run(main())


def test_an_awaitable_without_an_event_loop_is_refused():
    """65. arun_step() where no loop runs says so, instead of returning what nobody awaits."""
    with refused(RuntimeError, "run_step"):
        arun_step(None, len, "abc")


@pytest.mark.parametrize("bad", [["a"], "text", {"a": object()}, {"a": float("nan")}, {"a": {1, 2}}])
def test_attributes_are_a_json_object(bad):
    """266. Anything else is refused before there is a row."""
    with refused(SerializationError, "attributes"), SetWorkflowAttributes(bad):
        start_workflow(sum_of_three, 1, 2, 3)


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"colour": "red"}, "unknown filter 'colour'"),
        ({"limit": -1}, "limit"),
        ({"offset": -1}, "offset"),
        ({"name": "a\x00b"}, "name"),
        ({"workflow_ids": ["good", "\ud800"]}, "workflow_ids"),
        ({"workflow_id_prefix": "\ud800"}, "workflow_id_prefix"),
    ],
)
def test_a_listing_refuses_what_it_does_not_know(filters, named):
    """257. The error names the filter, and the ones there are."""
    with refused(InvalidOptionError, named):
        list_workflows(**filters)


def test_a_refused_call_leaves_the_callers_transaction_usable():
    """177. After each error the caller's atomic() goes on, and commits what it wrote itself."""
    with transaction.atomic():
        Effect.objects.create(workflow_id="", step="mine")
        for attempt in (
            lambda: send("nobody", "hello"),
            lambda: start_workflow(swallow, object()),
            lambda: start_workflow(len),  # type: ignore[call-overload]
        ):
            with pytest.raises(DurableError):
                attempt()
        assert not connection.needs_rollback
        start_workflow(sum_of_three, 1, 2, 3)
    assert Effect.objects.get().step == "mine"
    assert Workflow.objects.count() == 1


def test_nonexistent_runs_are_named_in_the_error():
    """263. The id is an attribute, too."""
    with pytest.raises(NonExistentWorkflowError, match="'nobody'") as caught:
        retrieve_workflow("nobody")
    assert caught.value.workflow_id == "nobody"
