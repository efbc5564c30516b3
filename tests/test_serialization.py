"""What is stored comes back as it was: from memory, through a step, as the inputs of a worker's run."""

import logging
import math
import random
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from durable_app import (
    PayloadTooLargeError,
    SerializationError,
    SetWorkflowID,
    fork_workflow,
    list_workflow_steps,
    recv,
    send,
    serializable,
    set_event,
    start_workflow,
    step,
    workflow,
    workflow_id,
)
from durable_app.models import Step
from durable_app.serialization import MAX_DEPTH, decode, decode_or_text, encode
from durable_app.worker.worker import Worker
from tests.shop.models import Order


@serializable
class Colour(Enum):
    RED = "r"
    GREEN = object()  # its value could never be stored: members go by name


@serializable
class Level(IntEnum):
    LOW = 1
    HIGH = 2


@serializable
@dataclass(frozen=True)
class Line:
    name: str
    price: Decimal
    tags: frozenset[str] = frozenset()
    total: Decimal = field(init=False, default=Decimal("1.5"))


class Unregistered(Enum):
    ONE = 1


@dataclass
class UnregisteredLine:
    name: str = "x"


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


VALUES: dict[str, Any] = {
    "none": None,
    "truths": [True, False, 0, 1],
    "empty": ["", [], {}, (), set(), frozenset(), b""],
    "nul": "before\x00after",
    "lone surrogate": "a\ud800b",
    "astral": "\U0001f600 e\u0301 \u2028 </script>",
    "surrogate and nul in a key": {"\udfff": 1, "a\x00": 2},
    "floats": [0.0, -0.0, 1e308, 5e-324, 0.1 + 0.2, -1.0],
    "big integers": [2**63, -(2**200), 10**4000],
    "decimals": [Decimal("1.10"), Decimal("-0"), Decimal("1E+20"), Decimal("NaN"), Decimal("Infinity")],
    "datetimes": [
        datetime(2024, 2, 29, 23, 59, 59, 999999, UTC),
        datetime(2024, 1, 1, 12, 0),  # noqa: DTZ001  (naive ones are values, too)
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    ],
    "dates": [date.min, date.max],
    "times": [time(0, 0, 0, 1), time(23, 59, tzinfo=UTC)],
    "timedeltas": [timedelta.min, timedelta.max, timedelta(microseconds=-1)],
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "bytes": bytes(range(256)),
    "tuples": ((1, (2, [3])), ()),
    "sets": {"of": {1, "a", (1, 2)}, "frozen": frozenset({frozenset({1})})},
    "user keys with dollars": {"$t": "decimal", "v": "1", "$": 1, "$$t": {"$t": {"$v": [{"$t": 1}]}}},
    "order of keys": {"z": 1, "a": 2, "m": 3},
    "enum": [Colour.RED, Colour.GREEN],
    "int enum": Level.HIGH,
    "dataclass": Line("tea", Decimal("2.50"), frozenset({"hot"})),
    "deep": nested(MAX_DEPTH),
}


def same(found: Any, expected: Any) -> bool:
    """Compare with types, signs of zero and NaN, order of keys."""
    if type(found) is not type(expected):
        return False
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float | Decimal):
        return str(found) == str(expected)
    return bool(found == expected)


executed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    executed.clear()


@step
def give(name: str) -> Any:
    executed.append(name)
    return VALUES[name]


@workflow
def pass_value_on(name: str) -> Any:
    return give(name)


@step
def give_all(seed: int) -> Any:
    executed.append("all")
    return random_values(seed)


@workflow
def pass_values_on(seed: int) -> Any:
    return give_all(seed)


def inputs(seed: int) -> dict[str, Any]:
    """All values but the deepest, which has no room for the levels around it."""
    return {**VALUES, "deep": nested(MAX_DEPTH - 5), "random": random_values(seed)}


@workflow
def check_received(given: dict[str, Any], *, seed: int) -> list[str]:
    expected = inputs(seed)
    return [name for name in expected if not same(given.get(name), expected[name])]


@pytest.mark.django_db
@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_from_its_step_and_its_run_as_it_was(name: str) -> None:
    """43. 271. First execution and replay see the same value, of the same type."""
    with SetWorkflowID("round-trip"):
        first = pass_value_on(name)
    with SetWorkflowID("round-trip"):
        again = pass_value_on(name)

    assert same(first, VALUES[name])
    assert same(again, VALUES[name])
    assert same(list_workflow_steps("round-trip")[0].output, VALUES[name])
    assert executed == [name]


@pytest.mark.django_db(transaction=True)
def test_values_survive_the_way_to_a_worker_and_a_replay() -> None:
    """43. 271. Inputs reach a worker, and recorded outputs a fork, as they were."""
    seed = random.randrange(10**6)
    handle = start_workflow(check_received, inputs(seed), seed=seed)
    with SetWorkflowID("original"):
        pass_values_on(seed)
    fork = fork_workflow("original", 2)
    with Worker(threads=1):
        assert handle.get_result(timeout=60) == []
        assert same(fork.get_result(timeout=60), random_values(seed))
    assert executed == ["all"]


CHARACTERS = [*map(chr, (0, 9, 34, 36, 92, 0x7F, 0xE9, 0xD800, 0xFFFF, 0x1F600))]
LEAVES = [
    lambda r: None,
    lambda r: r.random() < 0.5,
    lambda r: r.randrange(-(10 ** r.randrange(1, 60)), 10 ** r.randrange(1, 60)),
    lambda r: math.ldexp(r.uniform(-1, 1), r.randrange(-1000, 1000)),
    lambda r: "".join(r.choice(CHARACTERS) for _ in range(r.randrange(5))),
    lambda r: r.randbytes(r.randrange(9)),
    lambda r: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=r.randrange(10**16)),
    lambda r: timedelta(microseconds=r.randrange(-(10**15), 10**15)),
    lambda r: Decimal(r.randrange(10**9)).scaleb(r.randrange(-20, 20)),
    lambda r: UUID(int=r.getrandbits(128)),
    lambda r: r.choice([Colour.RED, Level.LOW, Line("x", Decimal(1))]),
]  # fmt: skip


def random_value(r: random.Random, depth: int = 0) -> Any:
    kind = r.randrange(9) if depth < 5 else 8
    if kind == 0:
        return [random_value(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 1:
        return tuple(random_value(r, depth + 1) for _ in range(r.randrange(4)))
    if kind == 2:
        keys = [r.choice(["$", "$t", "v", "$$", "k", "\x00"]) + str(n) * r.randrange(2) for n in range(4)]
        return {key: random_value(r, depth + 1) for key in keys}
    return r.choice(LEAVES)(r)


def random_values(seed: int) -> list[Any]:
    r = random.Random(seed)
    return [random_value(r) for _ in range(150)]


def test_any_nested_value_survives_encoding() -> None:
    """271. decode(encode(value)) is the value, for random nestings of every kind."""
    for seed in random.sample(range(10**6), 20):
        for value in random_values(seed):
            text = encode(value)
            assert text.isascii() and "\x00" not in text
            assert same(decode(text), value), (seed, value)


@pytest.mark.django_db
def test_a_model_instance_is_stored_as_a_reference() -> None:
    """195. A saved instance comes back as the row stands now; without its row it cannot be read."""
    order = Order.objects.create(number="A-1", status="new")
    text = encode({"order": order})
    Order.objects.update(status="paid")
    found = decode(text)["order"]
    assert (type(found), found.pk, found.status) == (Order, order.pk, "paid")

    order.delete()
    with pytest.raises(SerializationError, match="Order"):
        decode(text)
    assert decode_or_text(text) == text


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
    f'{{"$t": "{__name__}.Colour", "v": "BLUE"}}',
    f'{{"$t": "{__name__}.Colour", "v": []}}',
    f'{{"$t": "{__name__}.Line", "v": {{"nonsense": 1}}}}',
    f'{{"$t": "{__name__}.Line", "v": [1]}}',
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


def test_a_pydantic_model_survives() -> None:
    """195. Registered pydantic models are stored by their fields."""
    pydantic = pytest.importorskip("pydantic")
    line = pydantic.create_model("PydanticLine", name=str, price=Decimal, at=datetime)
    serializable(line)
    value = line(name="tea", price=Decimal("2.50"), at=datetime(2024, 1, 1, tzinfo=UTC))
    assert decode(encode([value])) == [value]


def test_the_duck_type_of_a_pydantic_model_survives() -> None:
    """195. What has model_dump and model_validate is stored by its fields, pydantic installed or not."""

    @serializable
    class Duck:
        def __init__(self, name: str) -> None:
            self.name = name

        def model_dump(self, mode: str) -> dict[str, Any]:
            assert mode == "json"
            return {"name": self.name, "$t": "decimal"}

        @classmethod
        def model_validate(cls, data: dict[str, Any]) -> "Duck":
            assert data.keys() == {"name", "$t"}
            return cls(data["name"])

    found = decode(encode([Duck("Donald")]))[0]
    assert (type(found), found.name) == (Duck, "Donald")


@pytest.mark.django_db
def test_what_the_database_holds_is_plain_text() -> None:
    """271. The column is text on both databases: jsonb would refuse NUL and reorder keys."""
    with SetWorkflowID("plain"):
        pass_value_on("order of keys")
    with connection.cursor() as cursor:
        cursor.execute("SELECT output FROM durable_app_step")
        assert cursor.fetchone()[0] == '{"z":1,"a":2,"m":3}'
