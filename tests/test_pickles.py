"""Pickle is opt-in, takes every way a value has, and is only loaded where this project has signed it."""

import json
import pickle
import threading
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signing import Signer

from durable_app import (
    PayloadTooLargeError,
    PortableWorkflowError,
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
    set_event,
    start_workflow,
    step,
    transaction,
    workflow,
    workflow_id,
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        loaded.append(state["name"])
        vars(self).update(state)

    __hash__ = None  # type: ignore[assignment]


class Bomb:
    """Tells when somebody unpickles it."""

    def __reduce__(self) -> Any:
        return loaded.append, ("bomb",)


loaded: list[str] = []
executed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_loaded_yet() -> Iterator[None]:
    loaded.clear()
    executed.clear()
    yield


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


@workflow(name="pickles.child")
def child(given: Thing) -> Thing:
    return Thing(given.name + " of a child")


@workflow(name="pickles.everything")
def everything(given: Thing, *, named: Thing) -> list[Thing]:
    """Let a thing take every way there is."""
    me = workflow_id() or ""
    found = [given, named, make("step"), make_in_transaction("transaction"), child(Thing("call"))]
    set_event("key", Thing("event"))
    found.append(get_event(me, "key"))
    found += get_all_events(me).values()
    send(me, Thing("message"), "topic")
    found.append(recv("topic", 0))
    found.append(start_workflow(child, Thing("start")).get_result())
    return found


NAMES = ["given", "named", "step", "transaction", "call of a child", "event", "event", "message"]
NAMES += ["start of a child"]


@workflow(name="pickles.echo")
def echo(value: Any) -> Any:
    return value


@workflow(name="pickles.through_a_step")
def through_a_step(value: Any) -> Any:
    return give(value)


@step
def give(value: Any) -> Any:
    executed.append("give")
    return value


@step
def give_a_lock() -> Any:
    return threading.Lock()


@workflow(name="pickles.through_a_step_of_locks")
def through_a_step_of_locks() -> Any:
    return give_a_lock()


@workflow(name="pickles.elsewhere")
def elsewhere() -> Any:
    return make_elsewhere("other")


@workflow(name="pickles.receive")
def receive() -> Any:
    return recv("topic", 60)


@workflow(name="pickles.publish")
def publish() -> None:
    set_event("key", 1)


@workflow(name="pickles.read_event")
def read_event(other: str) -> Any:
    return get_event(other, "key", 0)


@workflow(name="pickles.two_things")
def two_things(name: str) -> list[Any]:
    return [make(name + "1"), make(name + "2")]


# Pickle, by opt-in


@pytest.mark.django_db(transaction=True)
def test_pickled_values_take_every_way(settings: Any) -> None:
    """271. Arguments, results, steps, transactions, events, messages, children: first, again, forked."""
    settings.DURABLE = PICKLE
    with SetWorkflowID("p"):
        handle = start_workflow(everything, Thing("given"), named=Thing("named"))
    with Worker(threads=3):
        found = handle.get_result(timeout=60)
        assert [thing.name for thing in found] == NAMES
        execute_again("p")
        again = handle.get_result(timeout=60)
        with SetWorkflowID("fork"):
            fork = fork_workflow("p", 99)
        forked = fork.get_result(timeout=60)
    assert again == found
    assert forked == found
    assert executed == ["step", "transaction"]
    assert set(Workflow.objects.values_list("serialization", flat=True)) == {"pickle"}
    assert set(Message.objects.values_list("serialization", flat=True)) == {"pickle"}
    assert set(Event.objects.values_list("serialization", flat=True)) == {"pickle"}
    assert set(EventHistory.objects.values_list("serialization", flat=True)) == {"pickle"}


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_pickled_result_of_a_transaction_elsewhere_is_replayed(settings: Any) -> None:
    """271. The receipt, too, holds what the step returned."""
    settings.DURABLE = PICKLE
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
    with SetWorkflowID("original"):
        original = start_workflow(receive)
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
    with pytest.raises(SerializationError, match=r"inputs of workflow 'pickles.echo' cannot be pickled"):
        start_workflow(echo, lambda: None)
    with pytest.raises(PayloadTooLargeError):
        start_workflow(echo, "x" * 10_000)
    assert not Workflow.objects.exists()
    with pytest.raises(SerializationError, match="step 'give_a_lock' cannot be pickled"):
        through_a_step_of_locks()
    assert Step.objects.get().error is not None


# Hostile rows


def forged(kind: str) -> str:
    """Return a pickle as somebody without the key can make it."""
    data = b64encode(pickle.dumps(Bomb())).decode()
    return data if kind == "unsigned" else Signer(key="somebody else's", salt="durable_app.pickle").sign(data)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("settings_allow", [True, False])
@pytest.mark.parametrize(
    ("row_claims", "kind"),
    [
        ("pickle", "signed"),
        ("pickle", "unsigned"),
        ("json", "signed"),
        ("py_pickle", "unsigned"),
        ("portable_json", "signed"),
    ],
)
def test_a_forged_pickle_is_never_loaded(
    settings: Any, settings_allow: bool, row_claims: str, kind: str
) -> None:
    """271, F75. In every column, whatever the row claims: an error, and the line goes on."""
    settings.DURABLE = PICKLE if settings_allow else {}
    text = forged(kind)
    put_everywhere(text, row_claims)
    with Worker(threads=2):
        for name in ("inputs", "message", "steps", "output"):
            with pytest.raises((SerializationError, PortableWorkflowError)):
                retrieve_workflow(name).get_result(timeout=60)
        with pytest.raises(SerializationError):
            start_workflow(read_event, "event").get_result(timeout=60)
        assert start_workflow(echo, 5).get_result(timeout=60) == 5
    with pytest.raises(SerializationError):
        get_event("event", "key", 0)
    with pytest.raises(SerializationError):
        get_all_events("event")
    assert get_workflow_status("output").output == text  # type: ignore[union-attr]
    assert get_workflow_status("inputs").input == text  # type: ignore[union-attr]
    assert [one.output for one in list_workflow_steps("steps")] == [text]
    assert len(list_workflows()) == 7
    assert loaded == []


def put_everywhere(text: str, row_claims: str) -> None:
    with SetWorkflowID("inputs"):
        start_workflow(echo, 1)
    with SetWorkflowID("steps"):
        assert through_a_step(1) == 1
    with SetWorkflowID("output"):
        assert echo(1) == 1
    with SetWorkflowID("message"):
        start_workflow(receive)
    send("message", 1, "topic")
    with SetWorkflowID("event"):
        publish()
    claims = {"serialization": row_claims}
    Workflow.objects.filter(workflow_id="inputs").update(inputs=text, **claims)
    Workflow.objects.filter(workflow_id="output").update(output=text, **claims)
    Step.objects.filter(workflow__workflow_id="steps").update(output=text, **claims)
    Message.objects.update(value=text, **claims)
    Event.objects.update(value=text, **claims)
    execute_again("steps")


@pytest.mark.django_db(transaction=True)
def test_a_genuine_pickle_is_refused_where_it_was_copied_to(settings: Any) -> None:
    """271, F75. The signature covers run, field and position: what is signed for one place is no other's."""
    settings.DURABLE = PICKLE
    for name in ("a", "b"):
        with SetWorkflowID(name):
            two_things(name)
    a, b = Workflow.objects.filter(workflow_id="a"), Workflow.objects.filter(workflow_id="b")
    steps = Step.objects.filter(workflow__workflow_id="a")
    output = a.get().output
    copies: list[tuple[Any, dict[str, Any]]] = [
        (steps.filter(position=1), {"output": Step.objects.get(workflow=b.get(), position=1).output}),
        (steps.filter(position=1), {"output": steps.get(position=2).output}),
        (steps.filter(position=1), {"output": output}),
        (a, {"inputs": output}),
        (a, {"inputs": b.get().inputs}),
    ]
    with Worker(threads=1):
        for rows, changed in copies:
            before = {name: getattr(rows.get(), name) for name in changed}
            rows.update(**changed)
            execute_again("a")
            with pytest.raises(SerializationError, match="not signed for where it stands"):
                retrieve_workflow("a").get_result(timeout=60)
            rows.update(**before)
        execute_again("a")
        assert retrieve_workflow("a").get_result(timeout=60) == [Thing("a1"), Thing("a2")]


@pytest.mark.django_db
def test_who_only_looks_unpickles_nothing(settings: Any) -> None:
    """260, F75. A genuine pickle is shown as its text: listings run no code."""
    settings.DURABLE = PICKLE
    with SetWorkflowID("t"):
        through_a_step(Thing("tea"))
    loaded.clear()
    row = Workflow.objects.get()
    found = get_workflow_status("t")
    assert found is not None
    assert (found.input, found.output) == (row.inputs, row.output)
    assert list_workflows()[0].output == row.output
    assert list_workflow_steps("t")[0].output == Step.objects.get().output
    assert loaded == []
    assert retrieve_workflow("t").get_result() == Thing("tea")
    assert loaded == ["tea"]


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


@pytest.mark.django_db(transaction=True)
def test_what_is_not_genuine_is_not_made_genuine_by_a_fork(settings: Any) -> None:
    """271, F75. A fork signs anew only what was signed for its original."""
    settings.DURABLE = PICKLE
    with SetWorkflowID("o"):
        through_a_step(1)
    Step.objects.update(output=forged("signed"))
    Workflow.objects.update(inputs=forged("signed"))
    with SetWorkflowID("f"):
        fork_workflow("o", 99)
    fork = Workflow.objects.get(workflow_id="f")
    assert fork.inputs == Workflow.objects.get(workflow_id="o").inputs
    assert fork.steps.get().output == Step.objects.get(workflow__workflow_id="o").output
    with Worker(threads=1):
        wait_for_status("f", Status.ERROR)
    assert loaded == []


def test_no_two_places_are_the_same() -> None:
    """271. However their parts are spelt."""
    found = [
        places.inputs("a"), places.output("a"), places.step("a", 1, ""), places.step("a", 11, ""),
        places.step("a", 1, "1"), places.message("a", "t"), places.event("a", "t"), places.stream("a", "t"),
        places.message('a", "t', ""), places.message("a", '", "t'),
    ]  # fmt: skip
    assert len({json.dumps(place) for place in found}) == len(found)
