"""Portable JSON: runs, messages and errors as other languages and plain SQL write and read them."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import pytest

from durable_app import (
    InvalidOptionError,
    PayloadTooLargeError,
    PortableWorkflowError,
    SendMessage,
    SerializationError,
    SetWorkflowID,
    fork_workflow,
    get_event,
    get_workflow_status,
    list_workflow_steps,
    recv,
    retrieve_workflow,
    send,
    send_bulk,
    serialization,
    set_event,
    start_workflow,
    step,
    workflow,
)
from durable_app.models import Event, EventHistory, Message, Step, Workflow
from durable_app.worker.worker import Worker
from tests.helpers import execute_again

PORTABLE = serialization.wanted("portable")


class Colour(Enum):
    RED = "red"


class TextColour(StrEnum):
    RED = "red"


class Refused(Exception):
    """An error with a code and particulars, as projects have them."""

    def __init__(self, message: str, code: Any, details: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    @property
    def code(self) -> int:
        raise RuntimeError("no code")


received: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_received_yet() -> Iterator[None]:
    received.clear()
    yield


@step
def give(value: Any) -> Any:
    return value


@workflow(name="portable.order", serialization_type="portable")
def order(number: str, *items: Any, at: Any = None) -> Any:
    received.append([number, *items, at])
    set_event("seen", {"price": Decimal("1.10")})
    kept = give((1, Decimal("2.5")))
    return {"number": number, "at": at, "kept": kept, "items": items}


@workflow(name="portable.fails", serialization_type="portable")
def fails(kind: str) -> None:
    raise {
        "refused": Refused("sold out", 409, {"left": 0}),
        "odd code": Refused("odd", Colour.RED, {1, 2}),
        "huge": Refused("x" * 30, "c", "y" * 100_000),
        "unreadable": Unreadable(),
        "plain": ValueError("plain"),
        "portable": PortableWorkflowError("said elsewhere", "TheirError", "E7", [1]),
    }[kind]


@workflow(name="portable.receives")
def receives(topic: str) -> Any:
    return recv(topic, 60)


@workflow(name="portable.parent")
def parent() -> Any:
    return order("p", Decimal("3.5"), at=datetime(2024, 1, 1, tzinfo=UTC))


@workflow(name="portable.parent_of_failure")
def parent_of_failure() -> Any:
    try:
        start_workflow(fails, "refused").get_result()
    except PortableWorkflowError as error:
        return [error.name, str(error), error.code, error.data]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ([True, 1, -0.5, "é\x00"], '[true,1,-0.5,"\\u00e9\\u0000"]'),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), '"2024-02-29T12:00:00Z"'),
        (datetime(2024, 1, 1, 1, 0, 0, 5000, timezone(timedelta(hours=2))), '"2023-12-31T23:00:00.005000Z"'),
        (datetime(2024, 1, 1), '"2024-01-01T00:00:00Z"'),  # noqa: DTZ001  (taken for UTC)
        (date(2024, 1, 2), '"2024-01-02"'),
        (time(1, 2), '"01:02:00"'),
        (Decimal("1.10"), '"1.10"'),
        (Decimal("1E+2"), '"100"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ((1, (2,)), "[1,[2]]"),
        ({5}, "[5]"),
        (frozenset("a"), '["a"]'),
        ({"$t": {"$": 1}}, '{"$t":{"$":1}}'),
    ],
)
def test_what_is_portable(value: Any, text: str) -> None:
    """272. Times are RFC 3339 in UTC, Decimals their digits, sets and tuples lists; no tags, no escapes."""
    assert PORTABLE.write(value, "x", ()) == text
    assert PORTABLE.read(text, ()) == json.loads(text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1: "a"}, r"the key 1 at \$ is not a string"),
        ([{"a": {None: 1}}], r"the key None at \$\[0\].a"),
        (object(), r"builtins.object at \$ is not portable"),
        ({"a": [b"x"]}, r"builtins.bytes at \$.a\[0\]"),
        (Colour.RED, "Colour at"),
        (TextColour.RED, "TextColour at"),
        (float("nan"), "Out of range float"),
        pytest.param(10**5000, "digit", id="huge"),
    ],
)
def test_what_is_not_portable_is_a_type_error(value: Any, said: str) -> None:
    """272. It names what, and where in the value."""
    with pytest.raises(TypeError, match=said):
        PORTABLE.write(value, "x", ())


def test_a_value_that_holds_itself_is_refused() -> None:
    """272. Without end is too deep."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(SerializationError, match="nested deeper"):
        PORTABLE.write(endless, "x", ())


@pytest.mark.django_db
def test_the_size_limit_holds_here_too(settings: Any) -> None:
    """271, 272."""
    settings.DURABLE = {"MAX_PAYLOAD": 200}
    with pytest.raises(PayloadTooLargeError):
        start_workflow(order, "x" * 200)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("direct", [True, False])
def test_a_portable_run_is_portable_but_for_its_steps(direct: bool) -> None:
    """272. Arguments, result and events; step results keep their types, on the first run and on replay."""
    at = datetime(2024, 1, 1, tzinfo=UTC)
    with SetWorkflowID("o"):
        if direct:
            found = order("7", Decimal("3.5"), at=at)
        handle = retrieve_workflow("o") if direct else start_workflow(order, "7", Decimal("3.5"), at=at)
    with Worker(threads=1):
        result = handle.get_result(timeout=60)
        assert not direct or found == result
        execute_again("o")
        assert handle.get_result(timeout=60) == result
    assert result == {"number": "7", "at": "2024-01-01T00:00:00Z", "kept": [1, "2.5"], "items": ["3.5"]}
    assert received == [["7", "3.5", "2024-01-01T00:00:00Z"]] * 2
    row = Workflow.objects.get(workflow_id="o")
    assert row.serialization == "portable_json"
    assert json.loads(row.inputs) == {
        "positionalArgs": ["7", "3.5"],
        "namedArgs": {"at": "2024-01-01T00:00:00Z"},
    }
    assert json.loads(row.output or "") == result
    assert (Event.objects.get().value, Event.objects.get().serialization) == (
        '{"price":"1.10"}',
        "portable_json",
    )
    assert EventHistory.objects.get().serialization == "portable_json"
    assert {one.serialization for one in Step.objects.all()} == {"json"}
    assert list_workflow_steps("o")[-1].output == (1, Decimal("2.5"))
    shown = get_workflow_status("o")
    assert shown is not None
    assert shown.input == {"args": ["7", "3.5"], "kwargs": {"at": "2024-01-01T00:00:00Z"}}


@pytest.mark.django_db(transaction=True)
def test_a_portable_child_and_its_fork(worker: Worker) -> None:
    """272. The parent sees what a replay will see: lists and text."""
    with SetWorkflowID("parent"):
        found = parent()
    assert found["items"] == ["3.5"]
    assert found["at"] == "2024-01-01T00:00:00Z"
    assert fork_workflow("parent", 99).get_result(timeout=60) == found
    assert fork_workflow("parent-1", 1).get_result(timeout=60) == found
    assert Workflow.objects.filter(serialization="portable_json").count() == 2


@pytest.mark.django_db
def test_what_is_not_portable_is_refused_at_the_call() -> None:
    """16, 272. No run is made; a result that is not portable ends the run in ERROR."""
    with pytest.raises(SerializationError, match="inputs of workflow 'portable.order'"):
        start_workflow(order, "1", b"bytes")
    assert not Workflow.objects.exists()

    @workflow(name="portable.returns_bytes", serialization_type="portable")
    def returns_bytes() -> bytes:
        return b"x"

    with SetWorkflowID("b"), pytest.raises(SerializationError, match="result of workflow"):
        returns_bytes()
    assert json.loads(Workflow.objects.get().error or "")["name"] == "SerializationError"


# Errors


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("refused", ("Refused", "sold out", 409, {"left": 0})),
        ("odd code", ("Refused", "odd", None, [1, 2])),
        ("plain", ("ValueError", "plain", None, None)),
        ("portable", ("PortableWorkflowError", "said elsewhere", "E7", [1])),
        ("unreadable", ("Unreadable", "<Unreadable without a readable message>", None, None)),
    ],
)
def test_errors_of_portable_runs(worker: Worker, kind: str, expected: tuple[Any, ...]) -> None:
    """273. Any exception becomes name, message, code and data, as well as that can be."""
    handle = start_workflow(fails, kind)
    with pytest.raises(PortableWorkflowError) as raised:
        handle.get_result(timeout=60)
    error = raised.value
    if kind == "portable":
        expected = ("TheirError", *expected[1:])
    assert (error.name, str(error), error.code, error.data) == expected
    recorded = json.loads(Workflow.objects.get(workflow_id=handle.workflow_id).error or "")
    assert recorded == dict(zip(("name", "message", "code", "data"), expected, strict=True))
    shown = handle.get_status().error
    assert (type(shown), shown.args) == (PortableWorkflowError, error.args)


@pytest.mark.django_db(transaction=True)
def test_a_portable_error_is_within_the_limit(settings: Any) -> None:
    """273. What is too large is left out; the error itself is not lost."""
    settings.DURABLE = {"MAX_PAYLOAD": 1_000}
    with SetWorkflowID("h"), pytest.raises(Refused):
        fails("huge")
    with pytest.raises(PortableWorkflowError) as raised:
        retrieve_workflow("h").get_result()
    assert (str(raised.value), raised.value.data) == ("x" * 30, None)


@pytest.mark.django_db(transaction=True)
def test_a_parent_catches_a_childs_portable_error(worker: Worker) -> None:
    """273. And catches the same one when it is replayed."""
    with SetWorkflowID("p"):
        handle = start_workflow(parent_of_failure)
    expected = ["Refused", "sold out", 409, {"left": 0}]
    assert handle.get_result(timeout=60) == expected
    execute_again("p")
    assert handle.get_result(timeout=60) == expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"message":"only"}', '{"name":1,"message":2}', '"text"', "\x01"]
)
def test_an_odd_error_of_a_portable_run_does_not_stop_a_listing(text: str) -> None:
    """260, 273. Whatever somebody wrote there is shown as some exception."""
    with SetWorkflowID("e"), pytest.raises(ValueError, match="plain"):
        fails("plain")
    Workflow.objects.update(error=text)
    found = get_workflow_status("e")
    assert found is not None
    assert isinstance(found.error, Exception)


# Messages and events, one by one


@pytest.mark.django_db(transaction=True)
def test_single_messages_and_events_may_be_portable(worker: Worker) -> None:
    """272. By serialization_type; what the run receives is what the portable text says, also on replay."""

    @workflow(name="portable.publishes")
    def publishes() -> None:
        set_event("tagged", (1, 2))
        set_event("portable", (1, 2), serialization_type="portable")

    publishes_id = start_workflow(publishes)
    publishes_id.get_result(timeout=60)
    assert get_event(publishes_id.workflow_id, "tagged") == (1, 2)
    assert get_event(publishes_id.workflow_id, "portable") == [1, 2]
    rows = dict(Event.objects.values_list("key", "serialization"))
    assert rows == {"tagged": "json", "portable": "portable_json"}

    one, two = start_workflow(receives, "t"), start_workflow(receives, "t")
    send(one.workflow_id, (1, 2), "t", serialization_type="portable")
    send_bulk([SendMessage(two.workflow_id, Decimal("1.5"), "t")], serialization_type="portable")
    assert one.get_result(timeout=60) == [1, 2]
    assert two.get_result(timeout=60) == "1.5"
    execute_again(one.workflow_id)
    assert one.get_result(timeout=60) == [1, 2]
    assert set(Message.objects.values_list("serialization", flat=True)) == {"portable_json"}


@pytest.mark.django_db
def test_an_unknown_serialization_type_is_refused() -> None:
    """272. With the names that there are; pickle is none unless the settings allow it."""
    with pytest.raises(
        InvalidOptionError, match=r"'pickle' is none of json, native, portable, portable_json"
    ):
        send("x", 1, serialization_type="pickle")

    with pytest.raises(InvalidOptionError, match="'xml'"):
        workflow(name="portable.unknown", serialization_type="xml")(len)
