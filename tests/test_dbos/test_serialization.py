"""Serializers: a program's own, pickle if it asks for it, portable JSON; and checked arguments."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from durable_app.dbos import (
    DBOS,
    DBOSDefaultSerializer,
    DBOSPortableJSONSerializer,
    PortableWorkflowError,
    Serializer,
    SetWorkflowID,
    WorkflowSerializationFormat,
    make_pydantic_args_validator,
    pydantic_args_validator,
)
from durable_app.models import Step, Workflow

pytestmark = pytest.mark.django_db(transaction=True)


class Point:
    """Importable, and nothing that JSON knows."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    __hash__ = None  # type: ignore[assignment]


class Reversed(Serializer):
    """Text backwards, so that nobody mistakes it for JSON."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data)[::-1]

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data[::-1])

    def name(self) -> str:
        return "reversed"


def launch(serializer: Serializer | None = None) -> None:
    DBOS(config={"name": "test-app", "serializer": serializer})
    DBOS.launch()


def make_moves() -> Any:
    @DBOS.step()
    def step(value):
        return value

    @DBOS.workflow(name="moves")
    def moves(value):
        DBOS.set_event("at", value)
        return step(value)

    return moves


def test_pickle_if_the_program_asks_for_it():
    """195, 271. Values of importable classes; the texts are signed, and shown to nobody as objects."""
    launch(DBOSDefaultSerializer())
    moves = make_moves()
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(moves, Point(1, 2))
    assert handle.get_result() == Point(1, 2)
    assert DBOS.get_event("w", "at") == Point(1, 2)
    assert Workflow.objects.get().serialization == "pickle"
    DBOS.destroy()
    launch()
    with pytest.raises(TypeError, match="Point"):
        DBOS.start_workflow(moves, Point(1, 2))


def test_a_serializer_of_ones_own():
    """271. Its name stands beside each text; what was written by it is read by it again."""
    launch(Reversed())
    moves = make_moves()
    with SetWorkflowID("w"):
        assert moves([1, 2]) == [1, 2]
    run, step = Workflow.objects.get(), Step.objects.exclude(name__startswith="durable.").get()
    assert (run.serialization, step.serialization, step.output) == ("reversed", "reversed", "]2 ,1[")
    found = DBOS.get_workflow_status("w")
    assert found is not None and found.input is not None
    assert (found.output, found.input["args"]) == ([1, 2], ([1, 2],))
    DBOS.destroy()
    launch()
    shown = DBOS.get_workflow_status("w")
    assert shown is not None and shown.output == "]2 ,1["
    DBOS.destroy()
    launch(Reversed())
    assert DBOS.get_result("w") == [1, 2]


def test_portable_runs(dbos):
    """272, 273. Plain JSON; errors are told by name, message, code and data."""

    @DBOS.workflow(serialization_type=WorkflowSerializationFormat.PORTABLE)
    def portable(at, amount):
        DBOS.set_event("at", at)
        return {"amount": amount * 2}

    @DBOS.workflow(serialization_type=WorkflowSerializationFormat.PORTABLE)
    def failing():
        raise PortableWorkflowError("no tea", "NoTea", code=7, data={"left": 0})

    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(portable, datetime(2024, 1, 1, tzinfo=UTC), Decimal("1.50"))
    run = Workflow.objects.get()
    assert json.loads(run.inputs) == {"positionalArgs": ["2024-01-01T00:00:00Z", "1.50"], "namedArgs": {}}
    assert handle.get_result() == {"amount": "1.501.50"}
    assert DBOS.get_event("w", "at") == "2024-01-01T00:00:00Z"
    with pytest.raises(PortableWorkflowError) as info:
        DBOS.start_workflow(failing).get_result()
    found = info.value
    assert (found.name, found.message, found.code, found.data) == ("NoTea", "no tea", 7, {"left": 0})


def test_portable_messages_and_options(dbos):
    """272. The format of a message, a value, a run that is enqueued by name."""

    @DBOS.workflow(name="receives")
    def receives(value):
        DBOS.set_event("e", {1, 2}, serialization_type=WorkflowSerializationFormat.PORTABLE)
        return [value, DBOS.recv(timeout_seconds=60)]

    DBOS.register_queue("q")
    handle = DBOS.enqueue_workflow_with_options(
        {
            "workflow_name": "receives",
            "queue_name": "q",
            "serialization_type": WorkflowSerializationFormat.PORTABLE,
        },
        (1, 2),
    )
    portable = WorkflowSerializationFormat.PORTABLE
    DBOS.send(handle.workflow_id, Decimal("1.5"), serialization_type=portable)
    assert handle.get_result() == [[1, 2], "1.5"]
    assert DBOS.get_event(handle.workflow_id, "e") == [1, 2]
    assert Workflow.objects.get().serialization == "portable_json"


def test_arguments_are_checked(dbos):
    """274. By the type hints; a run that is enqueued with others ends in ERROR."""

    def check(number: int) -> int:
        return number

    checked = DBOS.workflow(name="checked", validate_args=pydantic_args_validator)(check)
    DBOS.register_queue("q")

    def enqueue(value: Any) -> Any:
        return DBOS.enqueue_workflow_with_options({"workflow_name": "checked", "queue_name": "q"}, value)

    assert enqueue("7").get_result() == 7
    refused = enqueue("seven")
    with pytest.raises(ValueError, match="number"):
        refused.get_result()
    assert refused.get_status().status == "ERROR"
    assert checked(3) == 3
    assert make_pydantic_args_validator(check)(("5",), {}) == ((5,), {})


def test_serializers_by_themselves():
    """B.5: names, and texts there and back."""
    portable = DBOSPortableJSONSerializer()
    assert portable.name() == "portable_json"
    assert portable.deserialize(portable.serialize({"a": (1, 2)})) == {"a": [1, 2]}
    assert DBOSDefaultSerializer().name() == "py_pickle"
    assert [one.value for one in WorkflowSerializationFormat] == [None, "native", "portable"]
