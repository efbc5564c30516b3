"""Which serializer writes and reads: the settings decide, the row only names; a pickle is loaded only if signed."""

import json
import logging
import pickle
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import Signer

from durable_app import (
    PayloadTooLargeError,
    SendMessage,
    SerializationError,
    SetWorkflowID,
    fork_workflow,
    get_all_events,
    get_event,
    get_workflow_status,
    list_workflow_steps,
    list_workflows,
    recv,
    retrieve_workflow,
    send,
    send_bulk,
    serialization,
    set_event,
    start_workflow,
    step,
    transaction,
    workflow,
)
from durable_app.models import Event, EventHistory, Message, Status, Step, Workflow
from durable_app.serialization import places
from durable_app.worker.worker import Worker
from tests.helpers import execute_again, wait_for_status

PICKLE = {"SERIALIZER": "pickle"}


class Thing:
    """What only pickle can store."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and other.name == self.name

    __hash__ = None  # type: ignore[assignment]


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


loaded: list[str] = []
executed: list[str] = []


def canary(where: str) -> str:
    loaded.append(where)
    return where


class Bomb:
    """Tells when somebody unpickles it."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __reduce__(self) -> Any:
        return canary, (self.where,)


@pytest.fixture(autouse=True)
def nothing_loaded_yet() -> Iterator[None]:
    loaded.clear()
    executed.clear()
    yield
    serialization.substitute(None)


@step
def make(name: str) -> Any:
    executed.append(name)
    return Thing(name)


@transaction
def make_in_transaction(name: str) -> Any:
    executed.append(name)
    return Thing(name)


@transaction(using="other")
def make_elsewhere(name: str) -> Any:
    executed.append(name)
    return Thing(name)


@workflow(name="serializers.child")
def child(given: Thing) -> Thing:
    return Thing(given.name + " of a child")


@workflow(name="serializers.everything")
def everything(given: Thing, *, named: Thing) -> list[Thing]:
    """Let a thing take every way there is."""
    found = [given, named, make("step"), make_in_transaction("transaction"), child(Thing("call"))]
    set_event("key", Thing("event"))
    found.append(get_event(current_id(), "key"))
    found += get_all_events(current_id()).values()
    send(current_id(), Thing("message"), "topic")
    found.append(recv("topic", 0))
    found.append(start_workflow(child, Thing("start")).get_result())
    found.append(list_workflow_steps(current_id(), limit=1)[0].output)
    return found


def current_id() -> str:
    from durable_app import workflow_id  # noqa: PLC0415

    found = workflow_id()
    assert found is not None
    return found


@workflow(name="serializers.echo")
def echo(value: Any) -> Any:
    return value


@workflow(name="serializers.through_a_step")
def through_a_step(value: Any) -> Any:
    return give(value)


@step
def give(value: Any) -> Any:
    executed.append("give")
    return value


NAMES = [
    "given", "named", "step", "transaction", "call of a child", "event", "event", "message", "start of a child",
]  # fmt: skip


# Pickle, by opt-in


@pytest.mark.django_db(transaction=True)
def test_pickled_values_take_every_way(settings: Any) -> None:
    """271. Arguments, results, steps, transactions, events, messages, children: first, replayed and forked."""
    settings.DURABLE = PICKLE
    with SetWorkflowID("p"):
        handle = start_workflow(everything, Thing("given"), named=Thing("named"))
    with Worker(threads=3):
        found = handle.get_result(timeout=60)
        assert [thing.name for thing in found[:-1]] == NAMES
        execute_again("p")
        again = handle.get_result(timeout=60)
        with SetWorkflowID("fork"):
            fork = fork_workflow("p", 99)
        forked = fork.get_result(timeout=60)
    assert again == found
    assert [thing.name for thing in forked[:-1]] == NAMES
    assert executed == ["step", "transaction"]
    assert set(Workflow.objects.values_list("serialization", flat=True)) == {"pickle"}
    assert set(Message.objects.values_list("serialization", flat=True)) == {"pickle"}
    assert set(Event.objects.values_list("serialization", flat=True)) == {"pickle"}
    assert set(EventHistory.objects.values_list("serialization", flat=True)) == {"pickle"}


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_pickled_result_of_a_transaction_elsewhere_is_replayed(settings: Any) -> None:
    """271. The receipt, too, holds what the step returned."""
    settings.DURABLE = PICKLE

    @workflow(name="serializers.elsewhere")
    def elsewhere() -> Any:
        return make_elsewhere("other")

    handle = start_workflow(elsewhere)
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == Thing("other")
        execute_again(handle.workflow_id)
        assert handle.get_result(timeout=60) == Thing("other")
    assert executed == ["other"]


@pytest.mark.django_db(transaction=True)
def test_pickled_messages_reach_forks(settings: Any) -> None:
    """146, 271. A text signed for one inbox is signed anew for each fork's."""
    settings.DURABLE = PICKLE

    @workflow(name="serializers.receives")
    def receives() -> Any:
        return recv("topic", 60)

    with SetWorkflowID("original"):
        original = start_workflow(receives)
    with SetWorkflowID("fork"):
        fork = fork_workflow("original", 1)
    send_bulk([SendMessage("original", Thing("both"), "topic")], send_to_forks=True)
    with Worker(threads=2):
        assert original.get_result(timeout=60) == Thing("both")
        assert fork.get_result(timeout=60) == Thing("both")


@pytest.mark.django_db
def test_without_opt_in_nothing_is_pickled() -> None:
    """271. Tagged JSON is the default, and what it cannot hold is refused at the call."""
    with pytest.raises(SerializationError, match="Thing"):
        start_workflow(echo, Thing("x"))
    assert echo(1) == 1
    assert set(Workflow.objects.values_list("serialization", flat=True)) == {"json"}


@pytest.mark.django_db
def test_what_cannot_be_pickled_or_is_too_large_is_refused_at_the_call(settings: Any) -> None:
    """16, 271. With the same errors as under JSON."""
    settings.DURABLE = {**PICKLE, "MAX_PAYLOAD": 10_000}
    with pytest.raises(SerializationError, match=r"inputs of workflow 'serializers.echo' cannot be pickled"):
        start_workflow(echo, lambda: None)
    with pytest.raises(PayloadTooLargeError):
        start_workflow(echo, "x" * 10_000)
    assert not Workflow.objects.exists()
    with pytest.raises(SerializationError, match="step 'give' cannot be pickled"):
        through_a_step_of_locks()
    assert Step.objects.get().error is not None


@workflow(name="serializers.locks")
def through_a_step_of_locks() -> Any:
    return give(logging.getLogger().handlers.__iter__())


# Hostile rows


def forged(where: str) -> str:
    """Return a pickle as somebody without the key can make it."""
    data = b64encode(pickle.dumps(Bomb(where))).decode()
    return Signer(key="somebody else's", salt="durable_app.pickle").sign(data)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("serialization_of_row", ["pickle", "json", "py_pickle", "portable_json"])
@pytest.mark.parametrize("signed", [True, False])
def test_a_forged_pickle_is_never_loaded(
    settings: Any, enabled: bool, serialization_of_row: str, signed: bool
) -> None:
    """271, F75. In every column, whatever the row claims and the settings say: an error, and the line goes on."""
    settings.DURABLE = PICKLE if enabled else {}
    text = forged("x") if signed else b64encode(pickle.dumps(Bomb("x"))).decode()
    forgery = {"serialization": serialization_of_row}
    with SetWorkflowID("inputs"):
        inputs = start_workflow(echo, 1)
    with SetWorkflowID("steps"):
        assert through_a_step(1) == 1
    with SetWorkflowID("output"):
        assert echo(1) == 1
    with SetWorkflowID("message"):
        message = start_workflow(receive_one)
    send("message", 1)
    with SetWorkflowID("event"):
        publish()
    Workflow.objects.filter(workflow_id="inputs").update(inputs=text, **forgery)
    Workflow.objects.filter(workflow_id="output").update(output=text, **forgery)
    Step.objects.filter(workflow__workflow_id="steps").update(output=text, **forgery)
    Message.objects.update(value=text, **forgery)
    Event.objects.update(value=text, **forgery)
    execute_again("steps")
    with Worker(threads=2):
        for handle in (inputs, message, retrieve_workflow("steps"), retrieve_workflow("output")):
            with pytest.raises(SerializationError):
                handle.get_result(timeout=60)
        with SetWorkflowID("reader"), pytest.raises(SerializationError):
            start_workflow(read_event, "event").get_result(timeout=60)
        assert start_workflow(echo, 5).get_result(timeout=60) == 5
    with pytest.raises(SerializationError):
        get_event("event", "key", 0)
    with pytest.raises(SerializationError):
        get_all_events("event")
    look_at_everything(text)
    assert loaded == []


def look_at_everything(text: str) -> None:
    assert get_workflow_status("inputs").input == text  # type: ignore[union-attr]
    assert get_workflow_status("output").output == text  # type: ignore[union-attr]
    assert [one.output for one in list_workflow_steps("steps")] == [text]
    assert len(list_workflows()) >= 6


@workflow(name="serializers.receive_one")
def receive_one() -> Any:
    return recv(None, 60)


@workflow(name="serializers.publish")
def publish() -> None:
    set_event("key", 1)


@workflow(name="serializers.read_event")
def read_event(workflow_id: str) -> Any:
    return get_event(workflow_id, "key", 0)


@pytest.mark.django_db(transaction=True)
def test_a_genuine_pickle_is_refused_where_it_was_copied_to(settings: Any) -> None:
    """271, F75. The signature covers run, field and position: what is signed for one place is no other's."""
    settings.DURABLE = PICKLE
    for name in ("a", "b"):
        with SetWorkflowID(name):
            assert two_things(name) == [Thing(name + "1"), Thing(name + "2")]
    loaded.clear()
    a1, a2 = (one.output for one in Step.objects.filter(workflow__workflow_id="a").order_by("position"))
    output = Workflow.objects.get(workflow_id="a").output
    copies: list[tuple[Any, dict[str, Any]]] = [
        (Step.objects.filter(workflow__workflow_id="b", position=1), {"output": a1}),  # from another run
        (Step.objects.filter(workflow__workflow_id="b", position=1), {"output": None}),
        (Step.objects.filter(workflow__workflow_id="a", position=1), {"output": a2}),  # another position
        (Step.objects.filter(workflow__workflow_id="a", position=1), {"output": output}),  # another field
        (Workflow.objects.filter(workflow_id="a"), {"inputs": output}),
    ]
    del copies[1]
    with Worker(threads=1):
        for rows, changed in copies:
            before = rows.values().get()
            rows.update(**changed)
            run = rows.values_list(
                "workflow_id" if rows.model is Workflow else "workflow__workflow_id"
            ).get()[0]
            execute_again(run)
            with pytest.raises(SerializationError, match="not signed for where it stands"):
                retrieve_workflow(run).get_result(timeout=60)
            rows.update(**{name: before[name] for name in changed})
            Workflow.objects.filter(workflow_id=run).update(status=Status.SUCCESS, output=output, error=None)
        execute_again("a")
        assert retrieve_workflow("a").get_result(timeout=60) == [Thing("a1"), Thing("a2")]


@workflow(name="serializers.two_things")
def two_things(name: str) -> list[Any]:
    return [make(name + "1"), make(name + "2")]


@pytest.mark.django_db
def test_who_only_looks_unpickles_nothing(settings: Any) -> None:
    """260, F75. A genuine pickle is shown as its text: listings run no code."""
    settings.DURABLE = PICKLE
    with SetWorkflowID("b"):
        through_a_step(Bomb("shown"))
    loaded.clear()
    row = Workflow.objects.get()
    found = get_workflow_status("b")
    assert found is not None
    assert (found.input, found.output) == (row.inputs, row.output)
    assert list_workflows()[0].output == row.output
    assert list_workflow_steps("b")[0].output == Step.objects.get().output
    assert loaded == []
    assert retrieve_workflow("b").get_result() == "shown"
    assert loaded == ["shown"]


@pytest.mark.django_db
def test_pickles_outlive_a_rotated_key(settings: Any) -> None:
    """271. As all that Django signs: while the old key is a fallback, and no longer."""
    settings.DURABLE = PICKLE
    with SetWorkflowID("k"):
        echo(Thing("old"))
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another"
    with pytest.raises(SerializationError, match="SECRET_KEY has changed"):
        retrieve_workflow("k").get_result()
    settings.SECRET_KEY_FALLBACKS = [old]
    assert retrieve_workflow("k").get_result() == Thing("old")


@pytest.mark.django_db
def test_what_is_not_genuine_is_not_made_genuine_by_a_fork(settings: Any) -> None:
    """271, F75. A fork signs anew only what was signed for its original."""
    settings.DURABLE = PICKLE
    with SetWorkflowID("o"):
        through_a_step(1)
    Step.objects.update(output=forged("fork"))
    Workflow.objects.update(inputs=forged("fork"))
    with SetWorkflowID("f"):
        fork_workflow("o", 99)
    fork = Workflow.objects.get(workflow_id="f")
    assert fork.inputs == Workflow.objects.get(workflow_id="o").inputs
    assert fork.steps.get().output == Step.objects.get(workflow__workflow_id="o").output
    with Worker(threads=1):
        wait_for_status("f", Status.ERROR)
    assert loaded == []


def test_a_signature_is_of_one_place() -> None:
    """271. No two places share a signature, however their parts are spelt."""
    spots = [
        places.inputs("a"), places.output("a"), places.step("a", 1, ""), places.step("a", 11, ""),
        places.step("a", 1, "1"), places.message("a", "t"), places.event("a", "t"), places.stream("a", "t"),
        places.message("a/t", ""), places.event("a", 't"]'),
    ]  # fmt: skip
    form = serialization.wanted("json")
    assert form.moved("x", spots[0], spots[1]) == "x"
    assert len(set(map(json.dumps, spots))) == len(spots)


# Serializers of the project's own


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
    settings.DURABLE = PICKLE
    with SetWorkflowID("new"):
        new = start_workflow(through_a_step, Thing("new"))
    with Worker(threads=1):
        assert old.get_result(timeout=60) == (1, 2)
        assert new.get_result(timeout=60) == Thing("new")
    rows = dict(Workflow.objects.values_list("workflow_id", "serialization"))
    assert rows == {"old": "json", "new": "pickle"}


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
    from django.core.checks import run_checks  # noqa: PLC0415

    settings.DURABLE = given
    messages = [one.msg for one in run_checks(tags=["durable_app"]) if one.id == "durable.E008"]
    assert len(messages) == 1
    assert said in messages[0]
    with pytest.raises(ImproperlyConfigured):
        serialization.check()


def test_enabled_pickle_is_worth_a_warning(settings: Any) -> None:
    """271. W011, whether it writes or is only read."""
    from django.core.checks import run_checks  # noqa: PLC0415

    for given in (PICKLE, {"ALLOWED_SERIALIZERS": ["pickle"]}):
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
