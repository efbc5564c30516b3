"""Which serializer writes, and which are read: the settings decide, a row only names its own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from durable_app import (
    Debouncer,
    SerializationError,
    SetWorkflowID,
    close_stream,
    fork_workflow,
    list_workflow_steps,
    read_stream,
    retrieve_workflow,
    serialization,
    start_workflow,
    step,
    workflow,
    write_stream,
)
from durable_app.models import Status, Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import execute_again


class Upper:
    """A serializer of a project's own."""

    name = "upper"

    def serialize(self, value: Any) -> str:
        return json.dumps(value).upper()

    def deserialize(self, text: str) -> Any:
        return json.loads(text.lower())


class OtherUpper(Upper):
    """Another one under the same name."""


class TooLong(Upper):
    name = "x" * 33


class Nameless(Upper):
    name = ""


class Impostor(Upper):
    name = "json"


class NeedsArgument(Upper):
    def __init__(self, what: str) -> None:
        self.what = what


class Broken:
    """A serializer that makes what no database stores, or nothing at all."""

    name = "broken"

    def serialize(self, value: Any) -> Any:
        if isinstance(value, dict):
            return "fine"  # a run's arguments
        if value == "raise":
            raise RuntimeError("no such luck")
        return {"nul": "a\x00b", "surrogate": "\ud800", "bytes": b"bytes"}[value]

    def deserialize(self, text: str) -> Any:
        return {"args": [text], "kwargs": {}}


def path_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


@pytest.fixture(autouse=True)
def only_the_settings_count() -> Iterator[None]:
    yield
    serialization.substitute(None)


@step
def give(value: Any) -> Any:
    return value


@workflow(name="serializers.echo")
def echo(value: Any) -> Any:
    return value


@workflow(name="serializers.through_a_step")
def through_a_step(value: Any) -> Any:
    return give(value)


@pytest.mark.django_db(transaction=True)
def test_a_serializer_of_the_projects_own(settings: Any) -> None:
    """271. By dotted path; each row names it; listings show what it reads."""
    settings.DURABLE = {"SERIALIZER": path_of(Upper)}
    with SetWorkflowID("u"):
        handle = start_workflow(through_a_step, "Tea")
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == "tea"
    row = Workflow.objects.get()
    assert (row.serialization, row.output) == ("upper", '"TEA"')
    assert row.inputs == '{"ARGS": ["TEA"], "KWARGS": {}}'
    assert [one.output for one in list_workflow_steps("u")] == ["tea"]
    assert handle.get_status().input == {"args": ["tea"], "kwargs": {}}


@pytest.mark.django_db(transaction=True)
def test_data_of_another_serializer_stays_readable_if_it_is_allowed(settings: Any) -> None:
    """271. A project that changes its serializer still finishes, replays and shows what it has."""
    settings.DURABLE = {"SERIALIZER": path_of(Upper)}
    with SetWorkflowID("old"):
        assert through_a_step("tea") == "tea"
    with SetWorkflowID("waiting"):
        waiting = start_workflow(echo, "tea")
    settings.DURABLE = {"ALLOWED_SERIALIZERS": [path_of(Upper)]}
    execute_again("old")
    with Worker(threads=1):
        assert retrieve_workflow("old").get_result(timeout=60) == "tea"
        assert waiting.get_result(timeout=60) == "tea"
        assert start_workflow(echo, "Tea").get_result(timeout=60) == "Tea"
    assert Workflow.objects.get(workflow_id="waiting").output == '"TEA"'


@pytest.mark.django_db(transaction=True)
def test_data_of_another_serializer_is_a_clear_error_otherwise(settings: Any) -> None:
    """260, 271. A TypeError that names it; listings show the raw text; other runs go on."""
    settings.DURABLE = {"SERIALIZER": path_of(Upper)}
    with SetWorkflowID("old"):
        echo("tea")
    with SetWorkflowID("waiting"):
        waiting = start_workflow(echo, "tea")
    settings.DURABLE = {}
    with pytest.raises(
        TypeError, match=r"'upper', which is not enabled here: DURABLE\['ALLOWED_SERIALIZERS'\]"
    ):
        retrieve_workflow("old").get_result()
    assert retrieve_workflow("old").get_status().output == '"TEA"'
    with Worker(threads=1):
        with pytest.raises(SerializationError, match="'upper'"):
            waiting.get_result(timeout=60)
        assert start_workflow(echo, 1).get_result(timeout=60) == 1
    assert waiting.get_status().status == Status.ERROR


@pytest.mark.django_db(transaction=True)
def test_a_project_may_change_to_pickle_while_runs_wait(settings: Any) -> None:
    """271. A run is written to its end in the format that its row names; new ones in the new."""
    with SetWorkflowID("old"):
        old = start_workflow(through_a_step, (1, 2))
    settings.DURABLE = {"SERIALIZER": "pickle"}
    with SetWorkflowID("new"):
        new = start_workflow(through_a_step, {1: complex(1, 2)})
    with Worker(threads=1):
        assert old.get_result(timeout=60) == (1, 2)
        assert new.get_result(timeout=60) == {1: complex(1, 2)}
    rows = dict(Workflow.objects.values_list("workflow_id", "serialization"))
    assert rows == {"old": "json", "new": "pickle"}


@pytest.mark.django_db(transaction=True)
def test_signed_arguments_that_a_debounce_replaces_are_genuine(settings: Any) -> None:
    """212, 271. The last call's arguments are signed anew for the run that waits."""
    settings.DURABLE = {"SERIALIZER": "pickle"}
    debouncer = Debouncer(echo)
    first = debouncer.debounce("key", 0.3, {1})
    second = debouncer.debounce("key", 0.3, {2})
    assert first.workflow_id == second.workflow_id
    with Worker(threads=1):
        assert first.get_result(timeout=60) == {2}


@pytest.mark.django_db(transaction=True)
def test_signed_streams_are_read_outside_inside_and_in_a_fork(settings: Any) -> None:
    """167, 271. Each value is signed for its stream; a fork signs its copy anew."""
    settings.DURABLE = {"SERIALIZER": "pickle"}
    with SetWorkflowID("s"):
        start_workflow(writes_stream)
    with Worker(threads=2):
        assert retrieve_workflow("s").get_result(timeout=60) is None
        assert list(read_stream("s", "key")) == [{1}, {2}]
        with SetWorkflowID("reader"):
            assert start_workflow(reads_stream, "s").get_result(timeout=60) == [{1}, {2}]
        execute_again("reader")
        assert retrieve_workflow("reader").get_result(timeout=60) == [{1}, {2}]
        with SetWorkflowID("f"):
            fork_workflow("s", 99)
        retrieve_workflow("f").get_result(timeout=60)
        assert list(read_stream("f", "key")) == [{1}, {2}]


@workflow(name="serializers.writes_stream")
def writes_stream() -> None:
    for number in (1, 2):
        write_stream("key", {number})
    close_stream("key")


@workflow(name="serializers.reads_stream")
def reads_stream(other: str) -> list[Any]:
    return list(read_stream(other, "key"))


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["nul", "surrogate", "bytes", "raise"])
def test_a_broken_serializer_is_refused_at_the_call(settings: Any, value: str) -> None:
    """16, 271. What it makes must be text that databases store."""
    settings.DURABLE = {"SERIALIZER": path_of(Broken)}
    with SetWorkflowID("b"), pytest.raises(SerializationError, match="'broken'"):
        through_a_step(value)
    assert Step.objects.get().error is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"SERIALIZER": "jason"}, "'jason' is no serializer"),
        ({"SERIALIZER": "tests.nowhere.Upper"}, "'tests.nowhere.Upper' is no serializer"),
        ({"SERIALIZER": path_of(NeedsArgument)}, "dotted path of a class without arguments"),
        ({"SERIALIZER": path_of(TooLong)}, "needs a `name` of 1 to 32 characters"),
        ({"SERIALIZER": path_of(Nameless)}, "needs a `name`"),
        ({"SERIALIZER": path_of(Impostor)}, "none of json, portable_json, pickle"),
        ({"ALLOWED_SERIALIZERS": ["tests.nowhere.Upper"]}, "is no serializer"),
        (
            {"SERIALIZER": path_of(Upper), "ALLOWED_SERIALIZERS": [path_of(OtherUpper)]},
            "Two serializers are named 'upper'",
        ),
        ({"SERIALIZER": 5}, "must be a str"),
        ({"ALLOWED_SERIALIZERS": "pickle"}, "must be a tuple"),
    ],
)
def test_a_wrong_serializer_is_found_before_anything_runs(settings: Any, given: Any, said: str) -> None:
    """271. By `manage.py check`, and by the first use."""
    settings.DURABLE = given
    messages = [one.msg for one in run_checks(tags=["durable_app"]) if one.id == "durable.E008"]
    assert len(messages) == 1
    assert said in messages[0]
    with pytest.raises(ImproperlyConfigured):
        serialization.check()


def test_enabled_pickle_is_worth_a_warning(settings: Any) -> None:
    """271. W011, whether it writes or is only read."""
    for given in ({"SERIALIZER": "pickle"}, {"ALLOWED_SERIALIZERS": ["pickle"]}):
        settings.DURABLE = given
        assert "durable.W011" in [one.id for one in run_checks(tags=["durable_app"])]
    settings.DURABLE = {}
    assert "durable.W011" not in [one.id for one in run_checks(tags=["durable_app"])]


@pytest.mark.django_db
def test_a_program_may_put_a_serializer_in_the_settings_place() -> None:
    """271. For configurations in code; its data is readable as long as it stands."""
    serialization.substitute(Upper())
    with SetWorkflowID("s"):
        assert echo("tea") == "tea"
    assert Workflow.objects.get().serialization == "upper"
    serialization.substitute(None)
    with pytest.raises(SerializationError):
        retrieve_workflow("s").get_result()
    with pytest.raises(ImproperlyConfigured):
        serialization.substitute(Nameless())
    serialization.substitute(None)
