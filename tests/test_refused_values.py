"""What cannot be stored is refused by path; what should not be there is read without running any code."""

import logging
import math
import sys
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from durable_app import (
    PayloadTooLargeError,
    SerializationError,
    SetWorkflowID,
    recv,
    send,
    serializable,
    set_event,
    step,
    workflow,
    workflow_id,
)
from durable_app.models import Step
from durable_app.serialization import MAX_DEPTH, decode, decode_or_text, encode
from tests.shop.models import Order
from tests.test_serialization import Line, nested

executed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    executed.clear()


class Unregistered(Enum):
    ONE = 1


@dataclass
class UnregisteredLine:
    name: str = "x"


REFUSED = {
    "nan": (math.nan, r"nan at \$ "),
    "infinity": ({"a": [1, -math.inf]}, r"-inf at \$\.a\[1\]"),
    "object": ({"order": {"lines": [1, object()]}}, r"builtins\.object at \$\.order\.lines\[1\]"),
    "in a tuple": ((1, {2}, {"k": sys}), r"module at \$\[2\]\.k"),
    "key": ({"a": {1: 2}}, r"the key 1 at \$\.a is not a string"),
    "function": ([len], r"at \$\[0\]"),
    "unregistered enum": ([Unregistered.ONE], r"Unregistered at \$\[0\] is not registered.*serializable"),
    "unregistered dataclass": (UnregisteredLine(), r"UnregisteredLine at \$ is not registered"),
    "in a dataclass": (Line("x", object()), r"object at \$\.price"),  # type: ignore[arg-type]
    "unsaved": ([Order(number="x")], r"unsaved Order at \$\[0\]"),
    "too deep": (nested(MAX_DEPTH + 2), "nested deeper than 100"),
    "far too deep": (nested(50_000), "nested deeper than 100"),
    "digits": ([10**5000], "digits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_stored_is_refused_by_path(name: str) -> None:
    """16. SerializationError is a TypeError, and says what it is and where in the value."""
    value, message = REFUSED[name]
    with pytest.raises(SerializationError, match=message) as refused:
        encode(value, "the message")
    assert isinstance(refused.value, TypeError)
    assert str(refused.value).startswith("the message cannot be stored: ")


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(SerializationError, match="nested deeper"):
        encode(loop)


@workflow
def misuse_payload(what: str) -> None:
    bad = {"a": object()}
    if what == "send":
        send(workflow_id() or "", bad)
    elif what == "set_event":
        set_event("key", bad)
    elif what == "step":
        give_bad()
    else:
        recv(timeout_seconds=0)


@step
def give_bad() -> Any:
    executed.append("give_bad")
    return {"a": object()}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("what", "named"), [("send", "message"), ("set_event", "'key'"), ("step", "step 'give_bad'")]
)
def test_messages_events_and_results_that_cannot_be_stored_raise_at_the_call(what: str, named: str) -> None:
    """16. The error names what was to be stored, and the path."""
    with pytest.raises(SerializationError, match=rf"{named} cannot be stored: .*\$\.a"):
        misuse_payload(what)


@pytest.mark.django_db
def test_a_step_whose_result_cannot_be_stored_is_recorded_as_failed() -> None:
    """44. The refusal is the step's error: it replays, and the step's body does not run again."""
    for _ in range(2):
        with SetWorkflowID("bad-result"), pytest.raises(SerializationError, match=r"step 'give_bad'"):
            misuse_payload("step")
    assert executed == ["give_bad"]
    assert Step.objects.get().error is not None


@pytest.mark.django_db
def test_payloads_above_the_limit_are_refused_and_large_ones_announced(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """271. The hard limit names the step and the setting; the soft one only warns."""
    settings.DURABLE = {"MAX_PAYLOAD": 200_000}
    with caplog.at_level(logging.WARNING, "durable_app"):
        assert len(echo_text(100_000)) == 100_000
    assert any("Large payload" in line and "step 'make_text'" in line for line in caplog.messages)

    with pytest.raises(PayloadTooLargeError, match=r"step 'make_text' is too large.*MAX_PAYLOAD"):
        echo_text(300_000)
    assert issubclass(PayloadTooLargeError, SerializationError)


@step
def make_text(length: int) -> str:
    return "x" * length


@workflow
def echo_text(length: int) -> str:
    return make_text(length)


HOSTILE = [
    "",
    "no json",
    "nul\x00l",
    '{"$t": "os.system", "v": ["true"]}',
    '{"$t": "antigravity.Anti", "v": 1}',
    '{"$t": "builtins.eval", "v": "1/0"}',
    '{"$t": ["list"], "v": 1}',
    '{"$t": null, "v": 1}',
    '{"$t": "decimal"}',
    '{"$t": "decimal", "v": "one"}',
    '{"$t": "uuid", "v": 5}',
    '{"$t": "bytes", "v": "\\u00e9"}',
    '{"$t": "datetime", "v": 5}',
    '{"$t": "timedelta", "v": [1e300, 0, 0]}',
    '{"$t": "timedelta", "v": 5}',
    '{"$t": "tuple", "v": 5}',
    '{"$t": "set", "v": [[]]}',
    '{"$t": "model", "v": ["antigravity.Anti", "default", 1]}',
    '{"$t": "model", "v": ["shop.order", "default", "x"]}',
    '{"$t": "model", "v": ["shop.order", "nowhere", 1]}',
    '{"$t": "model", "v": "shop.order"}',
    f'{{"$t": "{Line.__module__}.Colour", "v": "BLUE"}}',
    f'{{"$t": "{Line.__module__}.Colour", "v": []}}',
    f'{{"$t": "{Line.__module__}.Line", "v": {{"nonsense": 1}}}}',
    f'{{"$t": "{Line.__module__}.Line", "v": [1]}}',
    f'{{"$t": "{__name__}.Unregistered", "v": "ONE"}}',
    "[" * 200_000,
    '{"a":' * 50_000 + "1" + "}" * 50_000,
    "1" * 5_000,
]


@pytest.mark.django_db
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40])
def test_hostile_text_imports_nothing_and_fails_as_one_error(text: str) -> None:
    """195. 271. Stored text names no code: whatever it says, decoding raises SerializationError."""
    modules = set(sys.modules)
    with pytest.raises(SerializationError):
        decode(text)
    assert decode_or_text(text) == text
    assert "antigravity" not in sys.modules
    assert not [name for name in set(sys.modules) - modules if not name.startswith(("django", "encodings"))]


def test_only_types_of_the_three_kinds_can_be_registered() -> None:
    with pytest.raises(TypeError, match="Plain is no enum, dataclass or pydantic model"):

        @serializable
        class Plain:
            pass
